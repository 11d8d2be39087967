"""What is timed, beside what, and what is not: most tests replace the clock or `measure_in_turn`."""

import importlib
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.profiler import ProfilerActivity, profile

from sparsecourse import nets
from sparsecourse.timing import Measurement, sparse
from sparsecourse.timing.formats import FORMATS, CannotHoldError, Format, Held
from sparsecourse.timing.patterns import PATTERNS
from sparsecourse.timing.sparse import (
    LAYERS,
    Layer,
    Timed,
    UnequalProductError,
    crossover,
    n_products,
    sweep,
    table,
    time_product,
)

measuring = importlib.import_module("sparsecourse.timing.measuring")
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
ON_CPU = [name for name in FORMATS if name != "2:4"]
SMALL = Layer("small", 20, 30, 5)
CPU = torch.device("cpu")


class Stopwatch:
    """Stands in for `measure_in_turn`: calls once, and says that it took so many seconds."""

    def __init__(self):
        self.calls = []

    def __call__(self, fns, **how):
        return [self.measure(fn, **how) for fn in fns]

    def measure(self, fn, *, threads, device, at_most):
        self.calls.append(
            SimpleNamespace(result=fn(), threads=threads, device=device, at_most=at_most)
        )
        return Measurement((float(len(self.calls)),), 1, threads or 7, "CPU x", True)


@pytest.fixture
def stopwatch(monkeypatch):
    stopwatch = Stopwatch()
    monkeypatch.setattr(sparse, "measure_in_turn", stopwatch)
    return stopwatch


def operands(rows=20, columns=30, places=5):
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(shape, generator=generator) for shape in ((rows, columns), (columns, places))
    )


def made_of(fn, **options):
    """Formats whose only one computes ``fn(W, X)``."""
    return {
        "made up": Format(lambda W, X: Held(lambda: fn(W, X), (W,)), "scattered", "", **options)
    }


def took(seconds, threads=1):
    return Measurement((seconds,), 1, threads, "CPU x", True)


def point(sparsity, ratio, name="made up"):
    return Timed(name, sparsity, took(ratio), took(1.0), 100, 50)


# Nothing is timed that is not equal


def without_one_weight(W, X):
    W = W.clone()
    W[3, 4] = 0
    return W @ X


def with_a_wrong_row(W, X):
    return torch.cat([(W @ X)[:-1], (W @ X)[:1]])


UNEQUAL = {
    "a weight is dropped": without_one_weight,
    "a row is another one": with_a_wrong_row,
    "rows are in another order": lambda W, X: (W @ X).flip(0),
    "nothing is computed": lambda W, X: torch.zeros(len(W), X.shape[1]),
    "all is a little larger": lambda W, X: 1.0001 * (W @ X),
    "the sign is another one": lambda W, X: -(W @ X),
    "a value is NaN": lambda W, X: (W @ X).index_fill(0, torch.tensor([2]), math.nan),
    "a value is infinite": lambda W, X: (W @ X).index_fill(0, torch.tensor([2]), math.inf),
    "it is rounded to half": lambda W, X: (W @ X).half(),
}


@pytest.mark.parametrize("why", UNEQUAL)
def test_an_unequal_product_is_not_timed(stopwatch, why):
    with pytest.raises(UnequalProductError, match=r"made up is .* away from the exact product"):
        time_product("made up", *operands(), formats=made_of(UNEQUAL[why]))
    assert stopwatch.calls == []


@pytest.mark.parametrize(
    ("fn", "shape"),
    [
        (lambda W, X: (W @ X).T, r"\(5, 20\)"),
        (lambda W, X: (W @ X)[:-1], r"\(19, 5\)"),
        (lambda W, X: (W @ X)[:, :1], r"\(20, 1\)"),
        (lambda W, X: (W @ X)[None], r"\(1, 20, 5\)"),
    ],
)
def test_a_product_of_another_shape_is_not_timed(stopwatch, fn, shape):
    with pytest.raises(UnequalProductError, match=rf"of shape {shape}, expected \(20, 5\)"):
        time_product("made up", *operands(), formats=made_of(fn))
    assert stopwatch.calls == []


def test_a_square_product_that_is_transposed_is_not_timed(stopwatch):
    with pytest.raises(UnequalProductError, match="away from the exact product"):
        time_product("made up", *operands(6, 6, 6), formats=made_of(lambda W, X: (W @ X).T))
    assert stopwatch.calls == []


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 19), st.integers(0, 29))
def test_whichever_weight_is_dropped_it_is_found(row, column):
    W, X = operands()
    W = W.sign()  # each matters

    def drops(W, X):
        W = W.clone()
        W[row, column] = 0
        return W @ X

    with pytest.raises(UnequalProductError):
        time_product("made up", W, X, formats=made_of(drops))


@pytest.mark.parametrize("why", UNEQUAL)
def test_the_dense_product_is_checked_too(stopwatch, monkeypatch, why):
    def wrong(W, X):
        return Held(lambda: UNEQUAL[why](W, X), (W,))

    monkeypatch.setattr(sparse, "dense", wrong)
    with pytest.raises(UnequalProductError, match=r"^dense is .* away from the exact product"):
        time_product("made up", *operands(), formats=made_of(torch.matmul))
    assert stopwatch.calls == []


def test_what_is_checked_is_the_full_product(stopwatch):
    def hold(W, X, full):
        return Held(lambda: W[:4] @ X, (W,), full)

    for full, is_right in ((lambda Y: pad_rows(Y, 20), True), (lambda Y: pad_rows(Y, 19), False)):
        W, X = operands()
        W[4:] = 0
        formats = {"part": Format(lambda W, X, full=full: hold(W, X, full), "scattered", "")}
        if is_right:
            time_product("part", W, X, formats=formats)
        else:
            with pytest.raises(UnequalProductError, match="shape"):
                time_product("part", W, X, formats=formats)
    assert len(stopwatch.calls) == 2


def pad_rows(Y, rows):
    return torch.cat([Y, Y.new_zeros(rows - len(Y), Y.shape[1])])


@pytest.mark.parametrize("name", ON_CPU)
def test_a_sum_that_cancels_is_no_unequal_product(stopwatch, name):
    W, X = operands(1, 31, 1)
    X[-1] -= (W.double() @ X.double() / W[0, -1]).item()
    assert abs(float(W @ X)) < 1e-5
    time_product(name, W, X)


# What is timed, and what is not


@pytest.mark.parametrize("threads", [None, 1, 3])
def test_dense_and_sparse_are_measured_alike_one_after_the_other(stopwatch, threads):
    W, X = operands()
    W = W * PATTERNS["scattered"](W, 0.9)
    timed = time_product("course CSR", W, X, threads=threads, at_most=0.25)
    one, other = stopwatch.calls
    for call in (one, other):
        assert (call.threads, call.device, call.at_most) == (threads, CPU, 0.25)
        torch.testing.assert_close(call.result, W @ X)
    assert torch.equal(one.result, W @ X)
    assert (timed.dense.median, timed.sparse.median) == (1.0, 2.0)  # the dense one first
    assert timed.dense.threads == timed.sparse.threads == (threads or 7)
    assert timed.dense.device == timed.sparse.device


def test_all_is_prepared_before_the_first_is_measured(stopwatch):
    def hold(W, X):
        assert stopwatch.calls == []
        return Held(lambda: W @ X, (W,))

    time_product("made up", *operands(), formats={"made up": Format(hold, "scattered", "")})
    assert len(stopwatch.calls) == 2


def test_neither_preparing_nor_completing_is_timed(monkeypatch):
    now = [0.0]

    def slowly(seconds, value):
        now[0] += seconds
        return value

    def takes(seconds):
        def hold(W, X):
            return slowly(
                1000.0,
                Held(lambda: slowly(seconds, W @ X), (W,), lambda result: slowly(1000.0, result)),
            )

        return hold

    monkeypatch.setattr(measuring, "perf_counter", lambda: now[0])
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(sparse, "dense", takes(3e-3))
    formats = {"made up": Format(takes(1e-3), "scattered", "")}
    timed = time_product("made up", *operands(), formats=formats)
    assert timed.dense.times == pytest.approx([3e-3] * len(timed.dense.times))
    assert timed.sparse.times == pytest.approx([1e-3] * len(timed.sparse.times))
    assert timed.speedup.ratio == pytest.approx(3)


def test_a_format_of_half_precision_is_measured_against_dense_half_precision(stopwatch):
    formats = made_of(torch.matmul, tolerance=5e-3, dtype=torch.float16)
    timed = time_product("made up", *operands(), formats=formats)
    assert [call.result.dtype for call in stopwatch.calls] == [torch.float16] * 2
    assert timed.dense_bytes == 2 * 20 * 30
    assert FORMATS["2:4"].dtype == torch.float16


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_other_formats_are_measured_in_single_precision(stopwatch, dtype):
    W, X = (part.to(dtype) for part in operands())
    timed = time_product("bitmask", W, X)
    assert [call.result.dtype for call in stopwatch.calls] == [torch.float32] * 2
    assert timed.dense_bytes == 4 * 20 * 30


def test_weights_of_a_network_are_measured_without_their_gradients(stopwatch):
    layer = nn.Linear(30, 20)
    time_product("scipy CSR", layer.weight, next(operands(30, 5)))
    assert not any(call.result.requires_grad for call in stopwatch.calls)
    assert layer.weight.requires_grad


def test_zeros_and_bytes_are_counted(stopwatch):
    W, X = operands()
    W[:5] = 0
    timed = time_product("gathered GEMM", W, X)
    assert timed.format == "gathered GEMM"
    assert timed.sparsity == 0.25
    assert timed.theory == pytest.approx(4 / 3)
    assert timed.dense_bytes == 4 * 600
    assert timed.sparse_bytes == 4 * 15 * 30 + 8 * (15 + 30)
    assert timed.compression == 2400 / 2160


def test_real_products_are_measured():
    W, X = operands()
    timed = time_product("torch CSR", W * PATTERNS["scattered"](W, 0.9), X, threads=1, at_most=0.01)
    for measured in (timed.dense, timed.sparse):
        assert 0 < measured.median < math.inf
        assert measured.threads == 1
        assert measured.device.startswith("CPU ")
    assert timed.sparsity == pytest.approx(0.9)
    assert 0 < timed.realised < math.inf


@NEEDS_CUDA
@pytest.mark.parametrize("name", ["torch CSR", "BSR 16x16", "2:4"])
def test_on_cuda_both_are_measured_there(name):
    layer = Layer("made up", 256, 512, 256)
    try:
        (timed,) = sweep(layer, [name], [0.5], device="cuda", at_most=0.05)
    except CannotHoldError as error:
        pytest.skip(str(error))
    assert timed.dense.device == timed.sparse.device == torch.cuda.get_device_name()
    assert timed.sparsity == 0.5


W, X = operands(4, 6, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: time_product("COO", W, X), "format must be one of masked dense, .*, got 'COO'"),
        (lambda: time_product("bitmask", W[0], X), "W must be at least 2-D, got shape"),
        (lambda: time_product("bitmask", W[None], X), r"W must be 2-D, got shape \(1, 4, 6\)"),
        (lambda: time_product("bitmask", W, X[:, 0]), "X must be at least 2-D"),
        (lambda: time_product("bitmask", W, X[:5]), "X must have 6 rows, one for each .* got 5"),
        (lambda: time_product("bitmask", W / 0, X), "W must be finite"),
        (lambda: time_product("bitmask", W, X * math.nan), "X must be finite"),
        (lambda: time_product("bitmask", W.int(), X), "W must be a tensor of float32"),
        (lambda: time_product("bitmask", 0 * W, X), "W must hold a weight that is not zero"),
        (lambda: time_product("2:4", W, X), "2:4 needs a GPU"),
        (lambda: time_product("bitmask", W, X, threads=0), "threads must be an integer of at"),
        (lambda: time_product("bitmask", W, X, at_most=0), "at_most must be positive"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Sweeps


def test_a_sweep_goes_through_all_formats_sparsity_by_sparsity(stopwatch):
    sparsities = [0.9, 0.0, 0.5]
    points = list(sweep(SMALL, ["scipy CSR", "int8", "bitmask"], sparsities))
    found = [(point.format, round(point.sparsity, 9)) for point in points]
    curves = [(name, s) for s in (0.0, 0.5, 0.9) for name in ("scipy CSR", "bitmask")]
    assert found == [("int8", 0.0), *curves]
    assert n_products(["scipy CSR", "int8", "bitmask"], sparsities) == len(points)
    assert len(stopwatch.calls) == 2 * len(points)


def test_a_sweep_takes_every_format_with_its_own_zeros(stopwatch):
    layer = Layer("a multiple of 16", 64, 96, 3)
    points = list(sweep(layer, ON_CPU, [0.75]))
    assert [point.format for point in points] == ["int8", *(n for n in ON_CPU if n != "int8")]
    assert {point.format: point.sparsity for point in points} == {
        name: 0.0 if name == "int8" else 0.75 for name in ON_CPU
    }
    by_name = {point.format: point for point in points}
    assert by_name["smaller GEMM"].sparse_bytes == 4 * 32 * 48
    assert by_name["BSR 16x16"].sparse_bytes == 6 * (4 * 256 + 8) + 5 * 8
    assert by_name["regular blocks"].sparse_bytes == 5 * 64 * 24


def test_products_of_a_sweep_are_told_as_soon_as_they_are_measured(stopwatch):
    running = sweep(SMALL, ["bitmask"], [0.1, 0.2])
    next(running)
    assert len(stopwatch.calls) == 2
    next(running)
    assert len(stopwatch.calls) == 4


@pytest.mark.parametrize("sparsities", [[0.5, 0.5], [0.5, 0.51, 0.49], [0.5, 0.5 + 1e-12]])
def test_what_comes_out_as_one_sparsity_is_timed_once(stopwatch, sparsities):
    (only,) = sweep(Layer("tiny", 2, 4, 3), ["bitmask"], sparsities)
    assert only.sparsity == 0.5


def test_one_sparsity_is_timed_in_each_format(stopwatch):
    points = list(sweep(Layer("tiny", 2, 4, 3), ["bitmask", "scipy CSR"], [0.5, 0.51]))
    assert [point.format for point in points] == ["bitmask", "scipy CSR"]


def test_a_format_named_twice_is_timed_once(stopwatch):
    assert len(list(sweep(SMALL, ["bitmask", "bitmask", "int8", "int8"], [0.5]))) == 2


def test_where_nothing_is_left_nothing_is_timed(stopwatch):
    names = ["bitmask", "BSR 4x4", "gathered GEMM"]
    assert list(sweep(SMALL, names, [1.0])) == []
    assert stopwatch.calls == []
    assert {point.sparsity for point in sweep(SMALL, names, [0.0, 1.0])} == {0.0}


def test_regular_blocks_leave_a_weight_in_each_row(stopwatch):
    (point,) = sweep(SMALL, ["regular blocks"], [1.0])
    assert point.sparsity == pytest.approx(29 / 30)


@pytest.mark.parametrize("sparsities", [[0.5], [0.1, 0.5, 0.9]])
def test_formats_with_a_sparsity_of_their_own_are_timed_once(stopwatch, sparsities):
    (point,) = sweep(SMALL, ["int8"], sparsities)
    assert point.sparsity == 0.0
    assert n_products(["int8", "2:4"], sparsities) == 2


def test_nothing_is_asked_for(stopwatch):
    assert list(sweep(SMALL, [], [0.5])) == list(sweep(SMALL, ["bitmask"], [])) == []
    assert n_products([], [0.5]) == n_products(["bitmask"], []) == 0


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(ON_CPU), max_size=4), st.lists(st.floats(0, 1), max_size=4))
def test_no_more_is_timed_than_was_said(names, sparsities):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse, "measure_in_turn", Stopwatch())
        points = list(sweep(Layer("tiny", 4, 5, 2), names, sparsities))
    assert len(points) <= n_products(names, sparsities)
    assert len({(point.format, point.sparsity) for point in points}) == len(points)


def test_all_formats_multiply_the_same_drawn_matrices(stopwatch):
    def results(seed):
        stopwatch.calls.clear()
        list(sweep(SMALL, ["bitmask", "scipy CSR"], [0.0], seed=seed))
        return [call.result for call in stopwatch.calls]

    first, again, other = results(0), results(0), results(1)
    for result in (*first, *again):
        torch.testing.assert_close(result, first[0])
    assert not torch.allclose(other[0], first[0])
    assert first[0].shape == (20, 5)


def test_a_sweep_passes_on_how_to_measure(stopwatch):
    list(sweep(SMALL, ["bitmask"], [0.5], threads=3, at_most=0.125))
    assert {(c.threads, c.device, c.at_most) for c in stopwatch.calls} == {(3, CPU, 0.125)}


def test_a_sweep_leaves_the_random_state_alone(stopwatch):
    before = torch.get_rng_state()
    list(sweep(SMALL, ["bitmask"], [0.5]))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("names", "sparsities", "message"),
    [
        (["bitmask", "COO"], [0.5], "formats must be of masked dense, .*, got COO"),
        (["bitmask"], [0.5, 1.1], "sparsity must be between 0 and 1, got 1.1"),
        (["bitmask"], [-0.1], "sparsity must be between 0 and 1, got -0.1"),
        (["bitmask"], [math.nan], "sparsity must be between 0 and 1, got nan"),
    ],
)
def test_bad_formats_and_sparsities_are_named_before_anything_is_timed(
    stopwatch, names, sparsities, message
):
    with pytest.raises(ValueError, match=message):
        next(sweep(SMALL, names, sparsities))
    with pytest.raises(ValueError, match=message):
        n_products(names, sparsities)
    assert stopwatch.calls == []


def test_a_device_without_the_format_is_named(stopwatch):
    with pytest.raises(CannotHoldError, match="2:4 needs a GPU with sparse tensor cores"):
        next(sweep(SMALL, ["2:4"], [0.5]))
    with pytest.raises(ValueError, match="device must be 'cpu' or 'cuda', got 'gpu'"):
        next(sweep(SMALL, ["bitmask"], [0.5], device="gpu"))


# Memory


@pytest.fixture
def nothing_is_drawn(monkeypatch):
    def randn(*shape, **options):
        raise AssertionError(f"a tensor of {shape} was allocated")

    monkeypatch.setattr(torch, "randn", randn)


@pytest.mark.parametrize("sides", [(10**7, 10**7, 1), (1, 10**7, 10**7), (10**7, 1, 10**7)])
def test_what_does_not_fit_into_memory_is_refused_before_it_is_drawn(nothing_is_drawn, sides):
    rows, columns, places = sides
    with pytest.raises(MemoryError) as error:
        next(sweep(Layer("large", *sides), ["bitmask"], [0.5]))
    assert f"{rows} x {columns} with {columns} x {places} needs about" in str(error.value)
    assert "GB are free" in str(error.value)


def test_sizes_that_are_needed_and_free_are_named(monkeypatch, nothing_is_drawn):
    memory = SimpleNamespace(available=2_500_000_000)
    monkeypatch.setattr(sparse.psutil, "virtual_memory", lambda: memory)
    layer = Layer("large", 20_000, 10_000, 1)
    entries = 20_000 * 10_000 + 10_000 + 20_000
    needed = f"{sparse.COPIES * 4 * entries / 1e9:.1f} GB"
    with pytest.raises(MemoryError, match=rf"about {needed} while .*, 2\.5 GB are free"):
        sparse.require_memory(layer, CPU)
    memory.available = sparse.COPIES * 4 * entries
    sparse.require_memory(layer, CPU)
    memory.available -= 1
    with pytest.raises(MemoryError):
        sparse.require_memory(layer, CPU)


def test_a_gpu_is_asked_for_its_own_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10_000, 10**12))
    with pytest.raises(MemoryError, match=r"0\.0 GB are free"):
        sparse.require_memory(SMALL, torch.device("cuda"))
    sparse.require_memory(SMALL, CPU)


@pytest.mark.parametrize("name", ON_CPU)
@pytest.mark.parametrize("sides", [(300, 300, 2), (300, 5, 300), (5, 300, 300)])
def test_no_format_takes_more_memory_than_is_asked_for(stopwatch, name, sides):
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        list(sweep(Layer("made up", *sides), [name], [0.0]))
    events = profiled.profiler.kineto_results.events()
    taken = [event.nbytes() for event in events if event.name() == "[memory]"]
    most = max(itertools.accumulate(taken))
    rows, columns, places = sides
    entries = rows * columns + columns * places + rows * places
    assert 3 * entries < most <= 4 * sparse.COPIES * entries


@pytest.mark.parametrize(
    "sides", [(0, 3, 2), (4, -1, 2), (4, 3, 0), (4.0, 3, 2), (4, True, 2), (4, 3, "2")]
)
def test_sides_that_are_none_are_named(nothing_is_drawn, sides):
    with pytest.raises(ValueError, match=r"must be whole numbers of at least 1: \("):
        next(sweep(Layer("none", *sides), ["bitmask"], [0.5]))


# What follows from it


@settings(deadline=None)
@given(
    st.permutations(range(6)), st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=6, max_size=6)
)
def test_crossover_is_the_lowest_sparsity_from_which_on_it_is_faster(order, ratios):
    points = [point(i / 10, ratio) for i, ratio in enumerate(ratios)]
    expected = [i / 10 for i in range(6) if all(ratio > 1 for ratio in ratios[i:])]
    assert crossover([points[i] for i in order]) == min(expected, default=None)


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ({0.5: 0.5, 0.7: 0.9, 0.9: 0.99}, None),  # never faster
        ({0.5: 1.1, 0.7: 2.0, 0.9: 3.0}, 0.5),  # always
        ({0.5: 0.5, 0.7: 2.0, 0.9: 0.9}, None),  # in the middle alone
        ({0.5: 2.0, 0.7: 0.9, 0.9: 3.0}, 0.9),  # but for the middle
        ({0.5: 0.5, 0.7: 1.0, 0.9: 1.0}, None),  # as fast is not faster
        ({0.7: 1.5}, 0.7),
        ({0.9: 3.0, 0.5: 0.5, 0.7: 2.0}, 0.7),
    ],
)
def test_crossover_of_a_few_points(ratios, expected):
    assert crossover([point(*given) for given in ratios.items()]) == expected


def test_crossover_counts_a_sparsity_measured_twice_as_its_slower_time():
    fast, slow = point(0.9, 2.0), point(0.9, 0.5)
    assert crossover([fast, slow]) is crossover([slow, fast]) is None


def test_crossover_is_that_of_one_format():
    with pytest.raises(ValueError, match=r"points must be of one format, got \['a', 'b'\]"):
        crossover([point(0.5, 2.0, "a"), point(0.5, 2.0, "b")])
    with pytest.raises(ValueError, match=r"points must be of one format, got \[\]"):
        crossover([])


@pytest.mark.parametrize(
    ("sparsity", "theory"), [(0.0, 1.0), (0.5, 2.0), (0.75, 4.0), (0.96, 25.0), (1.0, math.inf)]
)
def test_theory_counts_the_multiply_adds_that_are_left(sparsity, theory):
    assert sparse.theoretical_speedup(sparsity) == pytest.approx(theory)
    assert point(sparsity, 2.0).theory == pytest.approx(theory)
    assert point(sparsity, 2.0).realised == pytest.approx(2.0 / theory)


@pytest.mark.parametrize("sparsity", [-0.1, 1.1, math.nan])
def test_theory_of_what_is_no_share_is_refused(sparsity):
    with pytest.raises(ValueError, match=f"sparsity must be between 0 and 1, got {sparsity}"):
        sparse.theoretical_speedup(sparsity)


def test_speedup_is_dense_over_sparse_with_the_quartiles_band():
    dense = Measurement((4.0, 5.0, 6.0, 9.0, 90.0), 5, 1, "CPU x", True)
    quick = Measurement((1.0, 2.0, 2.0, 2.0, 9.0), 5, 1, "CPU x", True)
    timed = Timed("made up", 0.75, dense, quick, 100, 50)
    speedup = timed.speedup
    assert (speedup.ratio, speedup.lower, speedup.upper) == (3.0, 2.5, 4.5)
    assert timed.realised == 3 / 4
    assert timed.compression == 2


def test_table_has_a_row_for_each_product():
    points = [point(0.5, 3.0, "one"), point(1.0, 0.5, "other")]
    frame = table(points)
    expected = pd.DataFrame(
        {
            "format": ["one", "other"],
            "sparsity": [0.5, 1.0],
            "dense_us": [3e6, 5e5],
            "sparse_us": [1e6, 1e6],
            "speedup": [3.0, 0.5],
            "speedup_lower": [3.0, 0.5],
            "speedup_upper": [3.0, 0.5],
            "theory": [2.0, math.inf],
            "realised": [1.5, 0.0],
            "dense_bytes": [100, 100],
            "sparse_bytes": [50, 50],
            "threads": [1, 1],
            "device": ["CPU x", "CPU x"],
        }
    )
    pd.testing.assert_frame_equal(frame, expected)


# Layers


def products_of(net):
    """Name of each convolution -> rows, columns and places of the product that one group is."""
    found = {}

    def hook(name):
        def count(module, inputs, output):
            columns = nn.functional.unfold(
                inputs[0][:, : module.in_channels // module.groups],
                module.kernel_size,
                padding=module.padding,
                stride=module.stride,
            )
            assert columns.shape[2] == math.prod(output.shape[2:])
            found[name] = (module.out_channels // module.groups, *columns.shape[1:])

        return count

    with torch.device("meta"):
        model = net()
        for name, module in model.named_modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(hook(name))
        model(torch.empty(1, *model.input_shape))
    return found


@pytest.mark.parametrize(
    ("prefix", "net"), [("AlexNet", nets.alexnet_grouped), ("LeNet-5", nets.lenet5)]
)
def test_layers_are_the_convolutions_of_the_network(prefix, net):
    layers = {
        name.split()[1].rstrip(","): (layer.rows, layer.columns, layer.places)
        for name, layer in LAYERS.items()
        if name.startswith(prefix)
    }
    assert layers == products_of(net)


@pytest.mark.parametrize("name", [name for name in LAYERS if name.startswith("ResNet-50")])
def test_layers_of_resnet_are_in_their_stage(name):
    layer = LAYERS[name]
    _, stage, kernel = name.split()
    # conv2_x of the paper is the first of four stages.
    within = f"stage{int(stage[4]) - 1}."
    side = int(kernel[0])
    found = {shape for at, shape in products_of(nets.resnet50).items() if at.startswith(within)}
    assert (layer.rows, layer.columns, layer.places) in found
    assert layer.columns % side**2 == 0
    with torch.device("meta"):
        shapes = {
            (len(p), p[0].numel(), p.shape[-1])
            for at, p in nets.resnet50().named_parameters()
            if at.startswith(within) and p.ndim == 4
        }
    assert (layer.rows, layer.columns, side) in shapes


def test_names_say_how_many_groups_there_are():
    with torch.device("meta"):
        convolutions = {
            name: module.groups
            for name, module in nets.alexnet_grouped().named_modules()
            if isinstance(module, nn.Conv2d)
        }
    for name, groups in convolutions.items():
        of_groups = f", one of {groups} groups" if groups > 1 else ""
        assert f"AlexNet {name}{of_groups}" in LAYERS


def test_a_layer_counts_its_multiply_adds_and_says_its_shape():
    layer = LAYERS["AlexNet conv3"]
    assert layer.multiply_adds == 384 * 2304 * 169
    assert str(layer) == "AlexNet conv3 (384 x 2304, 169 places)"
    assert all(name == layer.name for name, layer in LAYERS.items())
    assert np.unique([str(layer) for layer in LAYERS.values()]).size == len(LAYERS)
