"""Lecture 08: a threshold dragged over the weights of a trained network, and what that costs."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

from sparsecourse.pruning import masks
from sparsecourse.training import error
from sparsecourse.training.samples import Samples, samples
from sparsecourse.widgets.explorer import Explorer
from sparsecourse.widgets.weight_histogram import WeightHistogram

Floats = NDArray[np.float64]
ALL_LAYERS = "all layers"
IMAGES_AT_MOST = 2000  # a redraw must not take longer than a student waits
LARGEST = 3.0  # c, at which next to nothing is left of a trained layer
EDGES = np.linspace(-LARGEST, LARGEST, 61)  # of the histogram's bars, in standard deviations
CURVE_AT = np.linspace(0, LARGEST, 21)  # values of c
KEPT, PRUNED, THRESHOLD = "#0072B2", "#9A9A9A", "#D55E00"


@dataclass(frozen=True)
class Histogram:
    """How the weights of a layer, or of all, lie in standard deviations of their layer."""

    counts: NDArray[np.int64]  # between EDGES
    beyond: int  # outside of them
    deviation: float  # of the layer; 0 for all layers, which differ in it


@dataclass(frozen=True)
class Pruned:
    """What a threshold leaves of a layer, or of all, and what it does to the network's error."""

    layer: str
    c: float
    weights: int
    left: int
    error: float
    error_before: float
    images: int
    sparsity_curve: Floats  # at each of CURVE_AT
    error_curve: Floats
    histogram: Histogram

    @property
    def sparsity(self) -> float:
        """Share of the weights that are zero."""
        return 1 - self.left / self.weights


def histogram(model: nn.Module, layer: str) -> Histogram:
    """Count the weights that are left, in bins of standard deviations of their own layer.

    Parameters
    ----------
    model : nn.Module
        With masks or without.
    layer : str
        A name, or ALL_LAYERS.

    Returns
    -------
    histogram : Histogram
    """
    left = masks.masks_of(model)
    parts, deviation = [], 0.0
    for name, module in masks.weight_layers(model).items():
        if layer in (name, ALL_LAYERS):
            weights = module.weight.detach()[left[name]].double().cpu().numpy()
            deviation = float(weights.std()) if len(weights) else 0.0
            with np.errstate(divide="ignore"):  # no deviation: zeros stay, all else lies beyond
                parts.append(np.divide(weights, deviation, out=weights, where=weights != 0))
    together = np.concatenate(parts)
    counts, _ = np.histogram(together, EDGES)
    deviation = 0.0 if layer == ALL_LAYERS else deviation
    return Histogram(counts, len(together) - int(counts.sum()), deviation)


def prune_and_score(
    model: nn.Module, X: torch.Tensor, y: torch.Tensor, layer: str, c: float
) -> tuple[int, int, float]:
    """Set the weights of a copy to zero that are not larger than a threshold; nothing is retrained.

    Parameters
    ----------
    model : nn.Module
    X : Tensor, shape (n, ...)
    y : Tensor, shape (n,)
    layer : str
        A name, or ALL_LAYERS; other layers stay as they are.
    c : float, >= 0
        The threshold, in standard deviations of the layer (of each layer its own).

    Returns
    -------
    weights : int
        Of the layer, or of all.
    left : int
        How many of them are not zero.
    error : float, 0 to 1
        Of the network.
    """
    pruned = copy.deepcopy(model)
    masks.apply(pruned, masks.threshold(pruned, c if layer == ALL_LAYERS else {layer: c}))
    counts = masks.sparsity(pruned).loc["total" if layer == ALL_LAYERS else layer]
    weights, zeros = int(counts["weights"]), int(counts["zeros"])
    return weights, weights - zeros, error(pruned, X, y)


def draw_curve(axes: Axes, state: Pruned) -> None:
    """Error against sparsity, the threshold's point on it, and the error before."""
    axes.axhline(100 * state.error_before, color="black", ls="--", lw=1, label="before")
    point = 100 * state.sparsity, 100 * state.error
    at = np.searchsorted(CURVE_AT, state.c)  # between its neighbours, the curve leads through it
    sparsity = np.insert(100 * state.sparsity_curve, at, point[0])
    error = np.insert(100 * state.error_curve, at, point[1])
    axes.plot(sparsity, error, "-o", color=KEPT, ms=3, label="pruned, not retrained")
    axes.plot(*point, "o", color=THRESHOLD, ms=10, clip_on=False, zorder=3, label="this threshold")
    axes.set(xlim=(0, 100), ylim=(0, 100))
    axes.set(xlabel=f"weights that are zero, {state.layer} (%)", ylabel="validation error (%)")
    axes.legend(loc="upper left")


def draw_histogram(axes: Axes, state: Pruned) -> None:
    """The weights, and the threshold: what the control shows in the browser."""
    counts = state.histogram.counts
    axes.stairs(counts, EDGES, fill=True, color=KEPT, label="kept")
    pruned = axes.stairs(counts, EDGES, fill=True, color=PRUNED, label="pruned")
    pruned.set_clip_path(axes.axvspan(-state.c, state.c, color="none"))
    for side in (-1, 1):
        axes.axvline(side * state.c, color=THRESHOLD, lw=2)
    axes.set(xlim=EDGES[[0, -1]], xlabel="weight, in standard deviations", yticks=[])
    axes.grid(False)
    axes.legend(loc="upper right")


def describe(state: Pruned) -> str:
    """The state in words: what is left, and at what error."""
    zeros = state.weights - state.left
    left = (
        f"{state.left:,} are left, compression rate {state.weights / state.left:.1f}"
        if state.left
        else "none is left"
    )
    return (
        f"{state.layer}, c = {state.c:.2f}: {zeros:,} of {state.weights:,} weights are zero "
        f"({state.sparsity:.1%}), {left}. Validation error on {state.images:,} images: "
        f"{state.error_before:.1%} before, {state.error:.1%} with the threshold, not retrained."
    )


def draw_pruned(figure: Figure, state: Pruned) -> str:
    """The curve alone: the histogram is above it, as a control."""
    axes = figure.subplots()
    figure.subplots_adjust(left=0.08, right=0.98, bottom=0.17, top=0.9)
    draw_curve(axes, state)
    axes.set_title(
        f"{state.sparsity:.1%} of the weights are zero: "
        f"error {state.error_before:.1%} before, {state.error:.1%} now"
    )
    return describe(state)


def draw_still(figure: Figure, state: Pruned) -> None:
    """Histogram and curve side by side, for pages on which no control is shown."""
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.02, right=0.98, bottom=0.17, top=0.9, wspace=0.2)
    draw_histogram(left, state)
    left.set_title(f"c = {state.c:.2f}: {state.sparsity:.1%} are pruned")
    draw_curve(right, state)
    right.set_title(f"Error {state.error_before:.1%} before, {state.error:.1%} now")


def weight_threshold(model: nn.Module, validation: Samples) -> Explorer:
    """Explorer: layer and threshold, against sparsity and error of a trained network.

    Parameters
    ----------
    model : nn.Module, samples (n, ...) -> scores (n, classes)
        Trained; with masks or without. A copy of it is looked at, as it is now.
    validation : Split or (X, y)
        The first 2000 samples at most, for a picture that follows the threshold.

    Returns
    -------
    explorer : Explorer

    Raises
    ------
    ValueError
        If the model is no network with weights to prune, if one of them is not finite, or if the
        samples do not fit together or do not fit the model.
    NonFiniteError
        If scores of the model are not finite.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model must be a network (nn.Module), got {type(model).__name__}")
    network = copy.deepcopy(model)
    layers = [ALL_LAYERS, *masks.weight_layers(network)]
    X, y = (part[:IMAGES_AT_MOST] for part in samples("validation", validation, network))
    error_before = error(network, X, y)

    @cache
    def look(layer: str) -> tuple[Histogram, Floats, Floats]:
        found = [prune_and_score(network, X, y, layer, float(c)) for c in CURVE_AT]
        sparsity = [1 - left / weights for weights, left, _ in found]
        return histogram(network, layer), np.array(sparsity), np.array([e for *_, e in found])

    def compute(layer: str, c: float) -> Pruned:
        shown, sparsity_curve, error_curve = look(layer)
        weights, left, error_now = prune_and_score(network, X, y, layer, c)
        return Pruned(
            layer=layer,
            c=c,
            weights=weights,
            left=left,
            error=error_now,
            error_before=error_before,
            images=len(y),
            sparsity_curve=sparsity_curve,
            error_curve=error_curve,
            histogram=shown,
        )

    chosen = widgets.Dropdown(options=layers, description="weights of")
    threshold = WeightHistogram(max=LARGEST)

    def show_weights(_change: object = None) -> None:
        shown, *_ = look(chosen.value)
        with threshold.hold_sync():
            threshold.counts = shown.counts.tolist()
            threshold.beyond, threshold.deviation = shown.beyond, shown.deviation

    show_weights()
    chosen.observe(show_weights, names="value")
    return Explorer(
        compute, draw_pruned, {"layer": chosen, "c": threshold}, size=(7.6, 3.0), still=draw_still
    )
