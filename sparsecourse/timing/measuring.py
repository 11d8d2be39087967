"""How long one call takes: warmed up, synchronised, with pinned threads, as a median and quartiles.

Four mistakes make a measured time wrong, and `measure` avoids each:

- The first calls are slow. They allocate, compile and choose kernels, and the processor's clock
  has yet to rise. They are not timed.
- A GPU works behind Python's back: a call returns when the work is queued. The clock is read when
  the device has finished.
- The number of threads is left to chance, and the pools of several libraries compete. It is set
  for torch, NumPy and SciPy alike, and reported.
- A single time is luck, and a mean is ruled by the rare slow call. Times are repeated until they
  agree, and reported as median and quartiles.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np
import psutil
import torch
from threadpoolctl import threadpool_limits
from torch.utils import benchmark

WARM_UP = 0.1  # seconds
AT_LEAST = 0.1  # seconds of timed calls, so that a few lucky ones are no result
LOOKED_AT = 0.5  # seconds
TURNS = 5  # in which that is done, where things are measured in turn
FEWEST = 4  # times that have quartiles worth the name


@dataclass(frozen=True)
class Speedup:
    """How many times faster one measured thing is than another.

    Attributes
    ----------
    ratio : float
        Of the medians. Below 1 where it is slower.
    lower, upper : float
        The band that the quartiles leave.
    """

    ratio: float
    lower: float
    upper: float

    def __str__(self) -> str:
        low, high = three_digits(self.lower), three_digits(self.upper)
        return f"{three_digits(self.ratio)}x ({low} to {high})"


@dataclass(frozen=True)
class Measurement:
    """The time of one call, in seconds.

    Attributes
    ----------
    times : tuple of float
        Seconds per call, in the order measured. Calls too short for a clock are timed in blocks;
        each time is then the mean over one block.
    calls : int
        How many were timed.
    threads : int
    device : str
        Its name.
    is_settled : bool
        Whether the wanted spread was reached.
    """

    times: tuple[float, ...]
    calls: int
    threads: int
    device: str
    is_settled: bool

    @property
    def median(self) -> float:
        return float(np.median(self.times))

    @property
    def lower(self) -> float:
        """The first quartile."""
        return float(np.quantile(self.times, 0.25))

    @property
    def upper(self) -> float:
        """The third quartile."""
        return float(np.quantile(self.times, 0.75))

    @property
    def spread(self) -> float:
        """The distance of the quartiles, relative to the median."""
        return (self.upper - self.lower) / self.median

    def speedup_over(self, other: Measurement) -> Speedup:
        """How many times faster this is than something else.

        Parameters
        ----------
        other : Measurement
            What it is compared with, such as the dense product.

        Returns
        -------
        speedup : Speedup
            The median of `other` divided by this one. The band goes from the lower quartile of
            `other` over the upper one of this, to the upper over the lower. It holds the ratio of
            any time in the middle half of the one to any in the middle half of the other. It is
            no confidence interval: where it holds 1, the two were not told apart.
        """
        return Speedup(
            ratio=other.median / self.median,
            lower=other.lower / self.upper,
            upper=other.upper / self.lower,
        )

    def __str__(self) -> str:
        unit, scale = benchmark.select_unit(self.median)
        median, lower, upper = (
            three_digits(value / scale) for value in (self.median, self.lower, self.upper)
        )
        unsettled = "" if self.is_settled else ", further apart than wanted"
        return (
            f"{median} {unit.replace('us', 'µs')} (quartiles {lower} to {upper}{unsettled}), "
            f"{self.threads} thread{'s' * (self.threads > 1)}, {self.device}"
        )


def measure(
    fn: Callable[[], object],
    *,
    threads: int | None = None,
    device: torch.device | str | None = None,
    spread: float = 0.05,
    at_most: float = 2.0,
) -> Measurement:
    """Measure how long one call of a function takes.

    Parameters
    ----------
    fn : callable
        Takes no arguments: ``measure(lambda: model(x))``.
    threads : int, optional
        For torch, and for the libraries behind NumPy and SciPy. Default: as many as torch uses now.
        Afterwards all are as they were.
    device : torch.device or str, optional
        Where `fn` computes, "cpu" or "cuda". Default: where the tensor is that it returns, and the
        CPU if it returns something else.
    spread : float, > 0
        Times are taken until their quartiles differ by less than this part of the median.
    at_most : float, > 0
        Seconds of timed calls after which no more are begun, whatever the spread. At least one call
        is timed, after two or more that warm up.

    Returns
    -------
    measurement : Measurement

    Raises
    ------
    ValueError
        If `fn` cannot be called, `threads`, `spread` or `at_most` is not positive, there is no such
        device, or `fn` returns a tensor on CUDA and `device` says otherwise.

    Notes
    -----
    The calls of a block are queued on a GPU one after the other, as the layers of a network are.
    What is measured is the time per call of a busy device, not the delay until one result is there.
    """
    threads, device = _checked([fn], threads, device, spread, at_most)
    with _pinned(threads):
        device, timer = _warmed_up(fn, device, threads)
        timed = timer.adaptive_autorange(
            spread, min_run_time=min(AT_LEAST, at_most), max_run_time=at_most
        )
    return _summary([timed], threads, device, spread)


def measure_in_turn(
    fns: Sequence[Callable[[], object]],
    *,
    threads: int | None = None,
    device: torch.device | str | None = None,
    spread: float = 0.05,
    at_most: float = 2.0,
) -> list[Measurement]:
    """Measure what is to be compared: a little of each, again and again.

    A machine that grows busy or warm while it measures slows all of them alike, not just the last.

    Parameters
    ----------
    fns : sequence of callable
        Each takes no arguments.
    threads : int, optional
        As for `measure`.
    device : torch.device or str, optional
        As for `measure`.
    spread : float, > 0
        Rounds go on until the quartiles of each differ by less than this part of its median.
    at_most : float, > 0
        Seconds of timed calls for each, on average, after which no round is begun.

    Returns
    -------
    measurements : list of Measurement

    Raises
    ------
    ValueError
        As `measure`.
    """
    threads, device = _checked(fns, threads, device, spread, at_most)
    with _pinned(threads):
        warm = [_warmed_up(fn, device, threads) for fn in fns]
        rounds, seconds = [], 0.0
        while True:
            turn = min(AT_LEAST, at_most) / TURNS
            rounds.append([timer.blocked_autorange(min_run_time=turn) for _, timer in warm])
            found = [
                _summary(parts, threads, where, spread)
                for (where, _), parts in zip(warm, zip(*rounds, strict=True), strict=True)
            ]
            seconds += sum(sum(part.times) * part.number_per_run for part in rounds[-1])
            if seconds >= at_most * len(fns):
                return found
            if len(rounds) >= TURNS and all(one.is_settled for one in found):
                return found


def busy() -> float:
    """How much of the processor is in use, before anything is measured.

    Threads that have to wait for a core make a product several times slower, and a parallel one
    more than a serial one: above a tenth or so, do not believe the times.

    Returns
    -------
    share : float, 0 to 1
        Over half a second, of all cores.
    """
    return psutil.cpu_percent(interval=LOOKED_AT) / 100


def require_device(device: torch.device | str) -> torch.device:
    """The device of torch that is meant; a ValueError where there is none."""
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        found = None
    if found is None or found.type not in ("cpu", "cuda"):
        raise ValueError(f"device must be 'cpu' or 'cuda', got {device!r}")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ValueError(f"device is {device!r}, but torch sees {count} CUDA devices here")
    return found


def three_digits(value: float) -> str:
    """Three significant digits, or all those before the point: 0.0152, 1.50, 15.0, 1520."""
    return f"{value:.0f}" if value >= 99.95 else f"{value:#.3g}"


def _checked(
    fns: Sequence[Callable[[], object]],
    threads: int | None,
    device: torch.device | str | None,
    spread: float,
    at_most: float,
) -> tuple[int, torch.device | None]:
    """The number of threads, and the device if one is given; a ValueError for what is no input."""
    for fn in fns:
        if not callable(fn):
            given = type(fn).__name__
            raise ValueError(
                f"fn must be a function without arguments, such as lambda: f(x), got {given}"
            )
    threads = torch.get_num_threads() if threads is None else threads
    if type(threads) is not int or threads < 1:
        raise ValueError(f"threads must be an integer of at least 1, got {threads!r}")
    for name, value in (("spread", spread), ("at_most", at_most)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {value!r}")
    return threads, None if device is None else require_device(device)


def _warmed_up(
    fn: Callable[[], object], device: torch.device | None, threads: int
) -> tuple[torch.device, benchmark.Timer]:
    """Call until it is warm. The timer finds out how many calls make a block that is long against
    reading the clock."""
    start = perf_counter()
    device = _device_of(fn(), device)
    clock = partial(_now, device)
    while clock() - start < WARM_UP:
        fn()
    return device, benchmark.Timer("fn()", globals={"fn": fn}, timer=clock, num_threads=threads)


def _summary(
    timed: Sequence[benchmark.Measurement], threads: int, device: torch.device, spread: float
) -> Measurement:
    """The times of all blocks."""
    times = tuple(time for part in timed for time in part.times)
    lower, median, upper = np.quantile(times, (0.25, 0.5, 0.75))
    return Measurement(
        times=times,
        calls=sum(len(part.times) * part.number_per_run for part in timed),
        threads=threads,
        device=_name_of(device),
        is_settled=len(times) >= FEWEST and bool(upper - lower < spread * median),
    )


@contextmanager
def _pinned(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        with threadpool_limits(threads):
            # Torch's own copy of MKL is not seen by threadpoolctl.
            torch.set_num_threads(threads)
            yield
    finally:
        torch.set_num_threads(before)


def _now(device: torch.device) -> float:
    """Read the clock when the device has finished what it was given."""
    # What returns no tensor, and names no device, may yet have used CUDA.
    if torch.cuda.is_initialized():
        torch.cuda.synchronize(device if device.type == "cuda" else None)
    return perf_counter()


def _device_of(result: object, device: torch.device | None) -> torch.device:
    if not isinstance(result, torch.Tensor):
        return device or torch.device("cpu")
    if device is not None and result.is_cuda and device.type != "cuda":
        raise ValueError(f"device is '{device}', but fn returned a tensor on {result.device}")
    return device or result.device


def _name_of(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU {platform.machine()}"
