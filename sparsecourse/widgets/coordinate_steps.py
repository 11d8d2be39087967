"""Lecture 05: coordinate descent on a lasso with two coefficients, one step at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import ipywidgets as widgets
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from sparsecourse.reference.lasso import duality_gap, objective
from sparsecourse.reference.norms import soft_threshold
from sparsecourse.widgets.explorer import Explorer

Floats = NDArray[np.float64]
LEAST_SQUARES = np.array([1.5, 1.1])
START = np.array([-0.8, 1.9])
STEPS = 24
GRID = np.linspace(-1.2, 2.2, 81)
FLOOR = 1e-9
TICKS = {1e-9: "≤ 1e-9", 1e-6: "1e-6", 1e-3: "0.001", 1: "1"}  # powers are slow to typeset


@dataclass(frozen=True)
class Descent:
    """All steps for one problem, the one that is looked at, and how far each is from the end."""

    step: int
    correlation: float
    lam: float
    b: Floats  # shape (STEPS + 1, 2), from START
    minimum: Floats
    above: Floats  # the objective minus its minimum, by step, relative as the gap
    gap: Floats
    height: Floats  # the objective on GRID x GRID


def design(correlation: float) -> tuple[Floats, Floats]:
    """Two columns of mean square 1, and the y that LEAST_SQUARES fits without error.

    Parameters
    ----------
    correlation : float, in (-1, 1)
        Of the columns.

    Returns
    -------
    X : ndarray, shape (2, 2)
    y : ndarray, shape (2,)
    """
    X = np.sqrt(2) * np.array([[1, correlation], [0, np.sqrt(1 - correlation**2)]])
    return X, X @ LEAST_SQUARES


def minimise(correlation: float, lam: float) -> Floats:
    """The solution, found by trying the signs: where they are known, the problem is linear.

    Parameters
    ----------
    correlation : float, in (-1, 1)
    lam : float, >= 0

    Returns
    -------
    b : ndarray, shape (2,)
    """
    X, y = design(correlation)
    G, c = X.T @ X / 2, X.T @ y / 2
    tried = [np.zeros(2)]
    for first in (-1, 0, 1):
        for second in (-1, 0, 1):
            signs = np.array([first, second])
            on = np.flatnonzero(signs)
            b = np.zeros(2)
            b[on] = np.linalg.solve(G[np.ix_(on, on)], (c - lam * signs)[on])
            if (np.sign(b) == signs).all():
                tried.append(b)
    return min(tried, key=lambda b: objective(X, y, b, lam))


@cache
def _all_steps(correlation: float, lam: float) -> Descent:
    X, y = design(correlation)
    b = [START]
    for step in range(STEPS):
        j, new = step % 2, b[-1].copy()
        z = X[:, j] @ (y - X @ new) / 2 + new[j]
        new[j] = soft_threshold(z, lam) + 0.0  # zero without a sign
        b.append(new)
    minimum = minimise(correlation, lam)
    at_zero = y @ y / 4
    lowest = objective(X, y, minimum, lam)
    above = np.array([objective(X, y, at, lam) - lowest for at in b]) / at_zero
    above = np.maximum(above, 0)  # rounding
    gap = np.maximum([duality_gap(X, y, at, lam) for at in b], 0)
    b1, b2 = np.meshgrid(GRID, GRID)
    d1, d2 = b1 - LEAST_SQUARES[0], b2 - LEAST_SQUARES[1]
    height = (d1**2 + d2**2) / 2 + correlation * d1 * d2 + lam * (np.abs(b1) + np.abs(b2))
    return Descent(0, correlation, lam, np.array(b), minimum, above, gap, height)


def descend(step: int, correlation: float, lam: float) -> Descent:
    """Coordinate descent from START, the first coefficient first.

    Parameters
    ----------
    step : int, 0 to STEPS
        The one to look at.
    correlation : float, in (-1, 1)
        Of the two columns.
    lam : float, > 0

    Returns
    -------
    descent : Descent
    """
    run = _all_steps(correlation, lam)
    return Descent(step, **{name: value for name, value in vars(run).items() if name != "step"})


def draw_descent(figure: Figure, state: Descent) -> str:
    """Left the steps on the contours, right the distance from the minimum, and the gap."""
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.15])
    figure.subplots_adjust(left=0.075, right=0.99, bottom=0.14, top=0.91, wspace=0.28)
    lowest = state.height.min()
    rise = np.array([0.02, 0.08, 0.2, 0.4, 0.7, 1.1, 1.7, 2.5, 3.5])
    left.contour(GRID, GRID, state.height, levels=lowest + rise, colors="#AAAAAA", linewidths=0.9)
    left.plot([-2, 3, np.nan, 0, 0], [0, 0, np.nan, -2, 3], color="black", lw=0.6)
    walked = state.b[: state.step + 1]
    left.plot(*walked.T, "-", color="#0072B2", lw=1.5)
    left.plot(*walked.T, "o", color="#0072B2", ms=3)
    left.plot(*state.minimum, "k*", ms=12)
    left.plot(*walked[-1], "o", color="#D55E00", mec="white", ms=9)
    left.set(xlim=(-1.2, 2.2), ylim=(-1.2, 2.2), aspect="equal", xlabel="b1", ylabel="b2")
    left.set(xticks=[-1, 0, 1, 2], yticks=[-1, 0, 1, 2])
    left.set_title(f"Step {state.step}: b = ({walked[-1][0]:.2f}, {walked[-1][1]:.2f})")
    left.grid(False)
    steps = np.arange(STEPS + 1)
    for values, style, color, label in (
        (state.gap, "--", "#D55E00", "duality gap"),
        (state.above, "-", "#0072B2", "above the minimum"),
    ):
        shown = np.maximum(values, FLOOR)
        right.semilogy(steps, shown, style, color=color, lw=1.5, label=label)
        right.semilogy(state.step, shown[state.step], "o", color=color, ms=7, clip_on=False)
    right.set_yticks(list(TICKS), list(TICKS.values()))
    right.yaxis.set_minor_locator(NullLocator())
    right.set(xlabel="step", ylim=(FLOOR / 2, 500), xlim=(-0.5, STEPS + 0.5))
    right.set(title="How far from the minimum")
    right.legend(loc="upper right", ncol=2, fontsize=9)
    moved = "at the start" if state.step == 0 else f"b{2 - state.step % 2} was solved for last"
    zeros = [f"b{j + 1}" for j in range(2) if state.minimum[j] == 0]
    end = f"; there, {' and '.join(zeros)} is exactly zero" if len(zeros) == 1 else ""
    end = "; there, both are exactly zero" if len(zeros) == 2 else end
    return (
        f"Step {state.step}, correlation {state.correlation:.2f}, lam = {state.lam:.2f}: "
        f"{moved}, b = ({walked[-1][0]:.3g}, {walked[-1][1]:.3g}). The minimum (star) is "
        f"({state.minimum[0]:.3g}, {state.minimum[1]:.3g}){end}. The objective is "
        f"{state.above[state.step]:.1e} above it, the gap {state.gap[state.step]:.1e}."
    )


def coordinate_steps() -> Explorer:
    """Explorer: step, correlation of the columns and lam, against the way to the minimum.

    Returns
    -------
    explorer : Explorer
    """
    wide = {"width": "32em"}
    controls = {
        "step": widgets.IntSlider(value=3, min=0, max=STEPS, description="step", layout=wide),
        "correlation": widgets.FloatSlider(
            value=0.5,
            min=-0.95,
            max=0.95,
            step=0.05,
            description="correlation of the columns",
            layout=wide,
        ),
        "lam": widgets.FloatSlider(
            value=0.5, min=0.05, max=2.5, step=0.05, description="lam", layout=wide
        ),
    }
    return Explorer(descend, draw_descent, controls)
