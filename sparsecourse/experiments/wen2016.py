"""Structured sparsity learning on MNIST (Wen et al., NeurIPS 2016): tables 1 and 2, and neurons.

The paper tries prices and shows what they lead to. Here the price rises while the network is
trained, until no more groups are left than the paper's network has (`ProximalStep`, `until`). What
died is taken out, and the rest is trained without a price. Settings were chosen on validation
data, with seed 0. Test data are read once a row, at its end.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW

from sparsecourse import data, timing
from sparsecourse.data import Split
from sparsecourse.experiments.han2015 import new
from sparsecourse.experiments.specification import Experiment, Rows
from sparsecourse.nets import lenet5, mlp_500_300
from sparsecourse.pruning import dead_groups, masks, ssl
from sparsecourse.pruning.shapes import gather_columns
from sparsecourse.training import constant, error, fit, shift

LENET = {"conv1": "conv2", "conv2": "fc1"}  # which layer reads which
PERCEPTRON = {"fc1": "fc2", "fc2": "fc3"}
CONVOLUTIONS = ("conv1", "conv2")
IMAGES = 100  # at a time, where layers are timed
DENSE_EPOCHS = 4

HOW = (
    "The price rises, on a trained network, until no more groups are left than in the paper; what "
    "died is taken out, and the rest trained without a price. Proximal steps after those of SGD "
    "with momentum, AdamW before and after; 55,000 images, shifted by up to a pixel"
)

# The prices at their highest, as the last step of learning has them.
FILTER_PRICES = {"conv1": {"filters": 0.3}, "conv2": {"filters": 1.0, "channels": 0.5}}
SHAPE_PRICES = {"conv1": {"shapes": 0.5}, "conv2": {"shapes": 1.0}}
NEURON_PRICES = {
    "fc1": {"channels": 0.1, "filters": 0.1},
    "fc2": {"filters": 0.1},
}


def learn_structure(
    model: nn.Module,
    train: Split,
    *,
    prices: ssl.Prices,
    until: ssl.Limits,
    following: Mapping[str, str],
    epochs: int,
    augment: Callable[[Tensor], Tensor] | None = shift,
    seed: int = 0,
    device: torch.device | str | None = None,
) -> None:
    """Train with prices that rise from zero in a straight line; put masks on what died.

    Parameters
    ----------
    model : nn.Module
    train : Split
    prices : mapping of layer name to mapping of kind of group to lam
        At the end.
    until : mapping of layer name to mapping of kind of group to int
        How many groups are few enough.
    following : mapping of layer name to layer name
        Which layer reads which: what has no input or no reader dies, too.
    epochs : int
    augment : callable, optional
    seed : int
    device : torch.device or str, optional

    References
    ----------
    Wen, Wu, Wang, Chen, Li, Learning structured sparsity in deep neural networks, NeurIPS 2016.
    """
    fit(
        model,
        train,
        epochs=epochs,
        optimizer=partial(SGD, lr=0.05, momentum=0.9, weight_decay=5e-4),
        schedule=constant,
        clip=1.0,
        augment=augment,
        hooks=[ssl.ProximalStep(model, prices, ssl.warm_up(1.0), until)],
        seed=seed,
        device=device,
    )
    living = masks.masks_of(model) | dead_groups.collect(model, prices)
    masks.apply(model, dead_groups.connect(living, following))


def compacted(model: nn.Module) -> nn.Module:
    """Copy a chain of layers, without the filters and neurons that masks hold at zero.

    Parameters
    ----------
    model : nn.Module
        With masks that `dead_groups.connect` made: a dead filter has no reader.

    Returns
    -------
    smaller : nn.Module
        The same function. Inputs of the first layer and outputs of the last all stay; masks stay
        where something dead is left.
    """
    left = masks.masks_of(model)
    smaller = copy.deepcopy(model)
    masks.remove(smaller)
    names = list(left)
    for name, layer in masks.weight_layers(smaller).items():
        mask = left[name]
        rows = mask.flatten(1).any(1) | (name == names[-1])
        columns = mask.transpose(0, 1).flatten(1).any(1) | (name == names[0])
        layer.weight = nn.Parameter(layer.weight.detach()[rows][:, columns])
        layer.bias = nn.Parameter(layer.bias.detach()[rows])
        if isinstance(layer, nn.Conv2d):
            layer.out_channels, layer.in_channels = layer.weight.shape[:2]
        else:
            layer.out_features, layer.in_features = layer.weight.shape
        left[name] = mask[rows][:, columns]
    masks.apply(smaller, {name: mask for name, mask in left.items() if not mask.all()})
    return smaller


def fine_tune(
    model: nn.Module,
    train: Split,
    *,
    epochs: int,
    augment: Callable[[Tensor], Tensor] | None = shift,
    seed: int = 0,
    device: torch.device | str | None = None,
) -> None:
    """Train what is left, without a price.

    Parameters
    ----------
    model : nn.Module
    train : Split
    epochs : int
    augment : callable, optional
    seed : int
    device : torch.device or str, optional
    """
    fit(
        model,
        train,
        epochs=epochs,
        optimizer=partial(AdamW, lr=3e-3, weight_decay=1e-2, fused=True),
        augment=augment,
        seed=seed,
        device=device,
    )


def speedups(
    dense: nn.Module, smaller: nn.Module, layers: Iterable[str], device: torch.device | str
) -> dict[str, float]:
    """How many times faster some layers have become, on one thread, for 100 images.

    Parameters
    ----------
    dense, smaller : nn.Module
        With these layers; one of `sparsecourse.nets`, and what is left of it.
    layers : iterable of str
    device : torch.device or str

    Returns
    -------
    ratios : dict of str to float
        ``conv1_speedup`` for a layer ``conv1``: medians, dense over smaller.
    """
    images = torch.rand(IMAGES, *dense.input_shape).to(device)
    calls: dict[str, list[Callable[[], Tensor]]] = {name: [] for name in layers}

    def note(layer: nn.Module, inputs: tuple[Tensor], name: str) -> None:
        calls[name].append(partial(layer.forward, *inputs))

    with torch.inference_mode():
        for model in (dense, smaller):
            hooks = [
                model.get_submodule(name).register_forward_pre_hook(partial(note, name=name))
                for name in calls
            ]
            model.to(device).eval()(images)
            for hook in hooks:
                hook.remove()
        times = {name: timing.measure_in_turn(pair, threads=1) for name, pair in calls.items()}
    return {
        f"{name}_speedup": after.speedup_over(before).ratio
        for name, (before, after) in times.items()
    }


def _lenet(
    rows: Mapping[str, Mapping[str, Mapping[str, int]]],
    prices: ssl.Prices,
    columns: Mapping[str, str],
    smaller: Callable[[nn.Module], nn.Module],
    seed: int,
    device: torch.device,
) -> Rows:
    """LeNet, dense and with so many groups left as each row says; `columns` name the groups."""
    mnist = data.load("mnist")
    dense = new(lenet5, seed)
    fit(dense, mnist.train, epochs=DENSE_EPOCHS, augment=shift, seed=seed, device=device)
    found = {"1 (baseline)": {"error_percent": _error_percent(dense, mnist.test, device)}}
    for row, until in rows.items():
        model = copy.deepcopy(dense)
        settings = {"prices": prices, "until": until, "following": LENET, "epochs": 3}
        learn_structure(model, mnist.train, **settings, seed=seed, device=device)
        left = dead_groups.counts(model)
        small = smaller(model)
        fine_tune(small, mnist.train, epochs=12, seed=seed + 1, device=device)
        found[row] = {"error_percent": _error_percent(small, mnist.test, device)}
        for layer in CONVOLUTIONS:
            for column, kind in columns.items():
                found[row][f"{layer}_{column}"] = float(left.loc[layer, kind])
            found[row][f"{layer}_flop_percent"] = 100 * left.loc[layer, "multiply_adds"]
        found[row] |= speedups(dense, small, CONVOLUTIONS, device)
    return found


def _lenet_filters(seed: int, device: torch.device) -> Rows:
    rows = {
        row: {"conv1": {"filters": first}, "conv2": {"filters": second, "channels": first}}
        for row, (first, second) in {"2": (5, 19), "3": (3, 12)}.items()
    }
    columns = {"filters": "filters", "channels": "channels"}
    return _lenet(rows, FILTER_PRICES, columns, compacted, seed, device)


def _lenet_shapes(seed: int, device: torch.device) -> Rows:
    rows = {
        row: {"conv1": {"shapes": first}, "conv2": {"shapes": second}}
        for row, (first, second) in {"4": (21, 41), "5": (7, 14)}.items()
    }
    columns = {"filter_size": "shapes", "channels": "channels"}
    return _lenet(rows, SHAPE_PRICES, columns, _without_dead_columns, seed, device)


def _without_dead_columns(model: nn.Module) -> nn.Module:
    return gather_columns(compacted(model), CONVOLUTIONS)


def _neurons(seed: int, device: torch.device) -> Rows:
    mnist = data.load("mnist")
    dense = new(mlp_500_300, seed)
    fit(dense, mnist.train, epochs=10, augment=shift, seed=seed, device=device)
    found = {"1 (baseline)": {"error_percent": _error_percent(dense, mnist.test, device)}}
    for row, (pixels, first, second) in {"2": (469, 294, 166), "3": (434, 174, 78)}.items():
        model = copy.deepcopy(dense)
        until = {"fc1": {"channels": pixels, "filters": first}, "fc2": {"filters": second}}
        settings = {"prices": NEURON_PRICES, "until": until, "following": PERCEPTRON}
        learn_structure(model, mnist.train, **settings, epochs=5, seed=seed, device=device)
        left = dead_groups.counts(model)
        small = compacted(model)
        fine_tune(small, mnist.train, epochs=15, seed=seed + 1, device=device)
        found[row] = {"error_percent": _error_percent(small, mnist.test, device)}
        for layer, inputs in left["channels"].items():
            found[row][f"{layer}_inputs"] = float(inputs)
            found[row][f"{layer}_flop_percent"] = 100 * left.loc[layer, "multiply_adds"]
    return found


def _error_percent(model: nn.Module, test: Split, device: torch.device) -> float:
    return 100 * error(model, test.X, test.y, device=device)


EXPERIMENTS = (
    Experiment(
        name="wen2016_lenet_filters",
        summary="LeNet-5 on MNIST, learning the number of filters and channels.",
        table="ssl_lenet_filters",
        run=_lenet_filters,
        minutes=6,
        differs=f"{HOW}. Times: torch, one thread, 100 images",
    ),
    Experiment(
        name="wen2016_lenet_shapes",
        summary="LeNet-5 on MNIST, learning the shape of filters.",
        table="ssl_lenet_shapes",
        run=_lenet_shapes,
        minutes=6,
        differs=f"{HOW}. Times: torch, one thread, 100 images, gathering included",
    ),
    Experiment(
        name="wen2016_neurons",
        summary="A perceptron 784-500-300-10 on MNIST, learning the number of neurons and pixels.",
        table="ssl_mlp_neurons",
        run=_neurons,
        minutes=4,
        differs=HOW,
    ),
)
