"""Lecture 00: set weights of a digit classifier to zero and watch its accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import ipywidgets as widgets
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from sparsecourse.data import Dataset, load
from sparsecourse.widgets.explorer import Explorer

ORDERS = {"the smallest first": "magnitude", "at random": "random"}
GROUND = 0.988  # the light ground of the house style
SHARES = np.linspace(0, 1, 21)


@dataclass(frozen=True)
class Pruned:
    """A classifier with some weights removed, and accuracies on validation images."""

    weights: NDArray[np.float64]  # (10, 64), zeros where removed
    share: float
    order: str
    accuracy: float
    curves: dict[str, NDArray[np.float64]]  # order -> accuracy at each of SHARES


@cache
def digits() -> Dataset:
    """The 8x8 digits, loaded once."""
    return load("digits")


@cache
def train_classifier() -> LogisticRegression:
    """Logistic regression on the 8x8 digits: 10 x 64 weights."""
    train = digits().train
    return LogisticRegression(C=1.0, max_iter=500).fit(train.X.reshape(len(train.X), -1), train.y)


def prune_weights(W: NDArray[np.float64], share: float, order: str) -> NDArray[np.float64]:
    """Set a share of the weights to zero: the smallest in magnitude, or a seeded random choice.

    Parameters
    ----------
    W : ndarray
    share : float in [0, 1]
    order : "magnitude" or "random"

    Returns
    -------
    pruned : ndarray, shape of `W`

    Raises
    ------
    ValueError
        If `share` or `order` is none of these.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be in [0, 1], got {share}")
    if order == "magnitude":
        ranked = np.argsort(np.abs(W), axis=None)
    elif order == "random":
        ranked = np.random.default_rng(0).permutation(W.size)
    else:
        raise ValueError(f"order must be 'magnitude' or 'random', got {order!r}")
    pruned = W.copy()
    pruned.flat[ranked[: round(share * W.size)]] = 0
    return pruned


def validation_accuracy(W: NDArray[np.float64]) -> float:
    """Share of the validation digits that the classifier gets right with other weights.

    Parameters
    ----------
    W : ndarray, shape (10, 64)

    Returns
    -------
    accuracy : float in [0, 1]
    """
    images, labels = digits().validation.X, digits().validation.y
    scores = images.reshape(len(images), -1) @ W.T + train_classifier().intercept_
    return float(np.mean(scores.argmax(axis=1) == labels))


@cache
def accuracy_curve(order: str) -> NDArray[np.float64]:
    """Validation accuracy at each share of SHARES."""
    W = train_classifier().coef_
    return np.array([validation_accuracy(prune_weights(W, share, order)) for share in SHARES])


def prune_and_score(share: float, order: str) -> Pruned:
    """The state of the explorer: everything its picture shows."""
    W = prune_weights(train_classifier().coef_, share, order)
    curves = {name: accuracy_curve(name) for name in ORDERS.values()}
    return Pruned(W, share, order, validation_accuracy(W), curves)


def mosaic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights as ten small images in two rows, one RGB image in all: drawn ten times faster.

    Parameters
    ----------
    weights : ndarray, shape (10, 64)

    Returns
    -------
    image : ndarray, shape (24, 50, 3)
        Zero weights are grey; four blank rows above each image, for its title.
    """
    limit = np.abs(train_classifier().coef_).max()
    colours = colormaps["RdBu_r"]((weights + limit) / (2 * limit))[..., :3]
    colours[weights == 0] = 0.78
    tiles = colours.reshape(2, 5, 8, 8, 3)
    framed = np.pad(tiles, ((0, 0), (0, 0), (4, 0), (1, 1), (0, 0)), constant_values=GROUND)
    return framed.transpose(0, 2, 1, 3, 4).reshape(24, 50, 3)


def draw_pruned(figure: Figure, state: Pruned) -> str:
    """Weights as ten small images, and accuracy against the share removed."""
    left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.15, top=0.91, wspace=0.2)
    left.imshow(mosaic(state.weights))
    for digit in range(10):
        row, column = divmod(digit, 5)
        left.text(10 * column + 4.5, 12 * row + 2.2, digit, ha="center", weight="bold")
    legend = "red: for the digit, blue: against, grey: removed"
    left.text(24.5, 26.5, legend, ha="center", fontsize=10)
    left.set_axis_off()
    for label, order in ORDERS.items():
        right.plot(100 * SHARES, 100 * state.curves[order], label=label)
    right.plot(100 * state.share, 100 * state.accuracy, "ko", ms=9)
    right.set(xlabel="weights removed (%)", ylabel="validation accuracy (%)", ylim=(0, 102))
    removed = round(state.share * state.weights.size)
    right.set_title(f"{removed} of {state.weights.size} removed: {state.accuracy:.1%} right")
    right.legend(loc="lower left")
    order = next(label for label, order in ORDERS.items() if order == state.order)
    return (
        f"{state.share:.0%} of the {state.weights.size} weights removed, {order}: "
        f"{state.accuracy:.1%} of the validation digits are right."
    )


def first_pruning() -> Explorer:
    """Explorer: how many weights does a digit classifier need?

    Returns
    -------
    explorer : Explorer
    """
    controls = {
        "share": widgets.FloatSlider(
            value=0.5,
            min=0,
            max=1,
            step=0.05,
            description="weights removed",
            readout_format=".0%",
            layout={"width": "26em"},
        ),
        "order": widgets.ToggleButtons(options=ORDERS, description="which ones"),
    }
    return Explorer(prune_and_score, draw_pruned, controls)
