"""Callbacks: what `fit`, `evaluate` and `predict` do besides the arithmetic."""

from __future__ import annotations

from kerastorch.callbacks._backup import BackupAndRestore as BackupAndRestore
from kerastorch.callbacks._callback import Callback as Callback
from kerastorch.callbacks._callback import LambdaCallback as LambdaCallback
from kerastorch.callbacks._callback_list import CallbackList as CallbackList
from kerastorch.callbacks._checkpoint import ModelCheckpoint as ModelCheckpoint
from kerastorch.callbacks._csv_logger import CSVLogger as CSVLogger
from kerastorch.callbacks._early_stopping import EarlyStopping as EarlyStopping
from kerastorch.callbacks._history import History as History
from kerastorch.callbacks._monitor import MonitorCallback as MonitorCallback
from kerastorch.callbacks._plateau import ReduceLROnPlateau as ReduceLROnPlateau
from kerastorch.callbacks._progbar_logger import ProgbarLogger as ProgbarLogger
from kerastorch.callbacks._remote_monitor import RemoteMonitor as RemoteMonitor
from kerastorch.callbacks._scheduler import LearningRateScheduler as LearningRateScheduler
from kerastorch.callbacks._swap_ema_weights import SwapEMAWeights as SwapEMAWeights
from kerastorch.callbacks._tensorboard import TensorBoard as TensorBoard
from kerastorch.callbacks._terminate_on_nan import TerminateOnNaN as TerminateOnNaN
