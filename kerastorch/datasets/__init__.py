"""Small data sets as NumPy arrays, kept in ``$KERAS_HOME/datasets`` (default ``~/.keras``)."""

from __future__ import annotations

from kerastorch.datasets import boston_housing as boston_housing
from kerastorch.datasets import california_housing as california_housing
from kerastorch.datasets import cifar10 as cifar10
from kerastorch.datasets import cifar100 as cifar100
from kerastorch.datasets import fashion_mnist as fashion_mnist
from kerastorch.datasets import imdb as imdb
from kerastorch.datasets import mnist as mnist
from kerastorch.datasets import reuters as reuters
