"""Evaluate with the averaged weights, train with the others."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch.callbacks._callback import Callback, Logs


class SwapEMAWeights(Callback):
    """Give the model its averaged weights while it is evaluated or predicts.

    For an optimizer with ``use_ema=True``. With `swap_on_epoch` the model has them from the end of
    each epoch to the next one's beginning, for callbacks that come later in the list, such as
    `ModelCheckpoint`. Meanwhile a copy of the trained weights is kept on the device. At the end of
    training the model has the averages, as after any training with ``use_ema``; if it is
    interrupted it has the weights that were trained, or with `swap_on_epoch` between two epochs the
    averages. Keras: ``keras.callbacks.SwapEMAWeights``.

    >>> import numpy as np, kerastorch as keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(use_ema=True), "mse")
    >>> data = np.ones((4, 2)), np.ones(4)
    >>> _ = model.fit(*data, validation_data=data, verbose=0,
    ...               callbacks=[keras.callbacks.SwapEMAWeights()])
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._trained: list[torch.Tensor] | None = None  # set aside while the averages are in
        self._until = ""  # the hook that brings them back

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Refuse an optimizer without averages."""
        self._averages()
        self._swap_out(self._until)  # where a prediction was interrupted

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Go on training with the weights of the last step."""
        self._swap_out("epoch")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """With `swap_on_epoch`, put the averages in."""
        if self.swap_on_epoch:
            self._swap_in("epoch")

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Put the averages in."""
        self._swap_in("test")

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Take them out."""
        self._swap_out("test")

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Put the averages in."""
        self._swap_in("predict")

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Take them out."""
        self._swap_out("predict")

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Take them out if an evaluation was interrupted."""
        self._swap_out("test")
        self._trained = None

    def _averages(self) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        optimizer: Any = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        if not getattr(optimizer, "use_ema", False):
            raise ValueError(
                "SwapEMAWeights needs an optimizer of kerastorch with use_ema=True, "
                f"received {optimizer!r}."
            )
        weights = [p for group in optimizer.param_groups for p in group["params"]]
        return weights, [optimizer.state[weight]["average"] for weight in weights]

    @torch.no_grad()
    def _swap_in(self, until: str) -> None:
        if self._trained is None:
            weights, averages = self._averages()
            self._until, self._trained = until, [weight.clone() for weight in weights]
            torch._foreach_copy_(weights, averages)

    @torch.no_grad()
    def _swap_out(self, hook: str) -> None:
        if self._trained is not None and self._until == hook:
            torch._foreach_copy_(self._averages()[0], self._trained)
            self._trained = None
