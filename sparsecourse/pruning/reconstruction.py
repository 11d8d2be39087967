"""Channel pruning of a whole network: choose what each layer reads, and fit its weights again.

Layers are pruned in the order in which they run. A layer's inputs come from the layers before it
as they are by then, pruned and fitted; its outputs are to be those of the network as it was. So
errors of earlier layers are made up for by later ones, as far as linear layers can, and nothing is
trained.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from sparsecourse.functional.channel_selection import (
    output_error,
    reconstruct,
    select_alternating,
    select_l1,
    select_lasso,
    select_random,
    select_thinet,
)
from sparsecourse.functional.validation import finite_tensor
from sparsecourse.pruning.graph import Graph, trace
from sparsecourse.pruning.masks import per_layer
from sparsecourse.pruning.selection import Plan, plan_without
from sparsecourse.pruning.surgery import compact
from sparsecourse.reference.validation import count, fraction

BATCH = 64  # images that run through the network at once

# Each takes W, X, Y, the number of channels and a seed.
METHODS: dict[str, Callable[[Tensor, Tensor, Tensor, int, int], Tensor]] = {
    "lasso": lambda W, X, Y, n_kept, seed: select_lasso(W, X, Y, n_kept).kept,
    "alternating": lambda W, X, Y, n_kept, seed: select_alternating(W, X, Y, n_kept).kept,
    "thinet": lambda W, X, Y, n_kept, seed: select_thinet(W, X, n_kept),
    "l1": lambda W, X, Y, n_kept, seed: select_l1(W, n_kept),
    "random": lambda W, X, Y, n_kept, seed: select_random(W, n_kept, seed),
}


@dataclass(frozen=True)
class Fit:
    """How one layer came out.

    Errors are ||Y - Y'||_F / ||Y||_F at the sampled places: Y are the outputs of the layer in the
    network as it was, Y' those of the pruned one. Where the layer has a bias, Y is less its mean
    over the samples fitted to, so that 1 is the error of a layer that puts out nothing but a bias.

    Attributes
    ----------
    producer : str
        The layer that makes the channels, and loses the filters.
    channels : int
        How many the layer read before, c.
    kept : tuple of int
        Those that it reads now, numbered as the filters of the producer.
    error : float, 0 to 1
        On the samples that the weights were fitted to.
    held_out_error : float or None
        On those of the images held out, if there are any.
    """

    producer: str
    channels: int
    kept: tuple[int, ...]
    error: float
    held_out_error: float | None


@dataclass(frozen=True)
class Report:
    """What was done to a network.

    Attributes
    ----------
    plan : Plan
        Which filters stay. The weights of the smaller network are others than the plan alone
        leaves.
    fits : mapping of str to Fit
        For each layer that lost channels, in the order in which they were pruned.
    """

    plan: Plan
    fits: Mapping[str, Fit]


def chains(graph: Graph) -> dict[str, str]:
    """Find the layers whose channels can be chosen for them alone.

    Such a layer is a convolution in two dimensions or a linear layer, in one group and padded with
    zeros. It reads all that one other layer makes, and nothing else does. Between the two there may
    be anything that the graph follows: normalisation, activation, pooling, flattening.

    Channels that meet in an addition, are joined by concatenation, read twice, or go through
    grouped or depthwise convolutions are not among them, and stay. So of a residual network only
    channels inside of blocks are pruned. (The paper also picks some of what the first layer of a
    block reads, by a sampling layer in front of it: not done here.)

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    producers : dict of str to str
        Layer -> the layer that makes what it reads, in the order in which they run.
    """
    found = {name: _producer(graph, name) for name in graph.layers}
    return {name: producer for name, (producer, _) in found.items() if producer is not None}


def prune_channels(
    model: nn.Module,
    images: Tensor,
    keep: float | Mapping[str, float],
    method: str = "lasso",
    n_places: int = 10,
    seed: int = 0,
    held_out: Tensor | None = None,
) -> tuple[nn.Module, Report]:
    """Prune the channels that layers read, one layer after another, and fit what is left.

    For each layer, channels are chosen and the weights are solved for by least squares. Where the
    layer has a bias that is solved for too: means are taken from inputs and outputs first. A layer
    without a bias gets none. Then the filters that made the other channels are taken out, with
    their normalisation. What is left is a smaller network that can be trained further.

    Parameters
    ----------
    model : nn.Module
        Trained, on any device. It stays as it is. It runs in evaluation mode.
    images : Tensor, shape (n_images, ...)
        Of the training set: weights are fitted to them.
    keep : float, 0 to 1, or mapping of layer name to float or int
        Share of the input channels that stay, ``round(share * channels)`` but at least one, for
        all layers of `chains`. In a mapping an int is the number of channels, a float the share;
        layers that it does not name, and those that keep all, stay as they are.
    method : str
        How channels are chosen: "lasso", "alternating", "thinet", "l1" or "random", see
        `functional.channel_selection`. Weights are solved for in the same way after each.
        (`select_gradient`, which needs classes, is used by `discrimination`.)
    n_places : int, >= 1
        Places sampled in each image, as in the paper; all, where a layer has fewer. They are the
        same for all methods.
    seed : int, >= 0
        Of the places, and of random channels.
    held_out : Tensor, shape (n_held_out, ...), optional
        Images that nothing is fitted to, to measure errors on.

    Returns
    -------
    small : nn.Module
        In the mode of `model`.
    report : Report
        A method may keep fewer channels than it is allowed to, where the others add nothing.

    Raises
    ------
    ValueError
        If there is no such method; if `keep` names what is no layer of `chains` or is out of
        range; if there are fewer samples than weights of a filter; if the outputs of a layer do
        not vary; on bad images; or if the network cannot be traced.

    References
    ----------
    He, Zhang, Sun, Channel pruning for accelerating very deep neural networks, ICCV 2017, section
    3, and eq. (5) for the whole model; Luo, Wu, Lin, ThiNet, ICCV 2017, sections 3.2 and 3.3.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {tuple(METHODS)}, got {method!r}")
    if count("n_places", n_places) == 0:
        raise ValueError("n_places must be >= 1, got 0")
    generator = torch.Generator().manual_seed(count("seed", seed))
    current = copy.deepcopy(model).eval()
    images = _images("images", images, current)
    graph = trace(current, images[:1])
    numbers = channels_to_keep(graph, keep)
    parts = [_Part(images, _places(graph, numbers, len(images), n_places, generator))]
    if held_out is not None:
        held_out = _images("held_out", held_out, current)
        places = _places(graph, numbers, len(held_out), n_places, generator)
        parts.append(_Part(held_out, places))
    targets = [_record(current, part, part.places, _outputs) for part in parts]

    removed = torch.zeros(graph.n_groups, dtype=torch.bool)
    fits = {}
    for number, (name, (producer, n_kept)) in enumerate(numbers.items()):
        columns = columns_of_channels(graph, name, producer)
        inputs = [_record(current, part, [name], _patches)[name] for part in parts]
        outputs = [target.pop(name) for target in targets]
        choose = partial(METHODS[method], n_kept=n_kept, seed=seed + number)
        try:
            kept, *errors = _fit(graph.layers[name].module, columns, inputs, outputs, choose)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        gone = torch.ones(len(columns), dtype=torch.bool)
        gone[kept] = False
        removed[graph.layers[producer].groups[gone]] = True
        held_out_error = errors[1] if held_out is not None else None
        fits[name] = Fit(producer, len(columns), tuple(kept.tolist()), errors[0], held_out_error)

    return without_groups(graph, removed, model), Report(plan_without(graph, removed), fits)


def channels_to_keep(graph: Graph, keep: float | Mapping[str, float]) -> dict[str, tuple[str, int]]:
    """Read what a caller wants to keep, layer by layer.

    Parameters
    ----------
    graph : Graph
    keep : float, 0 to 1, or mapping of layer name to float or int
        As for `prune_channels`.

    Returns
    -------
    numbers : dict of str to tuple (str, int)
        For each layer that is to lose channels, in the order in which they run, the layer that
        makes them, and how many stay.

    Raises
    ------
    ValueError
        If `keep` names what is no layer of `chains` or is out of range.
    """
    producers = chains(graph)
    if not isinstance(keep, Mapping):
        if not producers:
            why = {name: _producer(graph, name)[1] for name in graph.layers}
            raise ValueError(f"the model has no layer whose channels can be chosen: {why}")
        keep = dict.fromkeys(producers, float(fraction("keep", keep)))
    per_layer("keep", keep, graph.layers)
    numbers = {}
    for name in graph.layers:  # in the order in which they run
        if name not in keep:
            continue
        producer, why = _producer(graph, name)
        if producer is None:
            raise ValueError(f"keep names {name}, whose channels stay: {why}")
        channels, given = len(graph.layers[producer].groups), keep[name]
        if isinstance(given, float):
            n_kept = max(1, round(fraction(f"keep of {name}", given) * channels))
        else:
            n_kept = count(f"keep of {name}", given)
        if not 1 <= n_kept <= channels:
            raise ValueError(f"keep of {name} must be 1 to {channels} channels, got {given}")
        if n_kept < channels:
            numbers[name] = (producer, n_kept)
    return numbers


def columns_of_channels(graph: Graph, name: str, producer: str) -> Tensor:
    """Find the columns of a layer's matrix ``weight.flatten(1)`` that read each channel.

    Parameters
    ----------
    graph : Graph
    name : str
        A layer of `chains`.
    producer : str
        The layer that makes the channels.

    Returns
    -------
    columns : Tensor of int64, shape (channels, columns of a channel)
        Channels are numbered as the filters of the producer.
    """
    layer, made = graph.layers[name], graph.layers[producer].groups
    channel = torch.empty(graph.n_groups, dtype=torch.int64)
    channel[made] = torch.arange(len(made))
    of_column = channel[layer.inputs].repeat_interleave(layer.module.weight[0, 0].numel())
    return of_column.argsort(stable=True).reshape(len(made), -1)


def without_groups(graph: Graph, removed: Tensor, model: nn.Module) -> nn.Module:
    """Take out what no layer reads any more.

    Parameters
    ----------
    graph : Graph
        Of the network whose weights were fitted.
    removed : Tensor of bool, shape (n_groups,)
    model : nn.Module
        The network as it was given.

    Returns
    -------
    small : nn.Module
        In the mode of `model`.
    """
    small = compact(graph, plan_without(graph, removed))
    for name, module in model.named_modules():
        small.get_submodule(name).training = module.training
    return small


@dataclass(frozen=True)
class _Part:
    """Images, and for each layer the places sampled in each, shape (n_images, n_places)."""

    images: Tensor
    places: Mapping[str, Tensor]


def _producer(graph: Graph, name: str) -> tuple[str | None, str]:
    """The layer that makes what this one reads, or None and why it cannot be pruned."""
    layer = graph.layers[name]
    module, read = layer.module, layer.inputs
    if not isinstance(module, nn.Conv2d | nn.Linear):
        return None, f"it is a {type(module).__name__}, no Conv2d and no Linear"
    if isinstance(module, nn.Conv2d):
        if module.groups > 1:
            return None, f"it has {module.groups} groups"
        if module.padding_mode != "zeros" or isinstance(module.padding, str):
            return None, f"it is padded by {module.padding!r}, {module.padding_mode!r}"
    for group in read.tolist():
        if group in graph.fixed:
            return None, f"what it reads must stay: {graph.fixed[group]}"
    makers = [n for n, other in graph.layers.items() if torch.isin(other.groups, read).any()]
    if len(makers) != 1:
        return None, f"what it reads is made by {makers}, and not by one layer alone"
    readers = [n for n, other in graph.layers.items() if torch.isin(other.inputs, read).any()]
    if len(readers) > 1:
        return None, f"what it reads is read by {readers}"
    made, n_columns = graph.layers[makers[0]].groups, torch.bincount(read)[read.unique()]
    if not torch.equal(made.sort().values, read.unique()) or (n_columns != n_columns[0]).any():
        return None, f"what it reads is not what {makers[0]} makes, channel by channel"
    return makers[0], ""


def _images(name: str, value: Tensor, model: nn.Module) -> Tensor:
    value = finite_tensor(name, value, least_ndim=2)
    like = next(model.parameters(), value)
    return value.detach().to(like.device, like.dtype)


def _places(
    graph: Graph, names: Mapping[str, object], n_images: int, n_places: int, chance: torch.Generator
) -> dict[str, Tensor]:
    """For each layer some places of each image, none twice."""
    return {
        name: torch.stack(
            [
                torch.randperm(graph.layers[name].places, generator=chance)[:n_places]
                for _ in range(n_images)
            ]
        )
        for name in names
    }


@torch.no_grad()
def _record(
    model: nn.Module, part: _Part, names: Mapping[str, object] | list[str], take: Callable
) -> dict[str, Tensor]:
    """Run the images, and write down what layers read or put out at the places sampled."""
    rows: dict[str, list[Tensor]] = {name: [] for name in names}

    def note(name: str, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        places = part.places[name][batch].to(output.device)
        rows[name].append(take(module, inputs[0], output, places).flatten(0, 1).double())

    handles = [
        model.get_submodule(name).register_forward_hook(partial(note, name)) for name in names
    ]
    try:
        for batch in torch.arange(len(part.images)).split(BATCH):
            model(part.images[batch])
    finally:
        for handle in handles:
            handle.remove()
    return {name: torch.cat(parts) for name, parts in rows.items()}


def _outputs(layer: nn.Module, x: Tensor, y: Tensor, places: Tensor) -> Tensor:
    """What a layer puts out at some places, shape (n, n_places, filters)."""
    rows = y.flatten(2).mT if isinstance(layer, nn.Conv2d) else y.reshape(len(y), -1, y.shape[-1])
    return rows.take_along_dim(places[:, :, None], 1)


def _patches(layer: nn.Module, x: Tensor, y: Tensor, places: Tensor) -> Tensor:
    """What a layer reads for these places, shape (n, n_places, columns), as `im2col` orders it."""
    if isinstance(layer, nn.Linear):
        return x.reshape(len(x), -1, x.shape[-1]).take_along_dim(places[:, :, None], 1)
    (p_h, p_w), across = layer.padding, y.shape[-1]
    rows, cols = (
        (place * stride)[:, :, None] + dilation * torch.arange(size, device=x.device)
        for place, stride, dilation, size in zip(
            (places // across, places % across),
            layer.stride,
            layer.dilation,
            layer.kernel_size,
            strict=True,
        )
    )
    image = torch.arange(len(x), device=x.device)[:, None, None, None]
    # Channels come last: torch puts the dimensions that are indexed apart in front.
    met = pad(x, (p_w, p_w, p_h, p_h))[image, :, rows[..., :, None], cols[..., None, :]]
    return met.movedim(-1, 2).flatten(2)


@torch.no_grad()
def _fit(
    layer: nn.Module,
    columns: Tensor,
    inputs: list[Tensor],
    outputs: list[Tensor],
    choose: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> tuple:
    """Choose channels, fit the weights to the first part, zero for those not chosen.

    Returns the channels kept and the error on each part.
    """
    columns = columns.to(layer.weight.device)
    weights = layer.weight.double().flatten(1)
    W = weights[:, columns].unsqueeze(-1)  # a channel's columns as a kernel
    x_mean, y_mean = inputs[0].mean(0), outputs[0].mean(0)
    if layer.bias is None:
        x_mean, y_mean = torch.zeros_like(x_mean), torch.zeros_like(y_mean)
    centred = [
        ((X - x_mean)[:, columns.flatten()], Y - y_mean)
        for X, Y in zip(inputs, outputs, strict=True)
    ]
    X, Y = centred[0]
    kept = choose(W, X, Y)
    n_weights = columns[kept].numel() + (layer.bias is not None)
    if len(X) < n_weights:
        raise ValueError(
            f"{len(X)} samples are too few to fit {n_weights} weights of a filter: give more "
            "images or places"
        )
    fitted = reconstruct(W, X, Y, kept)
    refitted = torch.zeros_like(weights)
    refitted[:, columns[kept].flatten()] = fitted.flatten(1)
    layer.weight.copy_(refitted.reshape(layer.weight.shape))
    if layer.bias is not None:
        layer.bias.copy_(y_mean - refitted @ x_mean)
    return kept.cpu(), *(float(output_error(fitted, X, Y, kept)) for X, Y in centred)
