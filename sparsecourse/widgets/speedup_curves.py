"""Measured speed-ups of one layer beside the theory: the picture, and what it says in words."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import TICKUP
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from sparsecourse.reference.validation import fraction
from sparsecourse.timing.curves import Curve
from sparsecourse.timing.measuring import three_digits
from sparsecourse.timing.sparse import Timed, crossover, theoretical_speedup

# Formats that place their zeros alike share a colour; no two share a marker as well.
LOOKS = {
    "masked dense": ("#000000", "X"),
    "torch CSR": ("#0072B2", "o"),
    "scipy CSR": ("#0072B2", "s"),
    "course CSR": ("#0072B2", "v"),
    "relative index": ("#E69F00", "D"),
    "bitmask": ("#E69F00", "^"),
    "BSR 4x4": ("#009E73", "P"),
    "BSR 16x16": ("#009E73", "s"),
    "regular blocks": ("#56B4E9", "h"),
    "2:4": ("#CC79A7", "*"),
    "int8": ("#CC79A7", "X"),
    "smaller GEMM": ("#D55E00", "D"),
    "gathered GEMM": ("#D55E00", "v"),
}
TICKS = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
LEGEND_CHARACTERS = 24


@dataclass(frozen=True)
class View:
    """What the picture shows.

    Attributes
    ----------
    layer : str
        Its name.
    planned : tuple of float
        Sparsities that would be measured next.
    curve : Curve or None
        None where nothing was measured.
    is_recorded : bool
        Whether `curve` comes with the course.
    device : str or None
        The recorded one to compare with.
    beside : Curve or None
        What was recorded there; None where nothing was.
    """

    layer: str
    planned: tuple[float, ...]
    curve: Curve | None = None
    is_recorded: bool = False
    device: str | None = None
    beside: Curve | None = None


def spaced(low: float, high: float, count: int, densest: float) -> tuple[float, ...]:
    """Sparsities that leave a half, a quarter, an eighth, ...: evenly in ``log(1 / (1 - s))``.

    Parameters
    ----------
    low, high : float, 0 <= low <= high <= 1
    count : int
        At least 2.
    densest : float, < 1
        The last one but 1, where `high` is 1: there is no even step to infinity.

    Returns
    -------
    sparsities : tuple of float
        Rising, from `low` to `high`; fewer than `count` where they coincide.

    Raises
    ------
    ValueError
        If `low` and `high` are no shares in this order.
    """
    if not fraction("low", low) <= fraction("high", high):
        raise ValueError(f"low must be at most high, got {low} and {high}")
    ends_at_one = high == 1
    last = max(low, densest) if ends_at_one else high
    if last == 1:
        return (1.0,)
    steps = count - 1 - ends_at_one
    ratio = (1 - last) / (1 - low)
    between = [1 - (1 - low) * ratio ** (step / steps) for step in range(1, steps)]
    found = {float(low), *between, float(last)} if low < last else {float(low)}
    return (*sorted(found), *([1.0] if ends_at_one else []))


def percent(share: float) -> str:
    """A sparsity for readers, with two digits of what is left: 50 %, 96.8 %, 99.95 %.

    Parameters
    ----------
    share : float, 0 to 1

    Returns
    -------
    text : str
    """
    left = 100 * (1 - share)
    digits = max(0, 1 - math.floor(math.log10(left))) if left > 0 else 0
    text = f"{100 * share:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + " %"


def finding(points: Sequence[Timed]) -> str:
    """What the points of one format say, in words.

    Parameters
    ----------
    points : sequence of Timed
        Of one format, from low sparsity to high; at least one.

    Returns
    -------
    sentence : str
    """
    last = points[-1]
    name, end = last.format, f"{three_digits(last.speedup.ratio)}x"
    at_end = f"{end} at {percent(last.sparsity)} zeros"
    if last.sparsity:
        at_end += f", {100 * last.realised:.0f} % of the {three_digits(last.theory)}x in theory"
    if len(points) == 1:
        return f"{name}: {at_end}{_doubt(last)}."
    start = crossover(points)
    if start is not None:
        first = next(point for point in points if point.sparsity == start)
        where = f"from {percent(start)} zeros on, of the sparsities measured"
        if first is points[0]:
            where = "at all sparsities measured"
        return f"{name}: faster than dense {where}{_doubt(first)}; {at_end}."
    faster = [percent(point.sparsity) for point in points if point.speedup.ratio > 1]
    if faster:
        return f"{name}: faster than dense at {', '.join(faster)} zeros, but not beyond; {at_end}."
    return f"{name}: nothing gained at any sparsity measured; {at_end}."


def draw_speedups(figure: Figure, view: View) -> str:
    """Speed-ups against sparsity, both in logarithms, with quartile bands and the theory.

    Parameters
    ----------
    figure : Figure
        Empty.
    view : View

    Returns
    -------
    sentences : str
        What the picture shows, a line for each format.
    """
    axes = figure.subplots()
    figure.subplots_adjust(left=0.085, right=0.72, bottom=0.14, top=0.86)
    points = list(view.curve.points) if view.curve else []
    others = list(view.beside.points) if view.beside else []
    planned = [theoretical_speedup(s) for s in view.planned if s < 1]
    right = max([2.0, *planned, *(point.theory for point in points + others)])
    bands = [point.speedup for point in points + others]
    low = 0.3 * min([1.0, *(band.lower for band in bands)])
    high = 1.5 * max([right, *(band.upper for band in bands)])

    # The words stand below the slowest curve, where no other is.
    axes.axhspan(low, 1, color="#EAEAEA", lw=0, zorder=0)
    words = {"ha": "right", "va": "bottom", "color": "#555555", "textcoords": "offset points"}
    axes.annotate("slower than dense", (right, low), xytext=(0, 10), **words)
    axes.plot([1, right], [1, right], "--", color="#555555", lw=1.5, label="theory, 1 / (1 - s)")
    if view.beside:
        _draw_curves(axes, view.beside, is_beside=True)
    if view.curve:
        _draw_curves(axes, view.curve, is_beside=False)
    axes.plot(planned, [low] * len(planned), ls="", marker=TICKUP, color="black", ms=7, mew=1.5)

    axes.set(xscale="log", yscale="log", xlim=(0.93, 1.08 * right), ylim=(low, high))
    axes.xaxis.set_major_locator(FixedLocator([theoretical_speedup(s) for s in TICKS]))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: percent(1 - 1 / x).removesuffix(" %"))
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="sparsity s, % (short strokes: will be measured)", ylabel="times as fast")
    _legend(axes, view)
    name = str(view.curve.layer) if view.curve else view.layer
    axes.set_title(f"{name}\n{_message(points)}")
    return "\n".join(_sentences(view, name))


def _draw_curves(axes: Axes, curve: Curve, *, is_beside: bool) -> None:
    """A line with its band for each format; a marker where there is but one point."""
    for name in curve.formats:
        points, (colour, marker) = curve.of(name), LOOKS[name]
        x = [point.theory for point in points]
        bands = [point.speedup for point in points]
        ratios = [band.ratio for band in bands]
        if is_beside:
            style = {"ls": ":", "lw": 1.2, "ms": 4, "mfc": "none"}
            axes.plot(x, ratios, color=colour, marker=marker, **style)
            continue
        axes.plot(x, ratios, color=colour, marker=marker, label=name, mec="white", mew=0.5, ms=7)
        lower, upper = [band.lower for band in bands], [band.upper for band in bands]
        if len(points) == 1:
            axes.vlines(x, lower, upper, color=colour, lw=2)
        axes.fill_between(x, lower, upper, color=colour, alpha=0.2, lw=0)


def _legend(axes: Axes, view: View) -> None:
    """To the right of the picture, in the order in which the curves end."""
    lines = {line.get_label(): line for line in axes.get_lines()}
    names = view.curve.formats if view.curve else []
    if view.curve:
        names = sorted(names, key=lambda name: -view.curve.of(name)[-1].speedup.ratio)
    handles = [lines[name] for name in ["theory, 1 / (1 - s)", *names]]
    if view.device:
        label = f"{'dotted' if view.beside else 'nothing'}: recorded on {view.device}"
        style = ":" if view.beside else ""
        label = textwrap.fill(label, LEGEND_CHARACTERS)
        handles += axes.plot([], [], style, color="black", lw=1.2, label=label)
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.02), fontsize=9.5)


def _message(points: Sequence[Timed]) -> str:
    """The title's second line."""
    if not points:
        return "not measured yet"
    best = max(points, key=lambda point: point.speedup.ratio)
    ratio = three_digits(best.speedup.ratio)
    if best.speedup.ratio <= 1:
        return "no format was faster than dense"
    at = f"{best.format}, {percent(best.sparsity)} zeros"
    return f"fastest: {ratio}x ({at}), {three_digits(best.theory)}x in theory"


def _sentences(view: View, name: str) -> list[str]:
    if not view.curve:
        sentences = [
            f"{name}: nothing is measured yet in the formats chosen. The dashed line is the theory."
        ]
    else:
        origin = "Recorded with the course" if view.is_recorded else "Measured"
        sentences = [f"{name}, times as fast as dense. {origin}: {view.curve.where}."]
        sentences += [finding(view.curve.of(name)) for name in view.curve.formats]
    if view.beside:
        sentences.append(f"Dotted, to compare, recorded with the course: {view.beside.where}.")
        sentences += [finding(view.beside.of(name)) for name in view.beside.formats]
    elif view.device:
        sentences.append(f"Nothing was recorded on {view.device} for this layer and these formats.")
    return sentences


def _doubt(point: Timed) -> str:
    """Said where a speed-up might as well be none."""
    band = point.speedup
    if not band.lower <= 1 <= band.upper:
        return ""
    low, high = three_digits(band.lower), three_digits(band.upper)
    return f" (its quartiles there, {low} to {high}, hold 1: not told apart from dense)"
