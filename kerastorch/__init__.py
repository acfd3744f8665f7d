"""The Keras API as native PyTorch.

``import kerastorch as keras``: layers are `nn.Module`s, functional models are `torch.fx` graphs,
``fit`` is a PyTorch loop.
"""

from kerastorch import activations as activations
from kerastorch import backend as backend
from kerastorch import callbacks as callbacks
from kerastorch import config as config
from kerastorch import constraints as constraints
from kerastorch import data as data
from kerastorch import datasets as datasets
from kerastorch import dtype_policies as dtype_policies
from kerastorch import initializers as initializers
from kerastorch import layers as layers
from kerastorch import losses as losses
from kerastorch import metrics as metrics
from kerastorch import mixed_precision as mixed_precision
from kerastorch import models as models
from kerastorch import ops as ops
from kerastorch import optimizers as optimizers
from kerastorch import preprocessing as preprocessing
from kerastorch import random as random
from kerastorch import regularizers as regularizers
from kerastorch import saving as saving
from kerastorch import tree as tree
from kerastorch import utils as utils
from kerastorch._graph import KerasTensor as KerasTensor
from kerastorch._remat import remat as remat
from kerastorch._scope import device as device
from kerastorch._scope import name_scope as name_scope
from kerastorch._variable import Variable as Variable
from kerastorch.dtype_policies import DTypePolicy as DTypePolicy
from kerastorch.dtype_policies import FloatDTypePolicy as FloatDTypePolicy
from kerastorch.initializers import Initializer as Initializer
from kerastorch.layers import Input as Input
from kerastorch.layers import InputSpec as InputSpec
from kerastorch.layers import Layer as Layer
from kerastorch.losses import Loss as Loss
from kerastorch.metrics import Metric as Metric
from kerastorch.models import Functional as Functional
from kerastorch.models import Model as Model
from kerastorch.models import Sequential as Sequential
from kerastorch.optimizers import Optimizer as Optimizer
from kerastorch.regularizers import Regularizer as Regularizer

__version__ = "0.1.0"
version = __version__
