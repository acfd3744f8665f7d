"""Constraints: ``f(w)`` gives the allowed weight nearest to `w`; optimizers apply it after a step.

Layers take them as ``kernel_constraint="non_neg"`` or ``kernel_constraint=MaxNorm(3.0)``.

>>> import torch
>>> from kerastorch import constraints
>>> constraints.get("non_neg")(torch.tensor([-1.0, 2.0]))
tensor([0., 2.])
"""

from kerastorch.constraints._constraints import Constraint as Constraint
from kerastorch.constraints._constraints import MaxNorm as MaxNorm
from kerastorch.constraints._constraints import MinMaxNorm as MinMaxNorm
from kerastorch.constraints._constraints import NonNeg as NonNeg
from kerastorch.constraints._constraints import UnitNorm as UnitNorm
from kerastorch.constraints._constraints import max_norm as max_norm
from kerastorch.constraints._constraints import min_max_norm as min_max_norm
from kerastorch.constraints._constraints import non_neg as non_neg
from kerastorch.constraints._constraints import unit_norm as unit_norm
from kerastorch.constraints._lookup import deserialize as deserialize
from kerastorch.constraints._lookup import get as get
from kerastorch.constraints._lookup import serialize as serialize
