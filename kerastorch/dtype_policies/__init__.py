"""Which dtype a layer stores its weights in and which it computes in."""

from kerastorch.dtype_policies._policy import DTypePolicy as DTypePolicy
from kerastorch.dtype_policies._policy import deserialize as deserialize
from kerastorch.dtype_policies._policy import dtype_policy as dtype_policy
from kerastorch.dtype_policies._policy import get as get
from kerastorch.dtype_policies._policy import serialize as serialize
from kerastorch.dtype_policies._policy import set_dtype_policy as set_dtype_policy

FloatDTypePolicy = DTypePolicy
