"""The roofs: what is counted, on a machine whose roofs are known, and how they are drawn."""

import importlib
import io
import math
import sys
from itertools import combinations

import numpy as np
import pytest
import torch
import tqdm.std
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from sparsecourse.timing import Measurement, Roofline, roofline

module = importlib.import_module("sparsecourse.timing.roofline")
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
KNOWN = Roofline(peak=8e10, bandwidth=2e10, threads=3, device="CPU x")
SLOW = Roofline(peak=2e10, bandwidth=5e9, threads=3, device="CPU x")
SIX = {
    "dense product, 1024 x 1024": (80.0, 7.2e10),
    "conv1": (20.0, 3e10),
    "conv2": (20.5, 3.01e10),
    "block sparse": (2.0, 1e10),
    "CSR, 90 % zeros": (0.125, 1e9),
    "CSR, 91 % zeros": (0.125, 1e9),
}


class Traffic(TorchDispatchMode):
    """Adds up the bytes of all tensors that an operation reads and of those that it writes."""

    def __init__(self):
        super().__init__()
        self.bytes = 0
        self.spans = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        written = (kwargs or {}).get("out", result)
        for tensor in tree_leaves((args, written)):
            if isinstance(tensor, torch.Tensor):
                self.bytes += tensor.nbytes
                self.spans.add((tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes))
        return result


class Machine:
    """Stands in for `measure`: its times are those of a machine with `SLOW` roofs.

    Products of one size are slower; of each kernel, two times of three are disturbed.
    """

    def __init__(self, poor_size=None):
        self.poor_size = poor_size
        self.kernels = []  # multiply-adds, bytes and memory of each
        self.threads = []

    def __call__(self, fn, *, threads, at_most):
        self.threads.append(threads)
        with Traffic() as traffic:
            result = fn()
        with FlopCounterMode(display=False) as counter:
            fn()
        multiply_adds = counter.get_total_flops() / 2
        self.kernels.append((multiply_adds, traffic.bytes, traffic.spans))
        seconds = max(multiply_adds / SLOW.peak, traffic.bytes / SLOW.bandwidth)
        if result.ndim == 2 and len(result) == self.poor_size:
            seconds *= 2
        return Measurement((2 * seconds, seconds, 3 * seconds), 3, SLOW.threads, SLOW.device, True)


@pytest.fixture
def machine(monkeypatch):
    machine = Machine()
    monkeypatch.setattr(module, "measure", machine)
    return machine


# What is measured


def test_roofs_are_those_of_the_machine(machine):
    measured = roofline(device="cpu")
    assert measured.bandwidth == pytest.approx(SLOW.bandwidth)
    assert measured.peak == pytest.approx(SLOW.peak)
    assert (measured.threads, measured.device) == (SLOW.threads, SLOW.device)


@pytest.mark.parametrize("poor_size", [512, 1024])
def test_peak_is_that_of_the_best_size(machine, poor_size):
    machine.poor_size = poor_size
    assert roofline(device="cpu").peak == pytest.approx(SLOW.peak)


def test_larger_products_are_not_timed_once_one_is_long(machine):
    roofline(device="cpu")
    # They take 7 and 54 ms.
    assert [count for count, _, _ in machine.kernels if count] == [512**3, 1024**3]


def test_arrays_are_apart_and_larger_than_caches(machine):
    roofline(device="cpu")
    (_, traffic, spans), *_ = (kernel for kernel in machine.kernels if not kernel[0])
    assert len(spans) == 3
    assert all(a[1] <= b[0] or b[1] <= a[0] for a, b in combinations(spans, 2))
    assert traffic == sum(end - start for start, end in spans) >= 2**28


def test_every_kernel_gets_the_threads_asked_for(machine):
    roofline(threads=5, device="cpu")
    assert set(machine.threads) == {5}


def test_random_state_is_left_alone(machine):
    before = torch.get_rng_state()
    roofline(device="cpu")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("seconds", "is_shown"), [(0.6, False), (0.9, True)])
def test_progress_is_shown_only_after_two_seconds(machine, monkeypatch, seconds, is_shown):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    now = [0.0]

    def measure(fn, **options):
        now[0] += seconds  # three kernels are timed
        return machine(fn, **options)

    terminal = Terminal()
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr(module, "measure", measure)
    monkeypatch.setattr(tqdm.std, "time", lambda: now[0])
    monkeypatch.setattr(sys, "stderr", terminal)
    roofline(device="cpu")
    assert ("roofline" in terminal.getvalue()) == is_shown


def check_real(measured, device):
    for value in (measured.peak, measured.bandwidth):
        assert 0 < value < math.inf
    assert measured.device.startswith(device)
    assert f"{measured.threads} thread" in str(measured)


def test_roofline_of_this_machine_is_measured():
    check_real(roofline(threads=1, device="cpu"), "CPU ")


@NEEDS_CUDA
def test_roofline_of_cuda_is_measured_by_default():
    check_real(roofline(), torch.cuda.get_device_name())


# What follows from it


def test_ridge_is_where_both_roofs_are_equal():
    assert KNOWN.ridge == 4.0
    assert KNOWN.bandwidth * KNOWN.ridge == KNOWN.peak


def test_bound_is_the_slower_of_arithmetic_and_memory():
    assert KNOWN.bound(multiply_adds=8e10, bytes=1) == 1.0
    assert KNOWN.bound(multiply_adds=1, bytes=6e10) == 3.0
    assert KNOWN.bound(0, 0) == 0


def test_bound_of_a_matrix_vector_product_is_that_of_its_bytes():
    n = 1000
    assert KNOWN.bound(n**2, 4 * (n**2 + 2 * n)) == 4 * (n**2 + 2 * n) / 2e10


@pytest.mark.parametrize("intensity", [0.01, 1.0, 4.0, 17.0, 1e4])
def test_attainable_rate_is_that_of_the_bound(intensity):
    rate = KNOWN.attainable(intensity)
    assert rate == pytest.approx(1e6 / KNOWN.bound(1e6, 1e6 / intensity))


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_bad_amounts_are_named(value):
    with pytest.raises(ValueError, match=f"intensity must be at least 0 and finite, got {value}"):
        KNOWN.attainable(value)
    with pytest.raises(ValueError, match=f"multiply_adds must be at least 0 .* got {value}"):
        KNOWN.bound(value, 1)
    with pytest.raises(ValueError, match=f"bytes must be at least 0 and finite, got {value}"):
        KNOWN.bound(1, value)


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_bad_device_is_named(device):
    with pytest.raises(ValueError, match=f"device .*'{device}'"):
        roofline(device=device)


def test_bad_threads_are_named():
    with pytest.raises(ValueError, match="threads must be an integer of at least 1, got 0"):
        roofline(threads=0, device="cpu")


def test_roofline_is_one_readable_line():
    assert str(KNOWN) == (
        "80.0 G multiply-adds/s, 20.0 GB/s, meeting at 4.00 multiply-adds per byte, "
        "3 threads, CPU x"
    )


# The picture


@pytest.fixture
def axes():
    with plt.style.context("sparsecourse.house"):
        figure, axes = plt.subplots()
        yield axes
    plt.close(figure)


def test_roof_is_drawn_where_it_is(axes):
    KNOWN.draw(axes, SIX)
    x, y = axes.lines[0].get_data()
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    for intensity in np.geomspace(min(x), max(x), 50):
        drawn = np.exp(np.interp(np.log(intensity), np.log(x), np.log(y)))
        assert drawn == pytest.approx(KNOWN.attainable(intensity))
    assert min(x) < 0.125
    assert max(x) > 80


def test_points_are_drawn_where_they_are_and_told_apart(axes):
    KNOWN.draw(axes, SIX)
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    looks = set()
    for name, point in SIX.items():
        (line,) = (line for line in axes.lines if line.get_label().startswith(f"{name}: "))
        assert (*line.get_xdata(), *line.get_ydata()) == point
        assert line.get_label() in names
        looks.add((to_hex(line.get_color()), line.get_marker()))
        (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
        assert x0 < point[0] < x1
        assert y0 < point[1] < y1
    assert len({color for color, _ in looks}) == len({marker for _, marker in looks}) == 6


def test_legend_has_the_fastest_on_top_and_says_how_near_the_roof_it_is(axes):
    points = {"slow": (1.0, 1e9), "fast": (40.0, 6e10), "lucky": (2.0, 4.4e10)}
    alt = KNOWN.draw(axes, points)
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["roof = 100 %", "fast: 75.0 %", "lucky: 110 %", "slow: 5.00 %"]
    assert str(KNOWN) in alt
    assert "fast reaches 75.0 % of it." in alt


def test_six_names_do_not_overlap_and_are_on_the_picture(axes):
    KNOWN.draw(axes, SIX)
    axes.set_title("A title")
    axes.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in axes.get_legend().get_texts()]
    assert len(boxes) == 7
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    assert not [box for box in boxes if box.overlaps(axes.bbox)]
    whole = axes.figure.bbox
    assert all(box.x0 >= whole.x0 and box.x1 <= whole.x1 and box.y0 >= whole.y0 for box in boxes)
    assert axes.bbox.width > whole.width / 3


def test_the_roof_alone_can_be_drawn(axes):
    KNOWN.draw(axes, {})
    assert len(axes.lines) == 1


@pytest.mark.parametrize("point", [(0.0, 1.0), (1.0, -1.0), (math.nan, 1.0), (1.0, math.inf)])
def test_bad_points_are_named(axes, point):
    with pytest.raises(ValueError, match=r"points must be positive and finite, got .* for 'bad'"):
        KNOWN.draw(axes, {"good": (1.0, 1.0), "bad": point})
