"""Small data sets as NumPy arrays, kept in ``$KERAS_HOME/datasets`` (default ``~/.keras``)."""

from __future__ import annotations

from kerastorch.datasets import mnist as mnist
