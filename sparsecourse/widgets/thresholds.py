"""Lecture 04: one number pulled to zero by five penalties; the objective, and its minimum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sparsecourse.reference.norms import half_threshold, hard_threshold, soft_threshold
from sparsecourse.widgets.explorer import Explorer

Floats = NDArray[np.float64]
GRID = np.linspace(-3, 3, 601)


@dataclass(frozen=True)
class Penalty:
    """A price on x, and the x it leads to for each w."""

    formula: str
    price: Callable[[Floats], Floats]
    minimum: Callable[[Floats, float], Floats]


PENALTIES = {
    "least squares": Penalty("no penalty", lambda x: 0 * x, lambda w, lam: w),
    "ridge": Penalty("lam x²/2", lambda x: x**2 / 2, lambda w, lam: w / (1 + lam)),
    "lasso": Penalty("lam |x|", np.abs, soft_threshold),
    "root": Penalty("lam √|x|", lambda x: np.sqrt(np.abs(x)), half_threshold),
    "count": Penalty("lam [x ≠ 0]", lambda x: (x != 0).astype(float), hard_threshold),
}


@dataclass(frozen=True)
class Minimum:
    """The chosen objective on GRID, its minimum, and the minimum of every penalty for w on GRID."""

    penalty: str
    lam: float
    w: float
    x: float
    loss: Floats
    price: Floats
    curves: dict[str, Floats]


def shrink(penalty: str, lam: float, w: float) -> Minimum:
    """Minimise 1/2 (x - w)^2 + lam * penalty(x) over x.

    Parameters
    ----------
    penalty : str
        A key of PENALTIES.
    lam : float, >= 0
    w : float
        What least squares would give.

    Returns
    -------
    minimum : Minimum
    """
    chosen = PENALTIES[penalty]
    return Minimum(
        penalty=penalty,
        lam=lam,
        w=w,
        x=float(chosen.minimum(np.array(w), lam)),
        loss=(GRID - w) ** 2 / 2,
        price=lam * chosen.price(GRID),
        curves={name: other.minimum(GRID, lam) for name, other in PENALTIES.items()},
    )


def draw_minimum(figure: Figure, state: Minimum) -> str:
    """Left the objective over x, right the minimum against w, for all penalties."""
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.07, right=0.99, bottom=0.31, top=0.91, wspace=0.2)
    colours = dict(
        zip(PENALTIES, ("#555555", "#009E73", "#D55E00", "#CC79A7", "#0072B2"), strict=True)
    )
    formula, colour = PENALTIES[state.penalty].formula, colours[state.penalty]
    value = state.loss + state.price
    lowest = (state.x - state.w) ** 2 / 2 + state.lam * float(
        PENALTIES[state.penalty].price(np.array(state.x))
    )
    left.plot(GRID, state.loss, "k--", lw=1, label="loss (x − w)²/2")
    left.plot(GRID, state.price, "k:", lw=1.5, label=formula)
    jump = (GRID == 0) & (state.penalty == "count")  # free at zero, and only there
    left.plot(GRID, np.where(jump, np.nan, value), color=colour, lw=2.5, label="their sum")
    left.plot(GRID[jump], value[jump], "o", color=colour, ms=7)
    left.axvline(0, color="#BBBBBB", lw=1, zorder=0)
    left.plot(state.x, lowest, "ko", ms=9, clip_on=False)
    left.set(xlabel="x", ylabel="objective", xlim=(-3, 3), ylim=(0, 5))
    left.set_title(f"The minimum lies at x = {state.x:.2f}")
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncol=2, fontsize=9)
    for name, curve in state.curves.items():
        unbroken = np.where(np.abs(np.diff(curve, append=curve[-1])) > 0.2, np.nan, curve)
        wide, free = name == state.penalty, name == "least squares"
        right.plot(
            GRID,
            unbroken,
            color=colours[name],
            ls="--" if free else "-",  # on top: the others lie on it where they shrink nothing
            lw=3 if wide else 1.5 if free else 1,
            zorder=3.5 if free else 3 if wide else 2,
            label=name,
        )
    right.plot(state.w, state.x, "ko", ms=9, zorder=4, clip_on=False)
    right.set(xlabel="w, what least squares gives", ylabel="minimum x")
    right.set(xlim=(-3, 3), ylim=(-3, 3), title="Minimum against w")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncol=3, fontsize=9)
    effect = (
        "set to exactly zero"
        if state.x == 0 != state.w
        else "left as it is"
        if np.isclose(state.x, state.w)
        else f"shrunk by {abs(state.w - state.x):.2f}"
    )
    return f"{state.penalty} ({formula}) with lam = {state.lam:.2f}: w = {state.w:.2f} is {effect}."


def thresholds() -> Explorer:
    """Explorer: penalty, its weight and w, against the x that minimises the sum.

    Returns
    -------
    explorer : Explorer
    """
    controls = {
        "penalty": widgets.ToggleButtons(
            options=list(PENALTIES), value="lasso", description="penalty"
        ),
        "lam": widgets.FloatSlider(
            value=1, min=0, max=2, step=0.05, description="lam", layout={"width": "26em"}
        ),
        "w": widgets.FloatSlider(
            value=1.7, min=-3, max=3, step=0.05, description="w", layout={"width": "26em"}
        ),
    }
    return Explorer(shrink, draw_minimum, controls, size=(7.6, 4.2))
