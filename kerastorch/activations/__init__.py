"""Activation functions: a tensor in, a tensor out.

Layers take them as ``activation="gelu"`` or ``activation=activations.gelu``. Each is one fused
torch function where torch has one. Numpy arrays, lists and numbers are taken as tensors.

>>> import torch
>>> from kerastorch import activations
>>> activations.get("relu")(torch.tensor([-1.0, 2.0]))
tensor([0., 2.])
>>> activations.serialize(activations.swish)
'silu'
"""

from kerastorch.activations._activations import celu as celu
from kerastorch.activations._activations import elu as elu
from kerastorch.activations._activations import exponential as exponential
from kerastorch.activations._activations import gelu as gelu
from kerastorch.activations._activations import glu as glu
from kerastorch.activations._activations import hard_shrink as hard_shrink
from kerastorch.activations._activations import hard_sigmoid as hard_sigmoid
from kerastorch.activations._activations import hard_silu as hard_silu
from kerastorch.activations._activations import hard_swish as hard_swish
from kerastorch.activations._activations import hard_tanh as hard_tanh
from kerastorch.activations._activations import leaky_relu as leaky_relu
from kerastorch.activations._activations import linear as linear
from kerastorch.activations._activations import log_sigmoid as log_sigmoid
from kerastorch.activations._activations import log_softmax as log_softmax
from kerastorch.activations._activations import mish as mish
from kerastorch.activations._activations import relu as relu
from kerastorch.activations._activations import relu6 as relu6
from kerastorch.activations._activations import selu as selu
from kerastorch.activations._activations import sigmoid as sigmoid
from kerastorch.activations._activations import silu as silu
from kerastorch.activations._activations import soft_shrink as soft_shrink
from kerastorch.activations._activations import softmax as softmax
from kerastorch.activations._activations import softplus as softplus
from kerastorch.activations._activations import softsign as softsign
from kerastorch.activations._activations import sparse_plus as sparse_plus
from kerastorch.activations._activations import sparse_sigmoid as sparse_sigmoid
from kerastorch.activations._activations import sparsemax as sparsemax
from kerastorch.activations._activations import squareplus as squareplus
from kerastorch.activations._activations import swish as swish
from kerastorch.activations._activations import tanh as tanh
from kerastorch.activations._activations import tanh_shrink as tanh_shrink
from kerastorch.activations._activations import threshold as threshold
from kerastorch.activations._lookup import deserialize as deserialize
from kerastorch.activations._lookup import get as get
from kerastorch.activations._lookup import serialize as serialize
