"""Learning rates that are a function of the step: pass one as ``learning_rate``.

>>> import kerastorch as keras
>>> schedule = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)
>>> optimizer = keras.optimizers.SGD(learning_rate=schedule)
>>> round(float(schedule(200)), 6)
0.025
"""

from kerastorch.optimizers.schedules._base import LearningRateSchedule as LearningRateSchedule
from kerastorch.optimizers.schedules._base import deserialize as deserialize
from kerastorch.optimizers.schedules._base import get as get
from kerastorch.optimizers.schedules._base import serialize as serialize
from kerastorch.optimizers.schedules._cosine import CosineDecay as CosineDecay
from kerastorch.optimizers.schedules._cosine import CosineDecayRestarts as CosineDecayRestarts
from kerastorch.optimizers.schedules._decay import ExponentialDecay as ExponentialDecay
from kerastorch.optimizers.schedules._decay import InverseTimeDecay as InverseTimeDecay
from kerastorch.optimizers.schedules._decay import PiecewiseConstantDecay as PiecewiseConstantDecay
from kerastorch.optimizers.schedules._decay import PolynomialDecay as PolynomialDecay
