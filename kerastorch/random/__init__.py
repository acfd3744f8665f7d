"""Random numbers, with Keras's names and torch's generators.

`seed` says where the numbers of a call come from:

- ``None``: torch's global generator of the device, so `torch.manual_seed` governs them;
- an integer: a fresh generator, hence the same numbers on every call;
- a `SeedGenerator`: the next numbers of its own stream.

Tensors are made on torch's current default device. All functions run inside `torch.compile`;
`binomial` and the seeded `categorical`, `gamma` and `beta` split the graph there.

>>> import torch
>>> from kerastorch import random
>>> torch.equal(random.normal((3,), seed=1), random.normal((3,), seed=1))
True
"""

from kerastorch.random._draw import beta as beta
from kerastorch.random._draw import binomial as binomial
from kerastorch.random._draw import categorical as categorical
from kerastorch.random._draw import dropout as dropout
from kerastorch.random._draw import gamma as gamma
from kerastorch.random._draw import normal as normal
from kerastorch.random._draw import randint as randint
from kerastorch.random._draw import shuffle as shuffle
from kerastorch.random._draw import truncated_normal as truncated_normal
from kerastorch.random._draw import uniform as uniform
from kerastorch.random._seed import SeedGenerator as SeedGenerator
