"""What `measure` times, and what it leaves as it was. Most tests run on a clock of their own."""

import dataclasses
import importlib
from itertools import count

import numpy as np
import pytest
import scipy.linalg  # noqa: F401 - its thread pool is to be seen
import torch
from threadpoolctl import ThreadpoolController, threadpool_limits

from sparsecourse.timing import Measurement, Speedup, measure, measure_in_turn

measuring = importlib.import_module("sparsecourse.timing.measuring")
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


class Clock:
    """Stands still, but for what the timed functions take of it."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def takes(self, seconds):
        """A function whose call number i takes ``seconds(i)``."""
        calls = count()

        def fn():
            self.now += seconds(next(calls))

        return fn


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(measuring, "perf_counter", clock)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    return clock


@pytest.fixture
def two_threads():
    """As many for torch, whatever the environment says."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def made_of(*times, calls=None):
    return Measurement(times, calls or len(times), threads=2, device="CPU x", is_settled=True)


def pools():
    """File of each thread pool -> its number of threads."""
    return {pool["filepath"]: pool["num_threads"] for pool in ThreadpoolController().info()}


def threads_of_mkl():
    """Those of the copy within torch, where there is one."""
    lines = torch.__config__.parallel_info().splitlines()
    return [int(line.split(":")[1]) for line in lines if "mkl_get_max_threads" in line]


# The time


def test_time_of_one_call_is_found_whatever_its_length(clock):
    for seconds in (1e-7, 1e-4, 3e-3, 0.2):
        measured = measure(clock.takes(lambda _, seconds=seconds: seconds))
        assert measured.median == pytest.approx(seconds, rel=1e-6)
        assert measured.lower == pytest.approx(seconds, rel=1e-6)
        assert measured.upper == pytest.approx(seconds, rel=1e-6)
        assert measured.is_settled


def test_median_and_quartiles_are_those_of_the_times(clock):
    pattern = np.array([1, 2, 3, 4, 90]) * 1e-3  # mean 20, smallest 1, middle of the ends 45.5
    measured = measure(clock.takes(lambda i: pattern[i % 5]))
    assert (measured.lower, measured.median, measured.upper) == pytest.approx((2e-3, 3e-3, 4e-3))
    assert measured.spread == pytest.approx(2 / 3)


def test_median_and_quartiles_lie_between_times_where_they_are_few():
    measured = made_of(4.0, 1.0, 2.0, 10.0)
    assert (measured.lower, measured.median, measured.upper) == (1.75, 3.0, 5.5)


def test_slow_calls_at_the_start_are_not_timed(clock):
    # Ten of 8 ms: one warm-up call would leave nine of them among the times.
    measured = measure(clock.takes(lambda i: 8e-3 if i < 10 else 1e-3))
    assert max(measured.times) == pytest.approx(1e-3)


def test_a_slow_first_call_does_not_decide_how_many_make_a_block(clock):
    measured = measure(clock.takes(lambda i: 1e-6 if i else 3.0))
    assert measured.calls >= 50 * len(measured.times)
    assert max(measured.times) == pytest.approx(1e-6)


def test_calls_are_counted(clock):
    calls = []

    def fn():
        calls.append(clock.now)
        clock.now += 2e-6

    measured = measure(fn)
    timed = sum(measured.times) / len(measured.times) * measured.calls
    assert timed == pytest.approx(2e-6 * measured.calls)
    assert 0.1 <= timed < 0.12  # seconds, and before them as long a warm-up
    before = len(calls) - measured.calls
    assert before * 2e-6 >= 0.1


def test_times_are_repeated_until_they_agree(clock):
    # The first second after the warm-up varies by a factor of four.
    def seconds(i):
        return 1e-3 * (1 + 3 * (i % 2)) if clock.now < 0.5 else 1e-3

    measured = measure(clock.takes(seconds))
    assert measured.is_settled
    assert measured.spread < 0.05
    early = sum(time > 2e-3 for time in measured.times)
    assert early > 0
    assert measured.calls > 3 * early  # else the upper quartile would be one of them


def test_spread_is_what_decides(clock):
    def alternating():
        return clock.takes(lambda i: 1e-3 * (1 + 0.3 * (i % 2)))

    loose = measure(alternating(), spread=0.5)
    assert loose.is_settled
    assert sum(loose.times) < 0.2
    strict = measure(alternating(), spread=0.2)
    assert not strict.is_settled
    assert sum(strict.times) == pytest.approx(2.0, abs=0.01)


def test_no_block_begins_after_the_time_is_up(clock):
    measured = measure(clock.takes(lambda i: 1e-3 * (1 + i % 3)), at_most=0.5, spread=0.01)
    assert 0.5 < sum(measured.times) <= 0.503 + 1e-9


def test_one_long_call_has_no_spread_to_reach(clock):
    measured = measure(clock.takes(lambda _: 5.0), at_most=2.0)
    assert measured.times == (5.0,)
    assert not measured.is_settled


def test_measure_times_real_work():
    x = torch.rand(50, 50)
    measured = measure(lambda: x @ x, at_most=0.05)
    assert 0 < min(measured.times) <= measured.lower <= measured.median <= measured.upper
    assert measured.calls >= len(measured.times) >= 1
    assert measured.device.startswith("CPU ")


# Devices


@pytest.fixture
def gpu(clock, monkeypatch):
    """Stands in for a GPU: work waits until it is synchronised."""

    class Device:
        def __init__(self):
            self.queued = 0.0
            self.synchronised = []

        def launch(self):
            clock.now += 1e-5
            self.queued += 3e-3

        def synchronize(self, device=None):
            self.synchronised.append(device)
            clock.now += self.queued
            self.queued = 0.0

    device = Device()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "synchronize", device.synchronize)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device}")
    return device


def test_the_clock_is_read_when_the_device_has_finished(gpu):
    measured = measure(gpu.launch, device="cuda:1")
    assert measured.times == pytest.approx([3.01e-3] * len(measured.times))
    assert measured.device == "GPU cuda:1"
    assert set(gpu.synchronised) == {torch.device("cuda:1")}


def test_what_the_warm_up_queued_is_not_timed(gpu, clock):
    calls = count()

    def fn():
        gpu.launch()
        gpu.queued += 0.05 if next(calls) < 2 else 0.0

    assert max(measure(fn, device="cuda").times) == pytest.approx(3.01e-3)


def test_a_function_that_returns_nothing_is_synchronised_all_the_same(gpu):
    measured = measure(gpu.launch)
    assert measured.median == pytest.approx(3.01e-3)


def test_device_is_that_of_the_tensor_returned(gpu, monkeypatch):
    class Result(torch.Tensor):
        is_cuda = True
        device = torch.device("cuda:0")

    def fn():
        gpu.launch()
        return torch.zeros(1).as_subclass(Result)

    assert measure(fn).device == "GPU cuda:0"
    with pytest.raises(ValueError, match="device is 'cpu', but fn returned a tensor on cuda:0"):
        measure(fn, device="cpu")


def test_a_result_copied_to_the_cpu_may_come_from_a_gpu(gpu):
    def fn():
        gpu.launch()
        return torch.zeros(1)

    assert measure(fn, device="cuda:0").device == "GPU cuda:0"


@NEEDS_CUDA
def test_on_cuda_a_larger_product_takes_longer():
    small, large = (torch.rand(n, n, device="cuda") for n in (512, 4096))
    quick, slow = (measure(lambda x=x: x @ x, at_most=0.3) for x in (small, large))
    assert quick.device == torch.cuda.get_device_name()
    # 512 times the work; launching takes the same.
    assert slow.speedup_over(quick).ratio < 1 / 20


@NEEDS_CUDA
def test_on_cuda_events_find_the_same_time():
    x = torch.rand(4096, 4096, device="cuda")
    measured = measure(lambda: x @ x)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(50):
        x @ x
    end.record()
    torch.cuda.synchronize()
    assert measured.median == pytest.approx(start.elapsed_time(end) / 50e3, rel=0.2)


# Threads


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_pinned_in_every_call(two_threads, threads):
    controller = ThreadpoolController()
    seen = set()

    def fn():
        seen.add(torch.get_num_threads())
        seen.update(pool.num_threads for pool in controller.lib_controllers)
        seen.update(threads_of_mkl())

    other = 3 - threads
    with threadpool_limits(other):
        measured = measure(fn, threads=threads, at_most=0.01)
    assert len(controller.lib_controllers) >= 2  # torch's, and those of NumPy and SciPy
    assert seen == {threads}
    assert measured.threads == threads


def test_threads_are_those_of_torch_by_default(two_threads):
    seen = set()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        measured = measure(lambda: seen.add(torch.get_num_threads()), at_most=0.01)
        assert measured.threads == threads
        assert seen == {threads}
        seen.clear()


@pytest.mark.parametrize("error", [None, KeyError])
def test_threads_are_afterwards_as_they_were(two_threads, error):
    before = torch.get_num_threads(), threads_of_mkl(), pools()

    def fn():
        if error:
            raise error

    if error:
        with pytest.raises(error):
            measure(fn, threads=1, at_most=0.01)
    else:
        measure(fn, threads=1, at_most=0.01)
    assert (torch.get_num_threads(), threads_of_mkl(), pools()) == before


# Speed-ups and words


def test_speedup_is_the_ratio_of_medians_with_the_worst_and_best_of_the_quartiles():
    sparse, dense = made_of(1.0, 2.0, 2.0, 2.0, 9.0), made_of(4.0, 5.0, 6.0, 9.0, 90.0)
    assert sparse.speedup_over(dense) == Speedup(ratio=3.0, lower=2.5, upper=4.5)
    wide = made_of(1.0, 2.0, 3.0, 4.0, 50.0)
    speedup = wide.speedup_over(dense)
    assert (speedup.ratio, speedup.lower, speedup.upper) == (2.0, 5 / 4, 9 / 2)
    back = dense.speedup_over(wide)
    assert (back.ratio, back.lower, back.upper) == pytest.approx((1 / 2, 2 / 9, 4 / 5))


def test_speedup_band_holds_the_ratio_of_any_two_times_in_the_middle_halves():
    generator = np.random.default_rng(0)
    one, other = (made_of(*generator.lognormal(size=41)) for _ in range(2))
    speedup = one.speedup_over(other)
    middle = [
        [time for time in measured.times if measured.lower <= time <= measured.upper]
        for measured in (one, other)
    ]
    ratios = np.divide.outer(middle[1], middle[0])
    assert ratios.min() == pytest.approx(speedup.lower)
    assert ratios.max() == pytest.approx(speedup.upper)


def test_measurement_is_one_readable_line():
    measured = made_of(1.4e-3, 1.5e-3, 1.52e-3, 1.6e-3, 1.8e-3)
    assert str(measured) == "1.52 ms (quartiles 1.50 to 1.60), 2 threads, CPU x"
    wide = dataclasses.replace(made_of(0.9e-6, 0.9999e-6, 2e-6), threads=1, is_settled=False)
    assert str(wide) == (
        "1000 ns (quartiles 950 to 1500, further apart than wanted), 1 thread, CPU x"
    )
    assert str(made_of(2e-5)).startswith("20.0 µs ")
    assert str(made_of(123.4)).startswith("123 s ")
    assert str(made_of(99.97)).startswith("100 s ")


def test_speedup_is_one_readable_line():
    assert str(Speedup(1.5234, 0.98, 12.0)) == "1.52x (0.980 to 12.0)"


# Bad input


@pytest.mark.parametrize(
    ("fn", "options", "message"),
    [
        (torch.zeros(2), {}, "fn must be a function .* got Tensor"),
        (None, {}, "fn must be a function .* got NoneType"),
        (int, {"threads": 0}, "threads must be an integer of at least 1, got 0"),
        (int, {"threads": 1.5}, "threads must be an integer of at least 1, got 1.5"),
        (int, {"threads": True}, "threads must be an integer of at least 1, got True"),
        (int, {"spread": 0.0}, "spread must be positive and finite, got 0.0"),
        (int, {"spread": float("nan")}, "spread must be positive and finite, got nan"),
        (int, {"at_most": -1}, "at_most must be positive and finite, got -1"),
        (int, {"at_most": float("inf")}, "at_most must be positive and finite, got inf"),
        (int, {"device": "gpu"}, "device must be 'cpu' or 'cuda', got 'gpu'"),
        (int, {"device": "meta"}, "device must be 'cpu' or 'cuda', got 'meta'"),
        (int, {"device": []}, r"device must be 'cpu' or 'cuda', got \[\]"),
        (int, {"device": "cuda:99"}, "device is 'cuda:99', but torch sees [0-9]+ CUDA devices"),
    ],
)
def test_bad_input_is_named(fn, options, message):
    with pytest.raises(ValueError, match=message):
        measure(fn, **options)


def test_busy_is_what_all_cores_do_together():
    # Against the kernel's own counters, read around it.
    def idle_and_all():
        now = measuring.psutil.cpu_times()._asdict()
        for counted_twice in ("guest", "guest_nice"):
            now.pop(counted_twice, None)
        return np.array([now["idle"] + now.get("iowait", 0), sum(now.values())])

    before = idle_and_all()
    share = measuring.busy()
    idle, total = idle_and_all() - before
    assert 0 <= share <= 1
    assert share == pytest.approx(1 - idle / total, abs=0.15)


# Several, in turn


def test_each_has_its_own_time_in_turn(clock):
    slow, fast = measure_in_turn([clock.takes(lambda _: 4e-3), clock.takes(lambda _: 1e-3)])
    assert (slow.median, fast.median) == pytest.approx((4e-3, 1e-3))
    assert slow.is_settled
    assert fast.is_settled


def test_a_machine_that_grows_busy_slows_all_alike(clock):
    def fn(seconds):
        # Soon everything takes five times as long.
        return clock.takes(lambda _: seconds * (5 if clock.now > 0.25 else 1))

    slow, fast = measure_in_turn([fn(4e-3), fn(1e-3)])
    assert fast.speedup_over(slow).ratio == pytest.approx(4)
    clock.now = 0.0
    slow, fast = measure(fn(4e-3)), measure(fn(1e-3))
    assert fast.speedup_over(slow).ratio < 2  # one after the other: the fast one had bad luck


def test_rounds_go_on_until_each_has_settled_or_the_time_is_over(clock):
    wild = np.random.default_rng(0).lognormal(size=100_000) * 1e-2
    calm, restless = measure_in_turn(
        [clock.takes(lambda _: 1e-2), clock.takes(lambda i: wild[i])], at_most=1.5
    )
    assert calm.is_settled
    assert not restless.is_settled
    assert 3.0 <= calm.calls * 1e-2 + sum(restless.times) < 3.3  # 1.5 s each, on average
    clock.now = 0.0
    both = measure_in_turn([clock.takes(lambda _: 1e-2)] * 2, at_most=1.5)
    assert [0.1 <= one.calls * one.median < 0.2 for one in both] == [True, True]


def test_one_slow_call_of_each_is_timed_whatever_the_limit(clock):
    first, second = measure_in_turn([clock.takes(lambda _: 3.0)] * 2, at_most=0.1)
    assert first.calls == second.calls == 1
    assert not first.is_settled


def test_warm_up_comes_before_the_first_turn_of_each(clock):
    fns = [clock.takes(lambda i: 8e-3 if i < 10 else 1e-3) for _ in range(2)]
    for measured in measure_in_turn(fns):
        assert max(measured.times) == pytest.approx(1e-3)


def test_all_that_are_measured_in_turn_must_be_functions():
    with pytest.raises(ValueError, match="got int"):
        measure_in_turn([lambda: None, 3])
    with pytest.raises(ValueError, match="at_most must be positive and finite, got 0"):
        measure_in_turn([lambda: None], at_most=0)
