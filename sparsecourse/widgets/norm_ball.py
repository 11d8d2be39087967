"""Lecture 03: the ball of a norm and the ellipses of a loss, and the point where they touch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import ipywidgets as widgets
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sparsecourse.reference.norms import lp_norm
from sparsecourse.widgets.explorer import Explorer

Floats = NDArray[np.float64]
EXPONENTS = {"1/4": 1 / 4, "1/2": 1 / 2, "1": 1.0, "4/3": 4 / 3, "2": 2.0, "4": 4.0, "∞": np.inf}
# X'X of two correlated columns, the first a little longer.
GRAM = np.array([[1.0, 0.4], [0.4, 0.7]])
DISTANCE = 2.0  # of the least-squares solution from the origin
RADII = np.round(np.arange(1, 101) * 0.02, 2)
POINTS = 1600
ZERO, OTHER = "#D55E00", "#0072B2"


@dataclass(frozen=True)
class Touch:
    """The least-squares solution, the best point of one ball, and of all balls up to radius 2."""

    exponent: float
    radius: float
    center: Floats
    b: Floats
    path: Floats  # shape (len(RADII), 2)

    @property
    def is_inside(self) -> bool:
        return bool((self.b == self.center).all())


def loss_at(b: Floats, center: Floats) -> Floats:
    """How much the squared error is above its minimum, at `center`: (b - center)' X'X (b - center).

    Parameters
    ----------
    b : ndarray, shape (..., 2)
    center : ndarray, shape (2,)

    Returns
    -------
    loss : ndarray, shape (...)
    """
    return np.einsum("...i,ij,...j", b - center, GRAM, b - center)


def ball_edge(p: float, t: Floats) -> Floats:
    """Points with lp norm 1. Where the edge bends sharply, near the axes for p < 1, they are dense.

    Parameters
    ----------
    p : float, > 0, or infinity
    t : ndarray, shape (n,)
        From 0 to 2 pi once around, counter-clockwise from the first axis.

    Returns
    -------
    points : ndarray, shape (n, 2)
    """
    circle = np.stack([np.cos(t), np.sin(t)], axis=-1)
    points = np.sign(circle) * np.abs(circle) ** max(2 / p, 1)
    size = np.abs(points)
    length = size.max(-1) if np.isinf(p) else (size**p).sum(-1) ** (1 / p)
    return points / length[:, None]


@cache
def _once_around(p: float) -> tuple[Floats, Floats, Floats]:
    """Parameters, their points, and the four points on the axes, without rounding."""
    t = 2 * np.pi * np.arange(POINTS) / POINTS
    return t, ball_edge(p, t), np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])


def best_on_ball(p: float, radius: float, center: Floats) -> Floats:
    """Minimise the loss over all b with lp norm at most `radius`.

    Follows the whole edge of the ball, since for p < 1 the loss has several minima on it, then
    looks closer around the best point.

    Parameters
    ----------
    p : float, > 0, or infinity
    radius : float, > 0
    center : ndarray, shape (2,)
        The least-squares solution.

    Returns
    -------
    b : ndarray, shape (2,)
        An entry is zero only if it is exactly so.
    """
    if lp_norm(center, p) <= radius:
        return center
    t, edge, axes = _once_around(p)
    step = t[1]
    best = t[loss_at(radius * edge, center).argmin()]
    for _ in range(4):
        near = best + step * np.linspace(-1, 1, 61)
        best = near[loss_at(radius * ball_edge(p, near), center).argmin()]
        step /= 30
    points = radius * np.vstack([axes, ball_edge(p, np.array([best]))])
    losses = loss_at(points, center)
    # Next to a corner that is the minimum, the loss is the same to rounding.
    return points[(losses <= losses.min() + 1e-13).argmax()]


@cache
def _path(p: float, angle: int) -> Floats:
    """The best point of each ball with a radius in RADII, on the grid of points."""
    center = _least_squares(angle)
    _, edge, axes = _once_around(p)
    points = np.vstack([axes, edge])
    best = loss_at(RADII[:, None, None] * points, center).argmin(axis=1)
    b = RADII[:, None] * points[best]
    b[lp_norm(center, p) <= RADII] = center
    return b


def _least_squares(angle: int) -> Floats:
    return DISTANCE * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])


def touch(exponent: float, radius: float, angle: int) -> Touch:
    """Least squares under a bound on the lp norm, for a least-squares solution at distance 2.

    Parameters
    ----------
    exponent : float, > 0, or infinity
    radius : float, > 0
    angle : int
        Direction of the least-squares solution, in degrees from the first axis.

    Returns
    -------
    touch : Touch
    """
    center = _least_squares(angle)
    b = best_on_ball(exponent, radius, center)
    return Touch(exponent, radius, center, b, _path(exponent, angle))


def draw_touch(figure: Figure, state: Touch) -> str:
    """Left ball, ellipses and touching point, right both coefficients as the ball grows."""
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.1])
    figure.subplots_adjust(left=0.07, right=0.99, bottom=0.15, top=0.91, wspace=0.22)
    name = next(name for name, value in EXPONENTS.items() if value == state.exponent)
    b, center = state.b, state.center
    edge = state.radius * _once_around(state.exponent)[1]
    left.fill(*edge.T, facecolor="#56B4E980", edgecolor=OTHER, lw=1.2)
    t = np.linspace(0, 2 * np.pi, 150)
    values, vectors = np.linalg.eigh(GRAM)
    ellipse = vectors / np.sqrt(values) @ np.array([np.cos(t), np.sin(t)])
    at_touch = np.sqrt(loss_at(b, center))
    for share, width in ((1 / 3, 0.8), (2 / 3, 0.8), (1, 1.8)):
        left.plot(*(center[:, None] + share * at_touch * ellipse), color="#555555", lw=width)
    left.plot([-3, 4, np.nan, 0, 0], [0, 0, np.nan, -3, 4], color="black", lw=0.6)
    left.plot(*center, "k*", ms=11)
    is_zero = (b == 0).any()
    left.plot(*b, "o", color=ZERO if is_zero else OTHER, mec="white", ms=9)
    left.set(xlim=(-2.3, 3.4), ylim=(-2.3, 3.4), aspect="equal", xlabel="b1", ylabel="b2")
    left.set_title(f"p = {name}, radius {state.radius:.2f}")
    left.set(xticks=[-2, 0, 2], yticks=[-2, 0, 2])
    left.grid(False)
    for i, color, style in ((0, "#D55E00", "-"), (1, "#009E73", "--")):
        right.plot(RADII, state.path[:, i], style, color=color, label=f"b{i + 1}")
        right.plot(state.radius, b[i], "o", color=color)
    right.axvline(state.radius, color="#777777", lw=1, ls=":")
    right.set(xlim=(0, 2.03), ylim=(-0.35, 2.1), xlabel="radius of the ball")
    right.set(xticks=[0, 0.5, 1, 1.5, 2], yticks=[0, 1, 2])
    right.set_title("Coefficients as the ball grows")
    right.legend(loc="upper left", fontsize=9)
    where = f"p = {name}, radius {state.radius:.2f}: the best point is b = ({b[0]:.3g}, {b[1]:.3g})"
    if state.is_inside:
        return f"{where}, the least-squares solution (star) itself: it lies in the ball."
    if is_zero:
        zero = 1 + int(b[0] != 0)
        return f"{where}, on an axis: b{zero} is exactly zero."
    return f"{where}, off the axes: neither coefficient is zero."


def norm_ball() -> Explorer:
    """Explorer: exponent, radius and direction against the point where ball and ellipse touch.

    Returns
    -------
    explorer : Explorer
    """
    wide = {"width": "36em"}
    controls = {
        "exponent": widgets.SelectionSlider(
            value=1.0, options=list(EXPONENTS.items()), description="exponent p", layout=wide
        ),
        "radius": widgets.FloatSlider(
            value=1.0, min=0.2, max=2.0, step=0.05, description="radius of the ball", layout=wide
        ),
        "angle": widgets.IntSlider(
            value=30,
            min=5,
            max=85,
            step=5,
            description="direction of least squares (degrees)",
            layout=wide,
        ),
    }
    return Explorer(touch, draw_touch, controls)
