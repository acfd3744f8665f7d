"""Optimizers: Keras's constructors and arithmetic on `torch.optim.Optimizer`.

>>> import kerastorch as keras, torch
>>> weights = [torch.nn.Parameter(torch.tensor([3.0])), torch.nn.Parameter(torch.tensor([1.0]))]
>>> optimizer = keras.optimizers.Adam(learning_rate=0.1)
>>> optimizer.build(weights)
>>> scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
>>> for _ in range(2):
...     optimizer.zero_grad()
...     (weights[0] * weights[1]).sum().backward()
...     optimizer.step()
...     scheduler.step()
>>> int(optimizer.iterations), round(float(optimizer.learning_rate), 4)
(2, 0.025)
"""

from kerastorch.optimizers import schedules as schedules
from kerastorch.optimizers._adafactor import Adafactor as Adafactor
from kerastorch.optimizers._adam import Adam as Adam
from kerastorch.optimizers._adam import Adamax as Adamax
from kerastorch.optimizers._adam import AdamW as AdamW
from kerastorch.optimizers._adam import Lamb as Lamb
from kerastorch.optimizers._adam import Nadam as Nadam
from kerastorch.optimizers._adam import ScheduleFreeAdamW as ScheduleFreeAdamW
from kerastorch.optimizers._ftrl import Ftrl as Ftrl
from kerastorch.optimizers._get import deserialize as deserialize
from kerastorch.optimizers._get import get as get
from kerastorch.optimizers._get import serialize as serialize
from kerastorch.optimizers._loss_scale import LossScaleOptimizer as LossScaleOptimizer
from kerastorch.optimizers._muon import Muon as Muon
from kerastorch.optimizers._optimizer import Optimizer as Optimizer
from kerastorch.optimizers._rmsprop import Adadelta as Adadelta
from kerastorch.optimizers._rmsprop import Adagrad as Adagrad
from kerastorch.optimizers._rmsprop import RMSprop as RMSprop
from kerastorch.optimizers._sgd import SGD as SGD
from kerastorch.optimizers._sgd import Lion as Lion
