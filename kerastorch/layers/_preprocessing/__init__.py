"""Layers whose state is a table or a vocabulary."""
