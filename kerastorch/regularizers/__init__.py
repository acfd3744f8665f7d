"""Regularizers: ``f(x)`` gives the penalty for a weight or an activation, a scalar tensor.

Layers take them as ``kernel_regularizer="l2"`` or ``kernel_regularizer=L2(1e-4)``; the penalties
are added to the loss.

>>> import torch
>>> from kerastorch import regularizers
>>> regularizers.get("l2")(torch.ones(2, 2))
tensor(0.0400)
"""

from kerastorch.regularizers._lookup import deserialize as deserialize
from kerastorch.regularizers._lookup import get as get
from kerastorch.regularizers._lookup import serialize as serialize
from kerastorch.regularizers._regularizers import L1 as L1
from kerastorch.regularizers._regularizers import L1L2 as L1L2
from kerastorch.regularizers._regularizers import L2 as L2
from kerastorch.regularizers._regularizers import OrthogonalRegularizer as OrthogonalRegularizer
from kerastorch.regularizers._regularizers import Regularizer as Regularizer
from kerastorch.regularizers._regularizers import l1 as l1
from kerastorch.regularizers._regularizers import l1_l2 as l1_l2
from kerastorch.regularizers._regularizers import l2 as l2
from kerastorch.regularizers._regularizers import orthogonal_regularizer as orthogonal_regularizer
