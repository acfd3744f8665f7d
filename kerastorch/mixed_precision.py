"""The names under which TF 2 has dtype policies and loss scaling.

>>> import kerastorch as keras
>>> keras.mixed_precision.set_global_policy("mixed_bfloat16")
>>> keras.layers.Dense(1).compute_dtype
'bfloat16'
>>> keras.mixed_precision.set_global_policy(None)
"""

from kerastorch.dtype_policies import DTypePolicy as DTypePolicy
from kerastorch.dtype_policies import dtype_policy as dtype_policy
from kerastorch.dtype_policies import set_dtype_policy as set_dtype_policy
from kerastorch.optimizers import LossScaleOptimizer as LossScaleOptimizer

Policy = DTypePolicy
global_policy = dtype_policy
set_global_policy = set_dtype_policy
