"""The data arguments of fit, evaluate and predict: checked, adapted, split."""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from kerastorch import config, tree
from kerastorch import data as data_module
from kerastorch.data import ArrayBatches, Batches


def say_if_one_of_many() -> None:
    """Warn in a process that torchrun has started beside others: each would train a model of its own."""
    group = torch.distributed
    if group.is_available() and group.is_initialized():
        count = group.get_world_size()
    else:
        count = int(os.environ.get("WORLD_SIZE", 1)) if "TORCHELASTIC_RUN_ID" in os.environ else 1
    if count > 1:
        warnings.warn(
            f"This process is one of {count}, and `fit` shares nothing between them: each trains a model of its "
            "own. For one model, share the gradients in a `train_step` of your own, or train in a loop "
            "of your own with torch.nn.parallel.DistributedDataParallel.",
            stacklevel=3,
        )


def training_data(
    x: Any,
    y: Any,
    sample_weight: Any,
    batch_size: int | None,
    shuffle: bool | str,
    validation_split: float,
    validation_data: Any,
    validation_batch_size: int | None,
) -> tuple[Batches, Batches | None]:
    """What to train on and what to validate on."""
    if not isinstance(validation_split, (int, float)) or not 0 <= validation_split < 1:
        raise ValueError(
            "`validation_split` must be in (0, 1), the fraction of rows to hold out, "
            f"received {validation_split!r}."
        )
    train = data_module.adapt(x, y, sample_weight, batch_size=batch_size, shuffle=shuffle)
    if sample_weight is not None and isinstance(train, ArrayBatches):
        _look_at_weights(data_module.unpack_x_y_sample_weight(train.whole())[2])
    if validation_data is not None:
        return train, _validation_data(validation_data, batch_size, validation_batch_size)
    if not validation_split:
        return train, None
    if not isinstance(train, ArrayBatches) or isinstance(x, torch.utils.data.Dataset):
        raise ValueError(
            "`validation_split` needs arrays, whose last rows it holds out; "
            f"received {type(x).__name__}. Use `validation_data`."
        )
    first, last = data_module.split(train.whole(), validation_split)
    validation = ArrayBatches(last, validation_batch_size or train.batch_size)
    return ArrayBatches(first, train.batch_size, train.shuffle), validation


def _look_at_weights(sample_weight: Any) -> None:
    """Warn of weights that train in silence and that hardly anybody means."""
    weights = [leaf for leaf in tree.flatten(sample_weight) if leaf is not None]
    if any(bool((w < 0).any()) for w in weights):
        warnings.warn(
            "`sample_weight` has negative entries: training makes the losses of those rows larger.",
            stacklevel=4,
        )
    if weights and not any(bool(w.any()) for w in weights):
        warnings.warn("`sample_weight` is 0 everywhere: there is nothing to learn.", stacklevel=4)


def checked_epochs(epochs: Any, initial_epoch: Any) -> int:
    """The epoch to stop after. Raise unless both are counts; warn if there is nothing to do because of a
    misunderstanding."""
    check_count("epochs", epochs, 0)
    check_count("initial_epoch", initial_epoch, 0)
    if initial_epoch > epochs:
        warnings.warn(
            f"`initial_epoch`={initial_epoch} is beyond `epochs`={epochs}, the epoch to stop after: "
            "nothing is trained.",
            stacklevel=3,
        )
    limit = config.max_epochs()
    return int(epochs if limit is None else min(epochs, limit))


@contextlib.contextmanager
def checking_validation() -> Iterator[None]:
    """Errors within say that it is the validation data that they are about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"In the validation data: {error}") from error


def _validation_data(given: Any, batch_size: int | None, own: int | None) -> Batches:
    if isinstance(given, (tuple, list)):
        if not 2 <= len(given) <= 3:
            raise ValueError(
                "`validation_data` must be (x, y) or (x, y, sample_weight), "
                f"received {len(given)} entries."
            )
        x, y, weight = (*given, None)[:3]
        return data_module.adapt(x, y, weight, batch_size=own or batch_size)
    if isinstance(given, torch.utils.data.Dataset):
        return data_module.adapt(given, batch_size=own or batch_size)
    batches = data_module.adapt(given)
    if isinstance(batches, ArrayBatches):
        batches.batch_size = own or batch_size or batches.batch_size
    elif own is not None:
        raise ValueError(
            f"`validation_batch_size` is for arrays: `validation_data` is {type(given).__name__}, "
            "which gives batches already."
        )
    return batches


def use_workers(
    batches: Batches, workers: int, use_multiprocessing: bool, max_queue_size: int
) -> None:
    """Hand on how batches are made."""
    check_count("workers", workers, 0)
    check_count("max_queue_size", max_queue_size, 1)
    batches.use_workers(workers, bool(use_multiprocessing), max_queue_size)


def epoch_steps(name: str, given: int | None, batches: Batches) -> int | None:
    """The number of steps that the argument `name` asks for; None for a pass over the data."""
    check_optional(name, given)
    available = batches.steps
    limit = config.max_steps_per_epoch()
    if limit is not None and limit < (available or math.inf if given is None else given):
        return limit
    if given is None:
        if available == math.inf:
            raise ValueError(f"The data have no end: say by `{name}` how many batches to read.")
        return None
    if batches.restarts and available is not None and given > available:
        warnings.warn(
            f"`{name}`={given}, but the data have {available} batches: {available} steps are made.",
            stacklevel=3,
        )
        return int(available)
    return given


def check_count(name: str, value: Any, lowest: int) -> None:
    """Raise unless `value` is an integer and large enough."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < lowest:
        raise ValueError(f"`{name}` must be an integer >= {lowest}, received {value!r}.")


def check_optional(name: str, value: Any) -> None:
    """Raise unless `value` is None or a positive integer."""
    if value is not None:
        check_count(name, value, 1)


def check_frequency(value: Any) -> None:
    """Raise unless `value` is a positive integer or a collection of them."""
    for number in value if isinstance(value, (list, tuple, set, frozenset, range)) else [value]:
        check_count("validation_freq", number, 1)
