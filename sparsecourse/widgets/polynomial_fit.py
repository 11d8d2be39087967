"""Lecture 02: polynomials of growing degree fitted to a few noisy samples of a sine."""

from __future__ import annotations

from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from sparsecourse.reference.least_squares import polynomial_features, solve_minimum_norm
from sparsecourse.widgets.explorer import Explorer

DEGREES = range(16)
NOISE = 0.3
LOSS_TICKS = [0.001, 0.01, 0.1, 1, 10, 100, 1000]  # as plain text: powers are slow to typeset


@dataclass(frozen=True)
class Fit:
    """One toy problem, its fit at one degree, and the loss at every degree."""

    degree: int
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    b: NDArray[np.float64]
    train_loss: NDArray[np.float64]  # by degree
    validation_loss: NDArray[np.float64]

    @property
    def best_degree(self) -> int:
        return int(self.validation_loss.argmin())


def sample_sine(n_samples: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw y = sin(pi x) + noise, x uniform in [-1, 1].

    Parameters
    ----------
    n_samples : int, >= 1
    seed : int

    Returns
    -------
    x, y : ndarray, shape (n_samples,)
    """
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, n_samples)
    return x, np.sin(np.pi * x) + NOISE * rng.normal(size=n_samples)


def fit_polynomials(degree: int, n_samples: int) -> Fit:
    """Least squares at every degree; training on `n_samples`, validation on 200 other samples.

    Parameters
    ----------
    degree : int
        One of DEGREES, the one whose fit is returned.
    n_samples : int, >= 1

    Returns
    -------
    fit : Fit
        Losses are means of squared errors, in the squared unit of y.
    """
    x, y = sample_sine(n_samples, seed=1)
    x_validation, y_validation = sample_sine(200, seed=2)
    train_loss, validation_loss, fits = [], [], []
    for d in DEGREES:
        b = solve_minimum_norm(polynomial_features(x, d), y)
        train_loss.append(np.mean((y - polynomial_features(x, d) @ b) ** 2))
        predicted = polynomial_features(x_validation, d) @ b
        validation_loss.append(np.mean((y_validation - predicted) ** 2))
        fits.append(b)
    return Fit(degree, x, y, fits[degree], np.array(train_loss), np.array(validation_loss))


def draw_fit(figure: Figure, fit: Fit) -> str:
    """Left the curve through the samples, right both losses against the degree."""
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.07, right=0.99, bottom=0.15, top=0.91, wspace=0.42)
    grid = np.linspace(-1, 1, 300)
    left.plot(fit.x, fit.y, "ko", ms=5, label="training samples")
    left.plot(grid, np.sin(np.pi * grid), "--", color="#009E73", label="the true curve")
    left.plot(grid, polynomial_features(grid, fit.degree) @ fit.b, label=f"degree {fit.degree}")
    left.set(xlabel="x", ylabel="y", ylim=(-2.2, 3.6), title=f"{len(fit.x)} samples")
    left.legend(loc="upper left", fontsize=9)
    for losses, marker, label in (
        (fit.train_loss, "o", "training"),
        (fit.validation_loss, "s", "validation"),
    ):
        shown = np.clip(losses, LOSS_TICKS[0], LOSS_TICKS[-1])
        right.semilogy(DEGREES, shown, marker + "-", ms=4, label=label)
        right.semilogy(fit.degree, shown[fit.degree], "k" + marker, ms=9)
    right.axhline(NOISE**2, color="#777777", lw=1, ls=":")
    right.text(-0.5, 0.8 * NOISE**2, "noise", va="top", fontsize=9, color="#555555")
    right.set(xlabel="degree", ylabel="mean squared error", title="Loss (black: this degree)")
    labels = [f"{tick:g}" for tick in LOSS_TICKS]
    right.set_yticks(LOSS_TICKS, [f"≤ {labels[0]}", *labels[1:-1], f"≥ {labels[-1]}"])
    right.yaxis.set_minor_locator(NullLocator())
    right.legend(loc="upper left", fontsize=9)
    return (
        f"Degree {fit.degree} on {len(fit.x)} samples: training loss "
        f"{fit.train_loss[fit.degree]:.2g}, validation loss "
        f"{fit.validation_loss[fit.degree]:.2g}. "
        f"Validation loss is lowest at degree {fit.best_degree}."
    )


def polynomial_fit() -> Explorer:
    """Explorer: degree and number of samples against training and validation loss.

    Returns
    -------
    explorer : Explorer
    """
    controls = {
        "degree": widgets.IntSlider(
            value=9, min=0, max=DEGREES[-1], description="degree", layout={"width": "26em"}
        ),
        "n_samples": widgets.SelectionSlider(
            value=12,
            options=[6, 9, 12, 18, 30, 60, 200],
            description="training samples",
            layout={"width": "26em"},
        ),
    }
    return Explorer(fit_polynomials, draw_fit, controls)
