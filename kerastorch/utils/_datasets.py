"""Data sets from arrays: windows of a series, and parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from kerastorch import tree
from kerastorch.data import Dataset
from kerastorch.data._tensors import to_element


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
) -> Dataset:
    """Windows of a series: batches of (B, sequence_length, ...), with the targets (B, ...) if there are any.

    Window n begins at row ``n * sequence_stride`` and takes each `sampling_rate`-th row; its target is the row of
    `targets` of the same number. Of both only the rows from `start_index` to before `end_index` are read.
    With `batch_size` None the elements are single windows.

    >>> import numpy as np, kerastorch as keras
    >>> data = keras.utils.timeseries_dataset_from_array(np.arange(5), np.arange(5) * 10, 3)
    >>> for x, y in data:
    ...     print(x.tolist(), y.tolist())
    [[0, 1, 2], [1, 2, 3], [2, 3, 4]] [0, 10, 20]
    """
    series = to_element(data)
    _check_windows(len(series), sequence_stride, sampling_rate, start_index, end_index)
    start, end = start_index or 0, len(series) if end_index is None else end_index
    count = end - start - (sequence_length - 1) * sampling_rate
    series, wanted = series[start:end], None
    if targets is not None:
        wanted = to_element(targets)[start:end]
        count = min(count, len(wanted))
    if count < 1:
        raise ValueError(
            f"timeseries_dataset_from_array: a window takes {(sequence_length - 1) * sampling_rate + 1} rows, "
            f"and there are {end - start}."
        )
    span = (sequence_length - 1) * sampling_rate + 1
    windows = series.unfold(0, span, 1)[:count:sequence_stride, ..., ::sampling_rate].movedim(-1, 1)
    if wanted is None:
        dataset = Dataset.from_tensor_slices(windows)
    else:
        dataset = Dataset.from_tensor_slices((windows, wanted[:count:sequence_stride]))
    if shuffle:
        dataset = dataset.shuffle(len(windows), seed=seed)
    return dataset if batch_size is None else dataset.batch(batch_size)


def _check_windows(rows: int, stride: int, rate: int, start: int | None, end: int | None) -> None:
    bounds = {
        "sequence_stride": (stride, 1),
        "sampling_rate": (rate, 1),
        "start_index": (0 if start is None else start, 0),
        "end_index": (1 if end is None else end, (start or 0) + 1),
    }
    for name, (value, least) in bounds.items():
        most = rows if name == "end_index" else rows - 1
        if not least <= value <= max(most, least):
            raise ValueError(
                f"timeseries_dataset_from_array: `{name}` must be from {least} to {most} "
                f"for a series of {rows} rows, received {value}."
            )


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
) -> tuple[Dataset, Dataset]:
    """The first and the last elements of data as two data sets.

    Args:
        dataset: an array, a tuple, list or dict of arrays with the same first axis, a `Dataset`, or a
            `torch.utils.data.Dataset`; its elements are kept in memory.
        left_size, right_size: a number of elements, or a fraction. One of them may be left out.
        shuffle: draw which elements go where, in place of the order; `seed` makes it the same again.

    >>> import numpy as np, kerastorch as keras
    >>> left, right = keras.utils.split_dataset(np.arange(10), left_size=0.8)
    >>> len(left), [int(x) for x in right]
    (8, [8, 9])
    """
    rows = _rows(dataset)
    total = len(tree.flatten(rows)[0])
    left, right = _split_sizes(left_size, right_size, total)
    order = np.arange(total)
    if shuffle:
        np.random.default_rng(seed).shuffle(order)
    places = torch.from_numpy(order)

    def part(index: torch.Tensor) -> Dataset:
        return Dataset.from_tensor_slices(tree.map_structure(lambda leaf: leaf[index], rows))

    return part(places[:left]), part(places[total - right :])


def _rows(dataset: Any) -> Any:
    """A nest of tensors with a row for each element."""
    if isinstance(dataset, torch.utils.data.Dataset) and hasattr(dataset, "__len__"):
        rows: Any = dataset
        dataset = Dataset.from_generator(lambda: (rows[at] for at in range(len(rows))))
    if not isinstance(dataset, Dataset):
        arrays = isinstance(dataset, list) and all(hasattr(part, "shape") for part in dataset)
        return to_element(tuple(dataset) if arrays else dataset)
    elements = list(dataset)
    if not elements:
        raise ValueError("split_dataset: the data have no elements.")
    return tree.map_structure(lambda *leaves: torch.stack(leaves), *elements)


def _split_sizes(left: float | None, right: float | None, total: int) -> tuple[int, int]:
    """Both as numbers of elements."""
    if left is None and right is None:
        raise ValueError("split_dataset: give `left_size`, `right_size` or both.")
    for name, size in (("left_size", left), ("right_size", right)):
        highest = 1 if isinstance(size, float) else total
        if size is not None and not 0 < size < highest:
            raise ValueError(
                f"split_dataset: `{name}` must be a number of elements below {total} or a fraction in (0, 1), "
                f"received {size!r}."
            )
    a, b = (round(size * total) if isinstance(size, float) else size for size in (left, right))
    a, b = total - (b or 0) if a is None else a, total - (a or 0) if b is None else b
    if a + b > total or min(a, b) < 1:
        raise ValueError(f"split_dataset: {total} elements cannot be split into {a} and {b}.")
    return a, b
