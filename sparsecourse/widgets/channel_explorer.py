"""Lecture 12: which channels a layer goes on reading, and how far its outputs are off then."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import ipywidgets as widgets
import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from sparsecourse.functional import channel_selection
from sparsecourse.training.samples import Samples, samples
from sparsecourse.widgets.explorer import Explorer
from sparsecourse.widgets.rank_explorer import inputs_as_rows

IMAGES_AT_MOST = 200  # to fit, and to judge by; more would only make the start slow
DRAWS = 20  # of random channels, to choose from
EXAMPLES = 10  # images whose feature maps can be looked at
MAPS_IN_A_ROW = 10
FADED = 0.25  # how much of a map is seen whose channel is dropped
COLOURS = {"lasso": "#0072B2", "l1": "#D55E00", "random": "#009E73"}


@dataclass(frozen=True)
class Choice:
    """Channels that one method keeps, and relative errors of the outputs on validation images."""

    kept: tuple[int, ...]
    old_weights: float
    refitted: float


@dataclass(frozen=True)
class Channels:
    """A layer that reads fewer channels, chosen in three ways, and what one image puts in them."""

    layer: str
    n_kept: int
    maps: NDArray[np.floating]  # (channels, height, width)
    choices: Mapping[str, Choice]  # of each of COLOURS
    n_fitted: int  # images
    n_validation: int


def triangle(X: Tensor, Y: Tensor) -> tuple[Tensor, Tensor]:
    """Fewer samples that give the same errors and fits: the rows of R in [X Y] = QR.

    Parameters
    ----------
    X : Tensor, shape (n_samples, columns)
    Y : Tensor, shape (n_samples, filters)

    Returns
    -------
    X, Y : Tensor
        With as many rows as they have columns together, or n_samples if that is less.
    """
    R = torch.linalg.qr(torch.cat([X, Y], dim=1), mode="r").R
    return R[:, : X.shape[1]], R[:, X.shape[1] :]


def judge(
    W: Tensor, fitted: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor], kept: Tensor
) -> Choice:
    """Measure what is left of a layer's outputs, before and after the weights are fitted again.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, k_h, k_w)
    fitted, validation : (X, Y)
        Inputs and outputs of the layer, as rows. Weights are fitted to the first.
    kept : Tensor of int64, shape (n_kept,)

    Returns
    -------
    choice : Choice
    """
    refitted = channel_selection.reconstruct(W, *fitted, kept)
    errors = (
        float(channel_selection.output_error(weights, *validation, kept))
        for weights in (W[:, kept], refitted)
    )
    return Choice(tuple(kept.tolist()), *errors)


def draw_maps(axes: Axes, maps: NDArray[np.floating], kept: tuple[int, ...]) -> None:
    """All feature maps of an image side by side, those of dropped channels faded."""
    channels, height, width = maps.shape
    across = min(channels, MAPS_IN_A_ROW)
    down = -(-channels // across)
    ground = mpl.colors.to_rgb(axes.get_facecolor())
    sheet = np.ones((down * (height + 1) - 1, across * (width + 1) - 1, 3)) * ground
    low, high = maps.min(), maps.max()
    for i, grey in enumerate((maps - low) / (high - low if high > low else 1)):
        part = grey[..., None] if i in kept else FADED * grey[..., None] + (1 - FADED)
        top, left = i // across * (height + 1), i % across * (width + 1)
        sheet[top : top + height, left : left + width] = part
    axes.imshow(sheet, interpolation="nearest", vmin=0, vmax=1)
    axes.axis("off")


def draw_channels(figure: Figure, state: Channels) -> str:
    """Left the feature maps that each method keeps, right the errors of the outputs."""
    grid = figure.add_gridspec(
        len(COLOURS), 2, width_ratios=(1.5, 1), left=0.01, right=0.97, bottom=0.13, top=0.92,
        wspace=0.32, hspace=0.3,
    )  # fmt: skip
    bars = figure.add_subplot(grid[:, 1])
    places = np.arange(len(state.choices))
    for row, (method, choice) in enumerate(state.choices.items()):
        axes = figure.add_subplot(grid[row, 0])
        draw_maps(axes, state.maps, choice.kept)
        axes.set_title(f"{method} keeps {len(choice.kept)}", color=COLOURS[method], fontsize=11)
    for shift, name, alpha in ((-0.2, "old_weights", 0.4), (0.2, "refitted", 1)):
        errors = [100 * getattr(choice, name) for choice in state.choices.values()]
        bars.barh(places + shift, errors, 0.38, color=list(COLOURS.values()), alpha=alpha)
        for place, error in zip(places + shift, errors, strict=True):
            label = f"{error:.1f} {'old weights' if name == 'old_weights' else 'refitted'}"
            bars.annotate(label, (error, place), (3, 0), textcoords="offset points", va="center")
    bars.set(xlim=(0, 160), xticks=[0, 25, 50, 75, 100], yticks=places, ylim=(2.5, -0.5))
    bars.set_yticklabels(state.choices)
    bars.grid(False, axis="y")
    bars.set_axisbelow(True)
    bars.set_xlabel("error of the outputs, %")
    said = "; ".join(
        f"{method} keeps {', '.join(map(str, choice.kept))}: {choice.old_weights:.1%} with the old "
        f"weights, {choice.refitted:.1%} refitted"
        for method, choice in state.choices.items()
    )
    return (
        f"{state.layer} reads {state.n_kept} of {len(state.maps)} channels, fitted to "
        f"{state.n_fitted:,} images. Error of its outputs on {state.n_validation:,} validation "
        f"images: {said}."
    )


def channel_explorer(
    model: nn.Module, layer: str, fitted: Samples, validation: Samples
) -> Explorer:
    """Explorer: number of channels that a layer reads, chosen in three ways, against its outputs.

    Parameters
    ----------
    model : nn.Module, samples (n, channels, height, width) -> scores (n, classes)
        Trained. A copy of it is looked at, as it is now.
    layer : str
        Name of a convolution without groups that reads two channels or more.
    fitted : Split or (X, y)
        Images by which the lasso chooses and weights are fitted: the first 200 at most. Labels are
        not used.
    validation : Split or (X, y)
        Others, to judge by: the first 200 at most.

    Returns
    -------
    explorer : Explorer

    Raises
    ------
    ValueError
        If the model has no such layer, if the layer does not run once, if its outputs are zero
        everywhere, or if the samples do not fit together or the model.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model must be a network (nn.Module), got {type(model).__name__}")
    network = copy.deepcopy(model)
    W = _weights(network, layer)
    images, others = (
        samples(name, given, network)[0][:IMAGES_AT_MOST]
        for name, given in (("fitted", fitted), ("validation", validation))
    )
    rows = [inputs_as_rows(network, layer, part) for part in (images, others)]
    parts = [triangle(X, X @ W.flatten(1).mT) for X in rows]
    if not all(Y.any() for _, Y in parts):
        raise ValueError(f"the outputs of {layer} must not be zero everywhere, bias aside")
    maps = _maps(network, layer, others[:EXAMPLES])

    @cache
    def choose(method: str, n_kept: int, draw: int) -> Choice:
        if method == "lasso":
            kept = channel_selection.select_lasso(W, *parts[0], n_kept).kept
        elif method == "l1":
            kept = channel_selection.select_l1(W, n_kept)
        else:
            kept = channel_selection.select_random(W, n_kept, draw)
        return judge(W, *parts, kept)

    def compute(n_kept: int, image: int, draw: int) -> Channels:
        return Channels(
            layer=layer,
            n_kept=n_kept,
            maps=maps[image],
            choices={
                method: choose(method, n_kept, draw if method == "random" else 0)
                for method in COLOURS
            },
            n_fitted=len(images),
            n_validation=len(others),
        )

    channels = W.shape[1]
    wide = {"layout": {"width": "34em"}}
    controls = {
        "n_kept": widgets.IntSlider((channels + 1) // 2, 1, channels, description="c'", **wide),
        "image": widgets.IntSlider(0, 0, len(maps) - 1, description="image", **wide),
        "draw": widgets.IntSlider(0, 0, DRAWS - 1, description="random draw", **wide),
    }
    return Explorer(compute, draw_channels, controls, size=(7.6, 4.2))


def _weights(model: nn.Module, layer: str) -> Tensor:
    modules = dict(model.named_modules())
    module = modules.get(layer)
    if not isinstance(module, nn.Conv2d) or module.groups > 1 or module.in_channels < 2:
        usable = [
            name
            for name, module in modules.items()
            if isinstance(module, nn.Conv2d) and module.groups == 1 and module.in_channels > 1
        ]
        raise ValueError(
            "layer must be a convolution without groups that reads two channels or more, one of "
            f"{usable}, got {layer!r}"
        )
    return module.weight.detach().double()


def _maps(model: nn.Module, layer: str, images: Tensor) -> NDArray[np.floating]:
    """What the layer reads, shape (n, channels, height, width)."""
    caught = []
    module = model.get_submodule(layer)
    hook = module.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    with hook, torch.no_grad():
        model(images)
    return caught[0].cpu().numpy()
