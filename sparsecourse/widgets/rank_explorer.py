"""Lecture 07: a trained layer replaced by two of low rank, by approximation and by regression."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from sparsecourse.functional import low_rank
from sparsecourse.functional.convolution import im2col
from sparsecourse.training.samples import Samples, samples
from sparsecourse.widgets.explorer import Explorer

Floats = NDArray[np.float64]
IMAGES = (1, 5, 20, 500)  # fitted; validation images are as many as the most of them
COLOURS = {"approximation": "#D55E00", "regression": "#0072B2"}
FITTED = "#56B4E9"


@dataclass(frozen=True)
class Errors:
    """Relative errors of the weights and of the outputs, at each rank from 1 on."""

    weights: Floats
    fitted: Floats  # outputs on the images that regression is fitted to
    validation: Floats  # outputs on others


@dataclass(frozen=True)
class LowRank:
    """A layer at one rank, and the errors of both methods at all ranks."""

    layer: str
    rank: int
    n_images: int  # fitted
    n_validation: int
    filters: int
    inputs: int
    places: int  # at which the layer is put in one image
    errors: Mapping[str, Errors]  # of each of COLOURS

    @property
    def dense_multiply_adds(self) -> int:
        """For one image."""
        return self.places * self.filters * self.inputs

    @property
    def multiply_adds(self) -> int:
        """Of both factors, for one image."""
        return self.places * self.rank * (self.filters + self.inputs)

    @property
    def break_even(self) -> float:
        """The rank at which the factors need as many multiply-adds as the layer."""
        return self.filters * self.inputs / (self.filters + self.inputs)


def inputs_as_rows(model: nn.Module, layer: str, X: Tensor) -> Tensor:
    """What a layer reads at each place of each image, as a row.

    Parameters
    ----------
    model : nn.Module
    layer : str
        Name of a convolution, for which rows are the columns of im2col, or of a linear layer.
    X : Tensor, shape (n, ...)
        Images.

    Returns
    -------
    rows : Tensor of float64, shape (n * places, inputs)

    Raises
    ------
    ValueError
        If the model does not use the layer just once.
    """
    module, caught = model.get_submodule(layer), []
    hook = module.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    with hook, torch.no_grad():
        model(X)
    if len(caught) != 1:
        raise ValueError(f"layer must run once for a batch, {layer!r} ran {len(caught)} times")
    seen = caught[0].double()
    if isinstance(module, nn.Conv2d):
        settings = module.kernel_size, module.stride, module.padding, module.dilation
        return im2col(seen, *settings).mT.flatten(0, 1)
    return seen.flatten(0, -2)


def projection_errors(M: Floats, directions: Floats) -> Floats:
    """How far M is, relative to its size, from its projection on the first r directions.

    Both methods project: with their factors, W becomes A A^T W and the outputs Y become Y A A^T.

    Parameters
    ----------
    M : ndarray, shape (n, filters)
        Outputs, or the transpose of the weights.
    directions : ndarray, shape (filters, ranks)
        Orthonormal columns.

    Returns
    -------
    errors : ndarray, shape (ranks,)
        ``||M - M A A^T||_F / ||M||_F`` with the first r columns as A, for r = 1, 2, ...

    Raises
    ------
    ValueError
        If M is zero.
    """
    total = (M**2).sum()
    if total == 0:
        raise ValueError("M must not be zero everywhere: an error relative to nothing is no number")
    kept = np.cumsum(((M @ directions) ** 2).sum(axis=0)) / total
    return np.sqrt(np.maximum(1 - kept, 0))  # rounding can leave less than nothing


def compare_methods(W: Tensor, fitted: Tensor, validation: Tensor) -> dict[str, Errors]:
    """Approximate the weights, and regress on the outputs, at all ranks.

    Parameters
    ----------
    W : Tensor, shape (filters, inputs)
    fitted, validation : Tensor, shape (n, inputs)
        Inputs of the layer, as rows. Regression sees `fitted` alone.

    Returns
    -------
    errors : dict of str to Errors
        "approximation" and "regression".
    """
    ranks = min(W.shape)
    # The factors of a lower rank are the first columns of these.
    found = {
        "approximation": low_rank.approximate(W, ranks),
        "regression": low_rank.regress(W, fitted, ranks),
    }
    matrices = [M.cpu().numpy() for M in (W.mT, fitted @ W.mT, validation @ W.mT)]
    return {
        method: Errors(*(projection_errors(M, A.cpu().numpy()) for M in matrices))
        for method, (A, _) in found.items()
    }


def draw_curves(axes: Axes, state: LowRank, curves: Mapping[tuple[str, str], Floats]) -> None:
    """Errors against the rank, one curve a method and line style; this rank marked."""
    most = min(state.filters, state.inputs)
    for (method, line), errors in curves.items():
        here = 100 * errors[state.rank - 1]
        label = f"{method}{', fitted images' * (line == '--')}: {here:.1f} %"
        colour = FITTED if line == "--" else COLOURS[method]
        axes.plot(range(1, most + 1), 100 * errors, line, color=colour, label=label)
        if line == "-":  # dashed lies on solid, and its marker would hide the other
            axes.plot(state.rank, here, "o", color=colour, zorder=3)
    axes.axvline(state.rank, color="black", lw=1, ls=":", zorder=1)
    if state.break_even < most:
        axes.axvspan(state.break_even, most, color="#E2E2E2", lw=0, label="costs more than dense")
    axes.set(xlim=(0, most), ylim=(0, 105), xlabel="rank")
    axes.legend(loc="upper right", fontsize=9)


def draw_low_rank(figure: Figure, state: LowRank) -> str:
    """Left the error of the weights, right that of the outputs."""
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.08, right=0.98, bottom=0.15, top=0.91, wspace=0.2)
    one, other = state.errors["approximation"], state.errors["regression"]
    draw_curves(
        left, state, {("approximation", "-"): one.weights, ("regression", "-"): other.weights}
    )
    draw_curves(
        right,
        state,
        {
            ("approximation", "-"): one.validation,
            ("regression", "-"): other.validation,
            ("regression", "--"): other.fitted,
        },
    )
    weights, outputs = (
        [f"{100 * curve[state.rank - 1]:.1f} %" for curve in curves]
        for curves in ((one.weights, other.weights), (one.validation, other.validation))
    )
    left.set(ylabel="relative error, %", title="Error of the weights")
    right.set_title("Error of the outputs")
    share = state.multiply_adds / state.dense_multiply_adds
    cost = f"{1 / share:.2f} times fewer" if share < 1 else f"{share:.2f} times as many"
    return (
        f"{state.layer}, rank {state.rank} of {min(state.filters, state.inputs)}: "
        f"{state.multiply_adds:,} multiply-adds an image instead of "
        f"{state.dense_multiply_adds:,}, {cost}. Error of the weights: approximation {weights[0]}, "
        f"regression {weights[1]}. Error of the outputs on {state.n_validation:,} validation "
        f"images: approximation {outputs[0]}, regression {outputs[1]}, which was fitted to "
        f"{state.n_images:,} image{'s' * (state.n_images > 1)} and is "
        f"{100 * other.fitted[state.rank - 1]:.1f} % off there."
    )


def rank_explorer(model: nn.Module, layer: str, fitted: Samples, validation: Samples) -> Explorer:
    """Explorer: rank and number of fitted images, against the errors of weights and of outputs.

    Parameters
    ----------
    model : nn.Module, samples (n, ...) -> scores (n, classes)
        Trained. A copy of it is looked at, as it is now.
    layer : str
        Name of a convolution without groups, or of a linear layer.
    fitted : Split or (X, y)
        Images that regression is fitted to: the first 500 at most. Labels are not used.
    validation : Split or (X, y)
        Others, to judge by: the first 500 at most.

    Returns
    -------
    explorer : Explorer

    Raises
    ------
    ValueError
        If the model has no such layer, if the layer does not run once, if its weights or its
        outputs are zero everywhere, or if the samples do not fit together or the model.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model must be a network (nn.Module), got {type(model).__name__}")
    network = copy.deepcopy(model)
    W = _weights(network, layer)
    images, others = (
        samples(name, given, network)[0][: IMAGES[-1]]
        for name, given in (("fitted", fitted), ("validation", validation))
    )
    X, held_out = (inputs_as_rows(network, layer, part) for part in (images, others))
    places = len(X) // len(images)

    @cache
    def look(n_images: int) -> dict[str, Errors]:
        return compare_methods(W, X[: n_images * places], held_out)

    def compute(rank: int, n_images: int) -> LowRank:
        return LowRank(
            layer=layer,
            rank=rank,
            n_images=n_images,
            n_validation=len(others),
            filters=len(W),
            inputs=W.shape[1],
            places=places,
            errors=look(n_images),
        )

    choices = [n for n in IMAGES if n < len(images)] + [len(images)]
    for n_images in choices:  # now, so that no later move has to wait
        look(n_images)
    ranks = min(W.shape)
    controls = {
        "rank": widgets.IntSlider(
            max(1, 2 * ranks // 5), 1, ranks, description="rank", layout={"width": "30em"}
        ),
        "n_images": widgets.ToggleButtons(
            options=choices, value=choices[-1], description="images fitted"
        ),
    }
    return Explorer(compute, draw_low_rank, controls)


def _weights(model: nn.Module, layer: str) -> Tensor:
    """The weights of a layer as a matrix with a filter a row."""
    modules = dict(model.named_modules())
    module = modules.get(layer)
    if not isinstance(module, nn.Conv2d | nn.Linear):
        choices = [k for k, m in modules.items() if isinstance(m, nn.Conv2d | nn.Linear)]
        raise ValueError(
            f"layer must be a convolution or a linear layer of the model, {choices}, got {layer!r}"
        )
    if isinstance(module, nn.Conv2d) and (module.groups > 1 or module.padding_mode != "zeros"):
        raise ValueError(
            f"layer must be one matrix product on images padded with zeros, got {layer!r}: {module}"
        )
    return module.weight.detach().double().flatten(1)
