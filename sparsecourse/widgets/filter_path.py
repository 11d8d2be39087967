"""Lecture 11: a price on filters rises, and the filters of a layer die one by one."""

from __future__ import annotations

from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sparsecourse.experiments import record
from sparsecourse.experiments.wen2016_path import load_filters
from sparsecourse.widgets.explorer import Explorer

NAME = "wen2016_filter_path"
COLUMNS = 5  # of filters, side by side
ALL = {"conv1": 20, "conv2": 50}  # filters of LeNet-5
WITH_PRICE, RETRAINED, HERE = "#E69F00", "#0072B2", "#D55E00"


@dataclass(frozen=True)
class PathAt:
    """One price of a recorded path, and the curves over all of them.

    Attributes
    ----------
    lam : float
    filters : ndarray, shape (20, 5, 5)
        Those of conv1, of one seed; zero where dead.
    largest : float
        The largest weight of all prices, for the scale of colours.
    figures : dict of str to float
        Means over seeds at this price.
    curves : dict of str to tuple of float
        The same figures at all prices, in the order of lam.
    n_seeds : int
    """

    lam: float
    filters: NDArray[np.float64]
    largest: float
    figures: dict[str, float]
    curves: dict[str, tuple[float, ...]]
    n_seeds: int

    @property
    def drawn(self) -> int:
        """How many filters of conv1 live in the seed that is drawn."""
        return int(self.filters.any(axis=(1, 2)).sum())


def draw_living(axes: Axes, state: PathAt) -> None:
    """The filters of conv1, each at its place in one image; a dead one leaves it empty."""
    n, height, width = state.filters.shape
    picture = np.full((n // COLUMNS * (height + 1) - 1, COLUMNS * (width + 1) - 1), np.nan)
    for place, weights in enumerate(state.filters):
        if weights.any():
            top, left = place // COLUMNS * (height + 1), place % COLUMNS * (width + 1)
            picture[top : top + height, left : left + width] = weights
    axes.imshow(picture, cmap="RdBu_r", vmin=-state.largest, vmax=state.largest)
    axes.set_axis_off()
    axes.set_title(f"{state.drawn} of {n} filters of conv1")


def draw_errors(axes: Axes, state: PathAt) -> None:
    """Errors against multiply-adds at all prices, with a marker at this one."""
    left = state.curves["multiply_adds_percent"]
    for figure, color, label in (
        ("error_percent", WITH_PRICE, "with the price"),
        ("retrained_error_percent", RETRAINED, "trained on without it"),
    ):
        axes.plot(left, state.curves[figure], ".-", color=color, label=label)
        here = state.figures["multiply_adds_percent"], state.figures[figure]
        axes.plot(*here, "o", ms=9, mfc="none", mew=2, color=HERE)
    axes.set(xlabel="multiply-adds left, %", ylabel="validation error, %", xlim=(105, 0))
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower left", fontsize=9)


def draw_path(figure: Figure, state: PathAt) -> str:
    """Left the filters, right error against multiply-adds."""
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.02, right=0.98, bottom=0.15, top=0.88, wspace=0.25)
    draw_living(left, state)
    draw_errors(right, state)
    right.set_title(f"lam = {state.lam:g}")
    at = state.figures
    return (
        f"lam = {state.lam:g}: in the network drawn, {state.drawn} of {ALL['conv1']} filters of "
        f"conv1 live, and as many channels of conv2. Mean of {state.n_seeds} "
        f"seed{'s' * (state.n_seeds != 1)}: {at['conv1_filters']:.1f} of {ALL['conv1']} filters in "
        f"conv1, {at['conv2_filters']:.1f} of {ALL['conv2']} in conv2, "
        f"{at['multiply_adds_percent']:.0f} % of the multiply-adds. Validation error "
        f"{at['error_percent']:.1f} % with the price, {at['retrained_error_percent']:.1f} % after "
        "training on without it."
    )


def filter_path() -> Explorer:
    """Explorer: the price of filters, against the filters that live, the error and the cost.

    The path is recorded, see `experiments.wen2016_path`.

    Returns
    -------
    explorer : Explorer
    """
    recorded, filters = record.load(NAME), load_filters()
    rows = {float(row): row for row in recorded.rows}
    lams = sorted(rows)
    names = next(iter(recorded.seeds.values()))["rows"][rows[lams[0]]]
    curves = {name: tuple(recorded.mean(rows[lam], name) for lam in lams) for name in names}
    largest = max(float(np.abs(weights).max()) for weights in filters.values())

    def compute(lam: float) -> PathAt:
        place = lams.index(lam)
        return PathAt(
            lam=lam,
            filters=filters[lam],
            largest=largest,
            figures={name: values[place] for name, values in curves.items()},
            curves=curves,
            n_seeds=len(recorded.seeds),
        )

    slider = widgets.SelectionSlider(
        options=[(f"{lam:g}", lam) for lam in lams],
        value=lams[0],
        description="price lam",
        layout={"width": "34em"},
    )
    return Explorer(compute, draw_path, {"lam": slider}, size=(7.6, 3.6))
