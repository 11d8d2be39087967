"""Lecture 10: how many filters some layers keep, and what is left of the whole network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from sparsecourse import costs, timing
from sparsecourse.costs import Costs
from sparsecourse.pruning import criteria
from sparsecourse.pruning.graph import Graph, trace
from sparsecourse.pruning.selection import select
from sparsecourse.pruning.surgery import compact
from sparsecourse.training import error
from sparsecourse.training.samples import Samples, samples
from sparsecourse.widgets.explorer import Explorer

IMAGES_AT_MOST = 1000  # a redraw must not take longer than a student waits
LAYERS_AT_MOST = 3  # a control for each
COSTS = {"multiply_adds": "multiply-adds", "parameters": "parameters"}
BATCHES = (1, 64)
SECONDS = 0.4  # for each network and batch: measured while the student waits
THOUSAND = 1000
LEFT, GONE = "#0072B2", "#C9C9C9"


@dataclass(frozen=True)
class FewerFilters:
    """A network with fewer filters, not retrained, beside the one before."""

    model: nn.Module
    kept: Mapping[str, int]
    filters: Mapping[str, int]
    before: Costs
    after: Costs
    error_before: float
    error: float
    images: int

    def share(self, cost: str) -> float:
        """What is left of "multiply_adds" or "parameters"."""
        return getattr(self.after.totals, cost) / getattr(self.before.totals, cost)


def keep_filters(graph: Graph, kept: Mapping[str, int]) -> nn.Module:
    """Build the network in which layers keep some filters, those of the largest l1 norm.

    Parameters
    ----------
    graph : Graph
    kept : mapping of str to int, >= 1
        Layer -> how many of its filters stay.

    Returns
    -------
    small : nn.Module
    """
    shares = {name: n / len(graph.layers[name].groups) for name, n in kept.items()}
    plan = select(graph, criteria.l1(graph), shares, by="filters", scope="layer")
    return compact(graph, plan)


def draw_costs(axes: Axes, state: FewerFilters, cost: str) -> None:
    """One cost of each layer: what is left, in front of what there was."""
    rows = [
        (before.name, getattr(before, cost), getattr(after, cost))
        for before, after in zip(state.before.layers, state.after.layers, strict=True)
        if before.weights
    ]
    names, before, after = zip(*rows, strict=True)
    places = np.arange(len(names))
    axes.barh(places, np.divide(before, THOUSAND), color=GONE, label="gone")
    axes.barh(places, np.divide(after, THOUSAND), color=LEFT, label="left")
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set(xlim=(0, 1.05 * max(before) / THOUSAND), xlabel=f"thousand {COSTS[cost]}")
    axes.set_axisbelow(True)
    axes.set_title(f"{state.share(cost):.1%} of the {COSTS[cost]} left", fontsize=11)


def draw_filters(figure: Figure, state: FewerFilters) -> str:
    """Left the multiply-adds of each layer, right the parameters."""
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.08, right=0.98, bottom=0.17, top=0.82, wspace=0.2)
    draw_costs(left, state, "multiply_adds")
    draw_costs(right, state, "parameters")
    right.legend(loc="upper right")
    figure.suptitle(
        f"Error {state.error_before:.1%} before, {state.error:.1%} now, not retrained", fontsize=11
    )
    kept = ", ".join(f"{name} {n} of {state.filters[name]}" for name, n in state.kept.items())
    before, after = state.before.totals, state.after.totals
    return (
        f"Filters kept: {kept}. {after.multiply_adds:,} of {before.multiply_adds:,} multiply-adds "
        f"are left ({state.share('multiply_adds'):.1%}), {after.parameters:,} of "
        f"{before.parameters:,} parameters ({state.share('parameters'):.1%}). Validation error on "
        f"{state.images:,} images: {state.error_before:.1%} before, {state.error:.1%} now, not "
        "retrained."
    )


class FilterExplorer(Explorer):
    """An explorer with a button that measures the network shown.

    Parameters
    ----------
    compute : callable
    controls : dict of str to ipywidgets value widget
        As of `Explorer`.
    dense : nn.Module
        The network with all filters.
    X : Tensor, shape (n, ...)
        Samples to measure with.
    """

    def __init__(
        self,
        compute: Callable[..., FewerFilters],
        controls: dict[str, widgets.ValueWidget],
        dense: nn.Module,
        X: Tensor,
    ) -> None:
        self.dense, self.X = dense, X
        self.measure = widgets.Button(description="Measure the time", button_style="primary")
        self.measured = widgets.HTML()
        super().__init__(compute, draw_filters, controls, size=(7.6, 3.2))
        self.measure.on_click(self._measure)
        self.children = (*self.children, self.measure, self.measured)

    def redraw(self, change: object = None) -> None:
        """Draw anew; a time measured was that of another network."""
        self.measured.value = ""
        super().redraw(change)

    def _measure(self, _button: object) -> None:
        self.measure.disabled = True
        try:
            self.measured.value = f"<p role='status'>{self._times()}</p>"
        finally:
            self.measure.disabled = False

    @torch.inference_mode()
    def _times(self) -> str:
        parts = []
        for batch in BATCHES:
            X = self.X[:batch]
            calls = [partial(model, X) for model in (self.dense, self.state.model)]
            before, after = timing.measure_in_turn(calls, threads=1, at_most=SECONDS)
            s = "s" * (len(X) > 1)
            parts.append(f"{len(X)} image{s} at a time: {after.speedup_over(before)} as fast")
        theory = 1 / self.state.share("multiply_adds")
        return (
            f"Measured on one thread (quartiles). {'; '.join(parts)}. By the multiply-adds it "
            f"would be {theory:.2f}x. Other work on this machine disturbs the times."
        )


def filter_explorer(model: nn.Module, layers: Sequence[str], validation: Samples) -> Explorer:
    """Explorer: filters that layers keep, against costs, error and time of the whole network.

    Parameters
    ----------
    model : nn.Module, samples (n, ...) -> scores (n, classes)
        Trained, and one that `graph.trace` can follow. A copy of it is looked at, as it is now.
    layers : sequence of str
        One to three layers whose filters can be removed, and do not go together.
    validation : Split or (X, y)
        The first 1000 samples at most, for a picture that follows the controls.

    Returns
    -------
    explorer : Explorer

    Raises
    ------
    ValueError
        If the model cannot be followed, if there are no such layers, or if the samples do not fit
        together or do not fit the model.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model must be a network (nn.Module), got {type(model).__name__}")
    network = copy.deepcopy(model).eval()
    X, y = (part[:IMAGES_AT_MOST] for part in samples("validation", validation, network))
    graph = trace(network, X[:1])
    free = _filters(graph, layers)
    shape = tuple(X.shape[1:])
    before, error_before = costs.count(network, shape), error(network, X, y)

    def compute(**kept: int) -> FewerFilters:
        small = keep_filters(graph, kept)
        return FewerFilters(
            model=small,
            kept=kept,
            filters=free,
            before=before,
            after=costs.count(small, shape),
            error_before=error_before,
            error=error(small, X, y),
            images=len(y),
        )

    controls = {
        name: widgets.IntSlider(
            (n + 1) // 2, 1, n, description=f"filters of {name}", layout={"width": "34em"}
        )
        for name, n in free.items()
    }
    return FilterExplorer(compute, controls, network, X)


def _filters(graph: Graph, layers: Sequence[str]) -> dict[str, int]:
    """Layer -> its filters, for layers that can lose some independently of each other."""
    stream_of = {name: stream.layers for stream in graph.streams for name in stream.layers}
    names = [layers] if isinstance(layers, str) else list(layers)
    streams = [stream_of.get(name) for name in names]
    if not 1 <= len(names) <= LAYERS_AT_MOST or None in streams:
        raise ValueError(
            f"layers must be one to {LAYERS_AT_MOST} of those that can lose filters, "
            f"{list(stream_of)}, got {layers!r}"
        )
    if len(set(streams)) < len(streams):
        raise ValueError(f"layers must not share channels, got {layers!r}")
    return {name: len(graph.layers[name].groups) for name in names}
