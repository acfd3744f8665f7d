"""Sequences of different lengths as one array."""

from kerastorch.utils import pad_sequences as pad_sequences
