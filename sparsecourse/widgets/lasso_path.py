"""Lecture 05: the lasso path of the diabetes data, and what cross-validation says of each lam."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from sparsecourse.data import load
from sparsecourse.functional import lasso
from sparsecourse.functional.cross_validation import path_errors
from sparsecourse.reference.cross_validation import one_standard_error
from sparsecourse.widgets.explorer import Explorer

Floats = NDArray[np.float64]
DATA = {"10 measurements": False, "65 with products": True}
SHARES = np.geomspace(1, 0.01, 41)  # of lambda_max
COLORS = {
    "bmi": "#0072B2",
    "s5": "#D55E00",
    "bp": "#009E73",
    "s3": "#CC79A7",
    "sex": "#E69F00",
    "s1": "#56B4E9",
    "age×sex": "#000000",
}


@dataclass(frozen=True)
class Path:
    """The coefficients at every lam, the error of every lam on every fold, and the lam chosen."""

    index: int
    data: str
    lams: Floats
    names: tuple[str, ...]
    coef: Floats  # shape (n_lams, n_features)
    errors: Floats  # shape (n_folds, n_lams)

    @property
    def best(self) -> int:
        return int(self.errors.mean(axis=0).argmin())

    @property
    def simplest(self) -> int:
        return one_standard_error(self.errors)


@cache
def standardised(with_products: bool) -> tuple[Floats, Floats, tuple[str, ...]]:
    """Measurements of all patients but the test part, standardised; scores, centred; names.

    Parameters
    ----------
    with_products : bool
        Should all squares and products of two measurements join?

    Returns
    -------
    X : ndarray, shape (354, 10) or (354, 65)
    y : ndarray, shape (354,)
    names : tuple of str
    """
    patients = load("diabetes")
    X = np.concatenate([patients.train.X, patients.validation.X])
    y = np.concatenate([patients.train.y, patients.validation.y])
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    names = patients.feature_names
    if with_products:
        first, second = np.triu_indices(X.shape[1])
        products = X[:, first] * X[:, second]
        products = (products - products.mean(axis=0)) / products.std(axis=0)
        names += tuple(f"{names[i]}×{names[j]}" for i, j in zip(first, second, strict=True))
        X = np.hstack([X, products])
    return X, y - y.mean(), names


def fit_path(X: Tensor, y: Tensor, lams: Tensor) -> Tensor:
    """Lasso coefficients at every lam.

    Parameters
    ----------
    X : Tensor, shape (n_samples, n_features)
    y : Tensor, shape (n_samples,)
    lams : Tensor, shape (n_lams,), falling

    Returns
    -------
    B : Tensor, shape (n_lams, n_features)
    """
    return torch.stack([solution.coef for solution in lasso.path(X, y, lams, tol=1e-8)])


@cache
def _solve(data: str, n_folds: int) -> Path:
    X, y, names = standardised(DATA[data])
    tensors = torch.from_numpy(X), torch.from_numpy(y)
    lams = lasso.lambda_max(*tensors) * torch.from_numpy(SHARES)
    coef = fit_path(*tensors, lams)
    errors = path_errors(*tensors, lams, fit_path, n_folds=n_folds)
    return Path(0, data, lams.numpy(), names, coef.numpy(), errors.numpy())


def choose(index: int, data: str, n_folds: int) -> Path:
    """The path, cross-validated, and the lam that is looked at.

    Parameters
    ----------
    index : int, 0 to 40
        Of the lam, from lambda_max down to a hundredth of it.
    data : str
        A key of DATA.
    n_folds : int

    Returns
    -------
    path : Path
    """
    known = _solve(data, n_folds)
    return Path(index, data, known.lams, known.names, known.coef, known.errors)


def draw_path(figure: Figure, state: Path) -> str:
    """Left the coefficients against lam, right the cross-validation error with its band."""
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.085, right=0.98, bottom=0.15, top=0.91, wspace=0.3)
    x = np.arange(len(state.lams))
    grey = [j for j, name in enumerate(state.names) if name not in COLORS]
    left.plot(x, state.coef[:, grey], color="#BBBBBB", lw=0.9)
    for name in filter(state.names.__contains__, COLORS):
        curve = state.coef[:, state.names.index(name)]
        left.plot(x, curve, color=COLORS[name], lw=1.8, label=name)
        left.plot(state.index, curve[state.index], "o", color=COLORS[name], ms=5)
    left.plot([], [], color="#BBBBBB", lw=0.9, label="others")
    b = state.coef[state.index]
    kept = int(np.count_nonzero(b))
    left.set(ylabel="coefficient (points)")
    left.set_title(f"{kept} of {len(b)} columns kept")
    left.legend(loc="upper left", fontsize=8.5, ncol=2, handlelength=1.2)
    low, high = state.coef.min(), state.coef.max()
    left.set_ylim(low - 0.05 * (high - low), high + 0.5 * (high - low))
    mean = state.errors.mean(axis=0)
    error = state.errors.std(axis=0, ddof=1) / np.sqrt(len(state.errors))
    right.fill_between(x, mean - error, mean + error, color="#0072B2", alpha=0.2, lw=0)
    right.plot(x, mean, color="#0072B2", lw=1.8)
    right.axvline(state.best, color="#009E73", lw=1.2, ls="--", label="minimum")
    right.axvline(state.simplest, color="#D55E00", lw=1.2, ls=":", label="one standard error")
    right.plot(state.index, mean[state.index], "ko", ms=8, clip_on=False)
    right.set(ylabel="squared error (points²)", ylim=(2400, 7000))
    right.set_title(f"Error of this lam: {mean[state.index]:.0f} ± {error[state.index]:.0f}")
    right.legend(loc="upper right", fontsize=9, frameon=True, framealpha=1, edgecolor="none")
    ticks = x[::10]
    for ax in (left, right):
        ax.axvline(state.index, color="#777777", lw=0.8, zorder=0)
        ax.set_xticks(ticks, [f"{state.lams[i]:.3g}" for i in ticks])
        ax.set(xlabel="lam, falling", xlim=(-0.8, len(x) - 0.2))
    return (
        f"{state.data}, {len(state.errors)} folds, lam = {state.lams[state.index]:.3g}: {kept} of "
        f"{len(b)} columns kept, cross-validation error {mean[state.index]:.0f} ± "
        f"{error[state.index]:.0f}. Least error at lam = {state.lams[state.best]:.3g} "
        f"({np.count_nonzero(state.coef[state.best])} columns); within one standard error of it "
        f"from lam = {state.lams[state.simplest]:.3g} down "
        f"({np.count_nonzero(state.coef[state.simplest])} columns)."
    )


def lasso_path() -> Explorer:
    """Explorer: lam, data and number of folds, against the path and its cross-validation error.

    Returns
    -------
    explorer : Explorer
    """
    controls = {
        "index": widgets.IntSlider(
            value=10,
            min=0,
            max=len(SHARES) - 1,
            description="step of lam, from the largest down",
            layout={"width": "34em"},
        ),
        "data": widgets.ToggleButtons(
            options=list(DATA), value="65 with products", description="columns"
        ),
        "n_folds": widgets.ToggleButtons(options=[3, 5, 10], value=10, description="folds"),
    }
    return Explorer(choose, draw_path, controls)
