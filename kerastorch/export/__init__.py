"""Models as files and modules that run without this package."""

from kerastorch.export._export import export_model as export_model
from kerastorch.export._to_torch import to_torch as to_torch
