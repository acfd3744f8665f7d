"""Layers for pictures, and what they do to them as functions of tensors (B, C, H, W)."""
