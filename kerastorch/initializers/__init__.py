"""Initializers: ``f(shape, dtype=None)`` gives the first value of a weight.

Layers take them as ``kernel_initializer="he_normal"`` or ``kernel_initializer=HeNormal(seed=1)``.
Tensors are made on torch's current default device. The random ones draw from torch's global
generator, so `torch.manual_seed` governs them, unless they have a `seed` of their own: an integer
(the same numbers on every call) or a `kerastorch.random.SeedGenerator` (a stream).

>>> from kerastorch import initializers
>>> initializers.get("glorot_uniform")((3, 2)).shape
torch.Size([3, 2])
"""

from kerastorch.initializers._constant import STFT as STFT
from kerastorch.initializers._constant import Constant as Constant
from kerastorch.initializers._constant import Identity as Identity
from kerastorch.initializers._constant import IdentityInitializer as IdentityInitializer
from kerastorch.initializers._constant import Ones as Ones
from kerastorch.initializers._constant import STFTInitializer as STFTInitializer
from kerastorch.initializers._constant import Zeros as Zeros
from kerastorch.initializers._constant import constant as constant
from kerastorch.initializers._constant import identity as identity
from kerastorch.initializers._constant import ones as ones
from kerastorch.initializers._constant import stft as stft
from kerastorch.initializers._constant import zeros as zeros
from kerastorch.initializers._initializer import Initializer as Initializer
from kerastorch.initializers._lookup import deserialize as deserialize
from kerastorch.initializers._lookup import get as get
from kerastorch.initializers._lookup import serialize as serialize
from kerastorch.initializers._random import GlorotNormal as GlorotNormal
from kerastorch.initializers._random import GlorotUniform as GlorotUniform
from kerastorch.initializers._random import HeNormal as HeNormal
from kerastorch.initializers._random import HeUniform as HeUniform
from kerastorch.initializers._random import LecunNormal as LecunNormal
from kerastorch.initializers._random import LecunUniform as LecunUniform
from kerastorch.initializers._random import Orthogonal as Orthogonal
from kerastorch.initializers._random import OrthogonalInitializer as OrthogonalInitializer
from kerastorch.initializers._random import RandomNormal as RandomNormal
from kerastorch.initializers._random import RandomUniform as RandomUniform
from kerastorch.initializers._random import TruncatedNormal as TruncatedNormal
from kerastorch.initializers._random import VarianceScaling as VarianceScaling
from kerastorch.initializers._random import glorot_normal as glorot_normal
from kerastorch.initializers._random import glorot_uniform as glorot_uniform
from kerastorch.initializers._random import he_normal as he_normal
from kerastorch.initializers._random import he_uniform as he_uniform
from kerastorch.initializers._random import lecun_normal as lecun_normal
from kerastorch.initializers._random import lecun_uniform as lecun_uniform
from kerastorch.initializers._random import orthogonal as orthogonal
from kerastorch.initializers._random import random_normal as random_normal
from kerastorch.initializers._random import random_uniform as random_uniform
from kerastorch.initializers._random import truncated_normal as truncated_normal
from kerastorch.initializers._random import variance_scaling as variance_scaling
