"""Lecture 06: ten measurements, each expanded into a group of columns, enter a path one by one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import ipywidgets as widgets
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from sparsecourse import data
from sparsecourse.reference import group_lasso
from sparsecourse.widgets.explorer import Explorer

Floats = NDArray[np.float64]
L1_RATIO = {"lasso": 1.0, "sparse groups": 0.5, "groups": 0.0}
SHARES = np.geomspace(1, 0.01, 17)  # of lambda_max
COLOURED = ("bmi", "s5", "bp", "s3", "sex", "age", "s2")  # the others are grey


def quantile_knots(values: ArrayLike, n_knots: int = 5) -> Floats:
    """Knots with equally many values between any two neighbours: the minimum, quartiles, maximum.

    Parameters
    ----------
    values : array_like, shape (n,)
    n_knots : int, >= 2

    Returns
    -------
    knots : ndarray, shape (k,), rising
        Fewer than `n_knots` where values repeat so often that knots coincide.
    """
    return np.unique(np.quantile(values, np.linspace(0, 1, n_knots)))


def hats(values: ArrayLike, knots: Floats) -> Floats:
    """One column a knot but the first: 1 at its knot, falling in a line to 0 at the neighbours.

    Parameters
    ----------
    values : array_like, shape (n,)
        Values beyond the first or the last knot are treated as that knot.
    knots : ndarray, shape (k,), rising

    Returns
    -------
    columns : ndarray, shape (n, k - 1)
        Any sum of them is a curve of straight pieces between the knots, 0 at the first knot.
    """
    heights = np.eye(len(knots))
    return np.column_stack([np.interp(values, knots, heights[k]) for k in range(1, len(knots))])


@dataclass(frozen=True)
class GroupPath:
    """All solutions along a path, and the one that is looked at."""

    penalty: str
    step: int
    lams: Floats
    coefs: Floats  # (n_lams, n_columns)
    groups: list[list[int]]
    names: tuple[str, ...]  # of the groups

    @property
    def lengths(self) -> Floats:
        """||b_g|| of each group at each lam, shape (n_lams, n_groups)."""
        return np.stack([np.linalg.norm(self.coefs[:, g], axis=1) for g in self.groups], axis=1)


@cache
def expanded_diabetes() -> tuple[Floats, Floats, list[list[int]], tuple[str, ...]]:
    """The training patients; each measurement expanded into standardised hats at five knots.

    Returns
    -------
    X : ndarray, shape (266, 37)
    y : ndarray, shape (266,), centred
    groups : list of list of int
        The columns of each measurement: four, or one for `sex`, which has only two values.
    names : tuple of str
        Of the measurements.
    """
    diabetes = data.load("diabetes")
    blocks = [hats(column, quantile_knots(column)) for column in diabetes.train.X.T]
    ends = np.cumsum([block.shape[1] for block in blocks])
    groups = [
        list(range(end - block.shape[1], end)) for end, block in zip(ends, blocks, strict=True)
    ]
    X = np.hstack(blocks)
    y = diabetes.train.y - diabetes.train.y.mean()
    return (X - X.mean(axis=0)) / X.std(axis=0), y, groups, diabetes.feature_names


@cache
def whole_path(penalty: str) -> tuple[Floats, Floats]:
    """Solutions at all SHARES of lambda_max, with weights sqrt(group size).

    Parameters
    ----------
    penalty : str
        A key of L1_RATIO.

    Returns
    -------
    lams : ndarray, shape (17,)
    coefs : ndarray, shape (17, 37)
    """
    X, y, groups, _ = expanded_diabetes()
    weights = np.sqrt([len(g) for g in groups])
    l1_ratio = L1_RATIO[penalty]
    lams = SHARES * group_lasso.lambda_max(X, y, groups, weights, l1_ratio)
    solutions = group_lasso.path(X, y, groups, lams, weights, l1_ratio, tol=1e-4)
    return lams, np.array([solution.coef for solution in solutions])


def look_at(penalty: str, step: int) -> GroupPath:
    """The path of a penalty, and a place on it.

    Parameters
    ----------
    penalty : str
        A key of L1_RATIO.
    step : int
        Index in SHARES.

    Returns
    -------
    path : GroupPath
    """
    lams, coefs = whole_path(penalty)
    _, _, groups, names = expanded_diabetes()
    return GroupPath(penalty, step, lams, coefs, groups, names)


def draw_groups(figure: Figure, path: GroupPath) -> str:
    """Left the lengths of all groups along the path, right every coefficient at this lam."""
    left, right = figure.subplots(1, 2, width_ratios=[2, 3])
    figure.subplots_adjust(left=0.07, right=0.99, bottom=0.16, top=0.91, wspace=0.24)
    colours = [f"C{COLOURED.index(name)}" if name in COLOURED else "#999999" for name in path.names]
    lengths, b = path.lengths, path.coefs[path.step]
    for curve, colour in zip(lengths.T, colours, strict=True):
        left.plot(curve, color=colour, lw=1.8)
    left.axvline(path.step, color="black", lw=1, ls="--")
    left.set_xticks([0, 4, 8, 12, 16], [f"{100 * SHARES[i]:.0f}" for i in (0, 4, 8, 12, 16)])
    left.set(xlabel="lam (% of lambda_max)", ylabel="length of the group's coefficients")
    left.set(ylim=(0, None), title="Along the path")
    middles = 5.5 * np.arange(len(path.groups))
    for group, middle, colour in zip(path.groups, middles, colours, strict=True):
        places = middle + np.arange(len(group)) - (len(group) - 1) / 2
        # Thick lines are bars that are drawn faster.
        right.vlines(places, 0, b[group], color=colour, lw=5)
    highest = 1.05 * np.abs(path.coefs).max()
    right.axhline(0, color="black", lw=0.8)
    right.set(ylim=(-highest, highest), title="All coefficients at this lam")
    right.set_ylabel("coefficient (points per deviation)", labelpad=1)
    right.set_xticks(middles, path.names, fontsize=9)
    right.tick_params(axis="x", length=0)
    right.grid(visible=False, axis="x")
    for label, colour, length in zip(
        right.get_xticklabels(), colours, lengths[path.step], strict=True
    ):
        label.set(color=colour, fontweight="bold" if length > 0 else "normal")
    entered = [name for name, size in zip(path.names, lengths[path.step], strict=True) if size > 0]
    n_columns = sum(len(g) for g, size in zip(path.groups, lengths[path.step], strict=True) if size)
    where = f"Penalty: {path.penalty}; lam is {100 * SHARES[path.step]:.3g} % of lambda_max. "
    if not entered:
        return where + "No measurement is in."
    return where + (
        f"In: {', '.join(entered)} ({len(entered)} of {len(path.names)} measurements). "
        f"{np.count_nonzero(b)} of their {n_columns} coefficients are not zero."
    )


def group_paths() -> Explorer:
    """Explorer: lam and the penalty, against the measurements that are in the model.

    Returns
    -------
    explorer : Explorer
    """
    controls = {
        "step": widgets.SelectionSlider(
            value=5,
            options=[(f"{100 * share:.3g} %", i) for i, share in enumerate(SHARES)],
            description="lam, share of lambda_max",
            layout={"width": "30em"},
        ),
        "penalty": widgets.ToggleButtons(
            options=list(L1_RATIO), value="groups", description="penalty"
        ),
    }
    for penalty in L1_RATIO:  # now, so that no later move has to wait
        whole_path(penalty)
    return Explorer(look_at, draw_groups, controls)
