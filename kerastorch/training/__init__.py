"""Compiling, training, evaluating and predicting."""

from kerastorch.training._logs import Logs as Logs
from kerastorch.training._loop import Trainer as Trainer
