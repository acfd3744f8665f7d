"""`Dataset`: orders worked out by hand, and one pipeline over arrays equal to the same over a generator."""

import itertools
import math
import pickle
import threading
import time

import numpy as np
import pytest
import torch

from kerastorch.data import (
    AUTOTUNE,
    INFINITE_CARDINALITY,
    UNKNOWN_CARDINALITY,
    Dataset,
)


def numbers(dataset) -> list:
    return [element.tolist() for element in dataset]


def endless() -> Dataset:
    return Dataset.from_generator(itertools.count)


# The steps, the elements and the cardinality, all by the definitions of tf.data.
STEPS = {
    "take": (lambda d: d.take(2), [0, 1], 2),
    "take too many": (lambda d: d.take(9), [0, 1, 2, 3, 4], 5),
    "take all": (lambda d: d.take(-1), [0, 1, 2, 3, 4], 5),
    "skip": (lambda d: d.skip(2), [2, 3, 4], 3),
    "skip too many": (lambda d: d.skip(9), [], 0),
    "skip all": (lambda d: d.skip(-1), [], 0),
    "repeat": (lambda d: d.take(2).repeat(3), [0, 1] * 3, 6),
    "repeat never": (lambda d: d.repeat(0), [], 0),
    "repeat nothing": (lambda d: d.take(0).repeat(), [], 0),
    "repeat for ever": (lambda d: d.repeat().take(7), [0, 1, 2, 3, 4, 0, 1], 7),
    "repeat then batch": (lambda d: d.take(3).repeat(2).batch(2), [[0, 1], [2, 0], [1, 2]], 3),
    "batch then repeat": (lambda d: d.take(3).batch(2).repeat(2), [[0, 1], [2], [0, 1], [2]], 4),
    "batch": (lambda d: d.batch(2), [[0, 1], [2, 3], [4]], 3),
    "batch whole": (lambda d: d.batch(2, drop_remainder=True), [[0, 1], [2, 3]], 2),
    "batch too large": (lambda d: d.batch(9, drop_remainder=True), [], 0),
    "batch twice": (lambda d: d.batch(2).batch(2, True), [[[0, 1], [2, 3]]], 1),
    "unbatch": (lambda d: d.batch(2).unbatch(), [0, 1, 2, 3, 4], None),
    "map": (lambda d: d.map(lambda n: n * n), [0, 1, 4, 9, 16], 5),
    "map in threads": (lambda d: d.map(lambda n: n * n, 3), [0, 1, 4, 9, 16], 5),
    "filter": (lambda d: d.filter(lambda n: n % 2 == 1), [1, 3], None),
    "concatenate": (lambda d: d.take(1).concatenate(d.skip(3)), [0, 3, 4], 3),
    "shard": (lambda d: d.shard(2, 1), [1, 3], 2),
    "shard first": (lambda d: d.shard(2, 0), [0, 2, 4], 3),
    "prefetch": (lambda d: d.prefetch(2), [0, 1, 2, 3, 4], 5),
    "cache": (lambda d: d.cache(), [0, 1, 2, 3, 4], 5),
    "apply": (lambda d: d.apply(lambda other: other.take(1)), [0], 1),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("source", ["slices", "generator"])
def test_steps(name: str, source: str) -> None:
    step, expected, count = STEPS[name]
    known = source == "slices"
    data = step(Dataset.range(5) if known else Dataset.from_generator(lambda: range(5)))
    assert numbers(data) == expected
    assert numbers(data) == expected  # again from the beginning
    if known and count is not None:
        assert len(data) == data.cardinality() == count
    elif count is None:
        assert data.cardinality() == UNKNOWN_CARDINALITY


def test_zip_and_enumerate() -> None:
    a, b = Dataset.range(3), Dataset.range(10, 20)
    assert [(int(x), int(y)) for x, y in Dataset.zip(a, b)] == [(0, 10), (1, 11), (2, 12)]
    assert len(Dataset.zip((a, b))) == 3
    nested = Dataset.zip({"a": a, "b": (b, b)})
    assert next(iter(nested)) == {"a": 0, "b": (10, 10)}
    assert [(int(n), int(x)) for n, x in b.take(2).enumerate(start=5)] == [(5, 10), (6, 11)]
    assert len(b.enumerate()) == 10
    assert Dataset.zip(a, endless()).cardinality() == UNKNOWN_CARDINALITY


def test_functions_get_tuples_as_arguments_and_dicts_whole() -> None:
    pairs = Dataset.from_tensor_slices(([1, 2, 3], [4, 5, 6]))
    assert numbers(pairs.map(lambda x, y: x + y)) == [5, 7, 9]
    assert [int(x) for x, _ in pairs.filter(lambda x, y: y > 4)] == [2, 3]
    named = Dataset.from_tensor_slices({"a": [1, 2]})
    assert numbers(named.map(lambda row: row["a"])) == [1, 2]
    assert list(pairs.map(lambda x, y: {"x": x}).take(1)) == [{"x": 1}]


def test_structures_dtypes_and_views() -> None:
    x = np.arange(6, dtype="float32").reshape(3, 2)
    data = Dataset.from_tensor_slices(({"a": x, "b": np.arange(3.0)}, [1, 2, 3]))
    (inputs, target), *_ = data.batch(2)
    assert inputs["a"].tolist() == [[0, 1], [2, 3]]
    assert inputs["b"].dtype == torch.float32  # float64 is floatx everywhere
    assert target.dtype == torch.int64
    assert inputs["a"].data_ptr() == x.ctypes.data  # nothing was copied
    texts = Dataset.from_tensor_slices((["a", "b", "c"], [1, 2, 3]))
    assert [(text.tolist(), n.tolist()) for text, n in texts.shuffle(1).batch(2)] == [
        (["a", "b"], [1, 2]),
        (["c"], [3]),
    ]
    stacked = Dataset.from_generator(lambda: iter([("a", 1.5), ("b", 2.5)])).batch(2)
    assert [(text.tolist(), n.tolist()) for text, n in stacked] == [(["a", "b"], [1.5, 2.5])]
    assert numbers(Dataset.from_tensors(x)) == [x.tolist()]
    assert [type(e) for e in Dataset.range(1).as_numpy_iterator()] == [np.int64]


PIPELINES = {
    "shuffle": lambda d: d.shuffle(4, seed=3),
    "shuffle all": lambda d: d.shuffle(100, seed=3),
    "shuffle, batch": lambda d: d.shuffle(4, seed=3).batch(3),
    "shuffle, repeat, batch": lambda d: (
        d.shuffle(4, seed=3).repeat(2).batch(3, drop_remainder=True)
    ),
    "batch, shuffle": lambda d: d.batch(3).shuffle(2, seed=5),
    "skip, shuffle, take, batch": lambda d: d.skip(1).shuffle(9, seed=1).take(7).batch(2),
    "cache after shuffle": lambda d: d.shuffle(9, seed=1).cache().repeat(2).batch(4),
    "shard": lambda d: d.shuffle(9, seed=1).shard(3, 1).batch(2),
    "map between": lambda d: d.shuffle(4, seed=3).map(lambda a, b: (b["c"], a)).batch(4),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_arrays_and_generators_give_the_same(name: str) -> None:
    a, c = np.arange(22.0).reshape(11, 2), np.arange(11)
    slices = Dataset.from_tensor_slices((a, {"c": c}))
    generated = Dataset.from_generator(lambda: ((a[i], {"c": c[i]}) for i in range(11)))
    one, other = PIPELINES[name](slices), PIPELINES[name](generated)
    for _ in range(2):
        for u, v in itertools.zip_longest(one, other):
            torch.testing.assert_close(u, v, rtol=0, atol=0)


@pytest.mark.parametrize("size", [1, 3, 10, 50])
def test_shuffle_buffer(size: int) -> None:
    """An element cannot come more than the buffer's size early, and all come once."""
    order = numbers(Dataset.range(40).shuffle(size))
    assert sorted(order) == list(range(40))
    assert all(element <= place + size - 1 for place, element in enumerate(order))
    assert (order == list(range(40))) == (size == 1)


def test_shuffle_is_uniform() -> None:
    """With a buffer of 3 the first of 5 is 0, 1 or 2; with one of 5 every order is as likely."""
    draws = 2000
    first = np.bincount([numbers(Dataset.range(5).shuffle(3))[0] for _ in range(draws)])
    assert len(first) == 3
    assert np.abs(first / draws - 1 / 3).max() < 4 * math.sqrt(2 / 9 / draws)
    orders = [tuple(numbers(Dataset.range(3).shuffle(5))) for _ in range(draws)]
    counts = np.array([orders.count(p) for p in itertools.permutations(range(3))])
    assert np.abs(counts / draws - 1 / 6).max() < 4 * math.sqrt(5 / 36 / draws)


def test_shuffle_seeds() -> None:
    data = Dataset.range(50)
    one, other = data.shuffle(50, seed=1), data.shuffle(50, seed=1)
    first, second = numbers(one), numbers(one)
    assert first != second
    assert [numbers(other), numbers(other)] == [first, second]
    for seed in (None, 1):
        fixed = data.shuffle(50, seed=seed, reshuffle_each_iteration=False)
        assert numbers(fixed) == numbers(fixed)
    unseeded = data.shuffle(50)
    torch.manual_seed(3)
    orders = [numbers(unseeded), numbers(unseeded)]
    assert orders[0] != orders[1]
    torch.manual_seed(3)
    fresh = data.shuffle(50)
    assert [numbers(fresh), numbers(fresh)] == orders
    again = numbers(data.shuffle(50, seed=1).repeat(2))
    assert again == first + second


def test_sources_are_read_lazily_and_from_the_start() -> None:
    calls = []

    def source(stop):
        for n in range(stop):
            calls.append(n)
            yield n

    data = Dataset.from_generator(source, args=(100,)).map(lambda n: n + 1).batch(2)
    assert calls == []
    iterator = iter(data)
    assert next(iterator).tolist() == [1, 2]
    assert calls == [0, 1]
    assert numbers(data.take(1)) == [[1, 2]]
    assert calls == [0, 1, 0, 1]
    assert numbers(endless().repeat().shuffle(3).take(2).take(0)) == []


def test_cache_keeps_what_was_read_to_the_end() -> None:
    calls = []
    data = Dataset.range(3).map(lambda n: calls.append(int(n)) or n).cache()
    next(iter(data))
    assert calls == [0]
    assert numbers(data) == numbers(data) == [0, 1, 2]
    assert calls == [0, 0, 1, 2]


def test_lengths() -> None:
    data = Dataset.range(5)
    for unknown in (endless(), data.filter(bool), data.batch(2).unbatch().batch(2)):
        assert unknown.cardinality() == UNKNOWN_CARDINALITY
        with pytest.raises(TypeError, match="unknown"):
            len(unknown)
        assert unknown  # a dataset is not empty for want of a length
    for infinite in (
        data.repeat(),
        data.repeat(-1).filter(bool),
        data.shuffle(2).repeat().batch(2),
    ):
        assert infinite.cardinality() == INFINITE_CARDINALITY
        with pytest.raises(TypeError, match="infinite"):
            len(infinite)
    assert len(data.repeat().take(3)) == 3
    assert len(data.concatenate(data)) == 10
    assert data.concatenate(data.repeat()).cardinality() == INFINITE_CARDINALITY
    assert len(Dataset.from_tensor_slices(np.zeros((0, 3))).batch(2)) == 0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda d: Dataset.from_tensor_slices((np.ones(2), np.ones(3))), ValueError, "first axis"),
        (lambda d: Dataset.from_tensor_slices(3.0), ValueError, "first axis"),
        (lambda d: Dataset.from_tensor_slices(()), ValueError, "first axis"),
        (lambda d: Dataset.from_generator(iter([1])), TypeError, "without calling it"),
        (lambda d: d.batch(0), ValueError, "`batch_size`.*0"),
        (lambda d: d.shuffle(0), ValueError, "`buffer_size`.*0"),
        (lambda d: d.take(-2), ValueError, "`count`.*-2"),
        (lambda d: d.repeat(1.5), ValueError, r"`count`.*1\.5"),
        (lambda d: d.map(abs, num_parallel_calls=-3), ValueError, "`num_parallel_calls`.*-3"),
        (lambda d: d.shard(2, 2), ValueError, r"`index`.*\[0, 2\)"),
        (
            lambda d: list(d.map(lambda n: torch.zeros(int(n))).batch(2)),
            ValueError,
            r"different shapes \[\(0,\), \(1,\)\].*map",
        ),
    ],
)
def test_errors(make, error, message) -> None:
    with pytest.raises(error, match=message):
        make(Dataset.range(3))


# -- threads -----------------------------------------------------------------------------------------


def worker_threads() -> list:
    return [t for t in threading.enumerate() if t.name.startswith("kerastorch-data")]


def failing(n):
    if n == 3:
        raise ValueError("three")
    return n


AHEAD = {
    "map": lambda d: d.map(failing, num_parallel_calls=2),
    "prefetch": lambda d: d.map(failing).prefetch(2),
    "prefetch below map": lambda d: d.prefetch(2).map(failing),
    "prefetch below batch": lambda d: (
        d.map(failing, AUTOTUNE).prefetch(1).batch(1).prefetch(AUTOTUNE)
    ),
    "prefetch below zip": lambda d: Dataset.zip(d.prefetch(1), d.map(failing)).map(lambda a, b: b),
    "prefetch below shuffle": lambda d: d.prefetch(1).shuffle(1).map(failing),
}


@pytest.mark.parametrize("name", AHEAD)
def test_errors_come_in_order_and_no_thread_is_left(name: str) -> None:
    data = AHEAD[name](Dataset.range(100))
    seen = []
    with pytest.raises(ValueError, match="three") as caught:
        seen.extend(int(n) for n in data)  # extend drops what it had
    assert not worker_threads(), caught  # although the traceback is still held
    iterator = iter(data)
    assert [int(next(iterator)) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(iterator)
    assert not worker_threads()


@pytest.mark.parametrize("name", AHEAD)
def test_stopping_early_leaves_no_thread(name: str) -> None:
    iterator = iter(AHEAD[name](Dataset.range(100)))
    next(iterator)
    assert worker_threads()
    del iterator
    assert not worker_threads()


def test_threads_work_at_the_same_time_and_in_order() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def meet(n):
        meeting.wait()
        time.sleep(0.001 * (int(n) % 2))
        return n

    assert numbers(Dataset.range(8).map(meet, num_parallel_calls=2)) == list(range(8))


def test_prefetch_reads_ahead_but_not_without_bound() -> None:
    calls = []
    data = Dataset.range(100).map(lambda n: calls.append(int(n)) or n).prefetch(3)
    iterator = iter(data)
    assert not calls
    next(iterator)
    limit = time.monotonic() + 10
    while len(calls) < 4 and time.monotonic() < limit:
        time.sleep(0.001)
    assert calls == [0, 1, 2, 3]
    iterator.close()


# -- DataLoader --------------------------------------------------------------------------------------


def plus_random(n):
    return n, torch.rand(())


@pytest.mark.parametrize("source", ["slices", "generator"])
def test_workers_of_a_data_loader_share_the_elements(source: str) -> None:
    data = Dataset.range(23) if source == "slices" else Dataset.from_generator(range, args=(23,))
    data = data.shuffle(50).map(plus_random).batch(4).prefetch(1)
    loader = torch.utils.data.DataLoader(data.to_iterable(), batch_size=None, num_workers=2)
    epochs = [list(loader), list(loader)]
    orders = [torch.cat([n for n, _ in epoch]).tolist() for epoch in epochs]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(23))
    assert orders[0] != orders[1]
    assert [len(n) for n, _ in epochs[0]] == [4, 4, 4, 4, 4, 3]
    noise = torch.cat([r for epoch in epochs for _, r in epoch])
    assert len(noise.unique()) == 46  # augmentation differs by worker and epoch


def test_datasets_can_be_pickled() -> None:
    data = Dataset.range(5).shuffle(3, seed=1).map(plus_random).batch(2).prefetch(1).to_iterable()
    twin = pickle.loads(pickle.dumps(data))
    assert [n.tolist() for n, _ in twin] == [n.tolist() for n, _ in data]
    assert len(twin) == len(data) == 3
