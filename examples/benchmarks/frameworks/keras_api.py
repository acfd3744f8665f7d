"""kerastorch and Keras: the same model, the same `compile`, the same call."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def prepare(workload: Any, x: Any, y: Any, package: str, **options: Any) -> Callable[[], Any]:
    keras = importlib.import_module(package)
    keras.utils.set_random_seed(0)
    model = workload.build(keras)
    optimizer = getattr(keras.optimizers, workload.optimizer)()
    model.compile(optimizer, **workload.settings(keras), **options)
    data = workload.feed(keras, x, y) | {"verbose": 0}
    if workload.kind == "predict":
        del data["y"]
        return lambda: model.predict(**data) is None
    callbacks = [_listener(keras) for _ in range(workload.callbacks)]
    run = model.fit if workload.kind == "fit" else model.evaluate
    return lambda: run(callbacks=callbacks, **data) is None


def _listener(keras: Any) -> Any:
    class Listener(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        """Hears every batch and reads nothing."""

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            pass

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            pass

    return Listener()
