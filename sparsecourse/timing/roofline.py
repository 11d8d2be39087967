"""The roofline: no kernel is faster than the machine multiplies, or than it moves the bytes.

A kernel that does few multiply-adds for each byte waits for memory, one that does many is bound by
arithmetic. Both roofs are measured here, on this machine.

Arithmetic is counted in multiply-adds. A figure in FLOP counts two for each, and is twice as large.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import cycle

import torch
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter
from tqdm.auto import tqdm

from sparsecourse.timing.measuring import measure, require_device, three_digits

SIZES = (512, 1024, 2048, 4096, 8192)
LONG_ENOUGH = 0.03  # seconds of a product: larger ones are no faster
ENTRIES = 2**25  # three arrays of 128 MiB: too large together for the usual caches
SECONDS = 0.3  # of timed calls, for each kernel
MARKERS = "osD^vP"


@dataclass(frozen=True)
class Roofline:
    """The best that a machine was seen to do.

    Attributes
    ----------
    peak : float
        Multiply-adds per second, in float32.
    bandwidth : float
        Bytes per second, to and from memory.
    threads : int
    device : str
        Its name.

    References
    ----------
    Williams, Waterman, Patterson, Roofline: an insightful visual performance model for multicore
    architectures, CACM 52(4), 2009.
    """

    peak: float
    bandwidth: float
    threads: int
    device: str

    @property
    def ridge(self) -> float:
        """Multiply-adds per byte where the roofs meet: below it memory is the bound."""
        return self.peak / self.bandwidth

    def attainable(self, intensity: float) -> float:
        """The rate of a kernel that nothing else holds up.

        Parameters
        ----------
        intensity : float, >= 0
            Multiply-adds per byte moved to or from memory.

        Returns
        -------
        rate : float
            Multiply-adds per second: ``min(peak, bandwidth * intensity)``.

        Raises
        ------
        ValueError
            If `intensity` is negative or not finite.
        """
        _require_amount("intensity", intensity)
        return min(self.peak, self.bandwidth * intensity)

    def bound(self, multiply_adds: float, bytes: float) -> float:
        """The time below which no kernel gets: that of the slower of arithmetic and memory.

        Parameters
        ----------
        multiply_adds : float, >= 0
        bytes : float, >= 0
            Moved to and from memory.

        Returns
        -------
        seconds : float

        Raises
        ------
        ValueError
            If one of them is negative or not finite.
        """
        _require_amount("multiply_adds", multiply_adds)
        _require_amount("bytes", bytes)
        return max(multiply_adds / self.peak, bytes / self.bandwidth)

    def draw(self, axes: Axes, points: Mapping[str, tuple[float, float]]) -> str:
        """Draw the roofs, and measured kernels under them, with both axes logarithmic.

        The names stand in a legend on the right of the axes, the fastest on top.

        Parameters
        ----------
        axes : matplotlib Axes
        points : mapping of (float, float)
            Name of a kernel -> multiply-adds per byte, measured multiply-adds per second.

        Returns
        -------
        alt : str
            What the picture shows, in words.

        Raises
        ------
        ValueError
            If a point has a value that is not positive and finite.
        """
        for name, point in points.items():
            if not all(0 < value < math.inf for value in point):
                raise ValueError(f"points must be positive and finite, got {point} for {name!r}")
        intensities = [self.ridge, *(intensity for intensity, _ in points.values())]
        left, right = min(intensities) / 10, max(intensities) * 10
        ends = [self.attainable(x) for x in (left, self.ridge, right)]
        axes.loglog([left, self.ridge, right], ends, color="black", label="roof = 100 %")
        sentences = [f"A slope that turns flat, the roof: {self}."]
        fastest_first = sorted(points.items(), key=lambda item: -item[1][1])
        for (name, (intensity, rate)), marker in zip(fastest_first, cycle(MARKERS), strict=False):
            share = three_digits(100 * rate / self.attainable(intensity))
            axes.plot(intensity, rate, marker, label=f"{name}: {share} %")
            sentences.append(f"{name} reaches {share} % of it.")
        axes.set(xlabel="multiply-adds per byte", ylabel="multiply-adds per second")
        axes.yaxis.set_major_formatter(EngFormatter())
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
        return " ".join(sentences)

    def __str__(self) -> str:
        return (
            f"{three_digits(self.peak / 1e9)} G multiply-adds/s, "
            f"{three_digits(self.bandwidth / 1e9)} GB/s, meeting at {three_digits(self.ridge)} "
            f"multiply-adds per byte, {self.threads} thread{'s' * (self.threads > 1)}, "
            f"{self.device}"
        )


def roofline(*, threads: int | None = None, device: torch.device | str | None = None) -> Roofline:
    """Measure the roofs of this machine, in two or three seconds.

    The peak is that of the fastest of several square matrix products. The bandwidth is that of
    ``a = b + 3 c`` on arrays larger than the caches. Of each, the best time counts: what disturbs
    a kernel makes it slower, never faster.

    Parameters
    ----------
    threads : int, optional
        Default: as many as torch uses now.
    device : torch.device or str, optional
        "cpu" or "cuda". Default: CUDA if there is one, else the CPU.

    Returns
    -------
    roofline : Roofline

    Raises
    ------
    ValueError
        If `threads` is not positive, or there is no such device.

    Notes
    -----
    Traffic is what the program asks for, as in STREAM: 12 bytes for each entry, two numbers read
    and one written. Many processors first read a line of `a` before they write to it; those bytes
    are not counted, so a kernel that only reads may come out above the roof.

    Products are as precise as torch is set to be. In its default setting they are true float32,
    but on CUDA its convolutions may round to the shorter TF32, and then pass the peak.

    References
    ----------
    Williams, Waterman, Patterson, Roofline: an insightful visual performance model for multicore
    architectures, CACM 52(4), 2009. McCalpin, Memory bandwidth and machine balance in current high
    performance computers, IEEE TCCA Newsletter, 1995.
    """
    default = "cuda" if torch.cuda.is_available() else "cpu"
    device = require_device(default if device is None else device)
    disable = True if os.environ.get("TQDM_DISABLE") else None  # None: not where it goes to a file
    steps = len(SIZES) + 1
    with tqdm(desc="roofline", total=steps, delay=2, leave=False, disable=disable) as bar:
        a, b, c = torch.ones(3, ENTRIES, device=device)
        triad = measure(lambda: torch.add(b, c, alpha=3, out=a), threads=threads, at_most=SECONDS)
        bandwidth = 3 * a.nbytes / min(triad.times)
        bar.update()
        peak = 0.0
        for size in SIZES:
            A, B, product = _random((3, size, size), device)
            multiply = partial(torch.mm, A, B, out=product)
            seconds = min(measure(multiply, threads=threads, at_most=SECONDS).times)
            peak = max(peak, size**3 / seconds)
            bar.update()
            if seconds > LONG_ENOUGH:
                break
    return Roofline(peak, bandwidth, triad.threads, triad.device)


def _random(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Numbers in which a processor finds no short cut. The caller's random state is left alone."""
    generator = torch.Generator(device).manual_seed(0)
    return torch.rand(shape, generator=generator, device=device)


def _require_amount(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be at least 0 and finite, got {value!r}")
