"""Filters of VGG-16 on CIFAR-10 pruned by their l1 norm (Li et al., ICLR 2017): table 1.

The number of filters that each layer keeps is the paper's. The experiment is there twice, the same
code with other settings: the whole training set, for a GPU, and a short one for one thread of a
CPU. Settings of the short one were chosen on validation data, with seed 0. Test data are read once
a row, at its end.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.optim import SGD

from sparsecourse import costs, papers
from sparsecourse.data import Split
from sparsecourse.experiments import cifar
from sparsecourse.experiments.han2015 import new
from sparsecourse.experiments.specification import Experiment, Rows
from sparsecourse.nets import vgg16_cifar
from sparsecourse.pruning import criteria
from sparsecourse.pruning.criteria import Scores
from sparsecourse.pruning.graph import Graph, trace
from sparsecourse.pruning.selection import Plan, select
from sparsecourse.pruning.surgery import compact
from sparsecourse.training import error, fit


@dataclass(frozen=True)
class Settings:
    """How long VGG-16 is trained, and on what.

    Parameters
    ----------
    train_images, test_images : int or None
        None for all.
    batch_size : int
    dense_epochs : int
        Of the baseline.
    retraining_epochs : int
        After pruning; from new initial weights, the small network has as many as both together.
    learning_rate, retraining_rate : float
        The highest of the schedules.
    """

    train_images: int | None
    test_images: int | None
    batch_size: int
    dense_epochs: int
    retraining_epochs: int
    learning_rate: float
    retraining_rate: float


FULL = Settings(
    train_images=None,
    test_images=None,
    batch_size=128,
    dense_epochs=160,
    retraining_epochs=40,
    learning_rate=0.1,
    retraining_rate=0.01,
)
SHORT = Settings(
    train_images=1_500,
    test_images=2_000,
    batch_size=32,
    dense_epochs=4,
    retraining_epochs=1,
    learning_rate=0.01,
    retraining_rate=0.002,
)


def vgg16_plan(graph: Graph, scores: Scores) -> Plan:
    """Keep in each layer as many filters as the paper does.

    Parameters
    ----------
    graph : Graph
        Of `vgg16_cifar`.
    scores : mapping of str to Tensor
        Which ones: those of the highest scores.

    Returns
    -------
    plan : Plan

    References
    ----------
    Li, Kadav, Durdanovic, Samet, Graf, Pruning filters for efficient ConvNets, ICLR 2017, table 2.
    """
    layers = papers.table("li2017_vgg16_layers").frame.iloc[: len(graph.layers)]
    shares = dict(zip(graph.layers, layers["maps_pruned"] / layers["maps"], strict=True))
    return select(graph, scores, shares, by="filters", scope="layer")


def resnet_plan(
    graph: Graph,
    scores: Scores,
    rates: Sequence[float],
    skipped: Collection[int] = (),
    convolution: str = "conv1",
) -> Plan:
    """Remove a share of the filters of one convolution in each block, rounded up.

    Parameters
    ----------
    graph : Graph
        Of a residual network of `nets`.
    scores : mapping of str to Tensor
        The lowest go.
    rates : sequence of float, 0 to 1
        The share to remove for each stage; stages without one stay.
    skipped : collection of int
        Blocks that stay, by the number of their first convolution. That of the network is 1, and
        those of its blocks are 2, 4, 6, ...
    convolution : str
        "conv1" or "conv2".

    Returns
    -------
    plan : Plan

    References
    ----------
    Li et al., ICLR 2017, section 4.2. It does not say how numbers are rounded.
    """
    blocks = [name for name in graph.layers if name.endswith(f".{convolution}")]
    keep = {}
    for i, name in enumerate(blocks):
        stage = int(name.removeprefix("stage").partition(".")[0]) - 1
        if 2 + 2 * i in skipped or stage >= len(rates):
            continue
        n = len(graph.layers[name].groups)
        keep[name] = 1 - math.ceil(round(rates[stage] * n, 6)) / n  # 0.3 * 10 is not quite 3
    return select(graph, scores, keep, by="filters", scope="layer")


def new_weights(model: nn.Module, seed: int) -> nn.Module:
    """Copy an architecture, with initial weights of its own for each seed.

    Parameters
    ----------
    model : nn.Module
    seed : int

    Returns
    -------
    fresh : nn.Module
    """

    def reset() -> nn.Module:
        fresh = copy.deepcopy(model)
        for module in fresh.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        return fresh

    return new(reset, seed)


def _vgg16(settings: Settings, seed: int, device: torch.device) -> Rows:
    cifar10 = cifar.load(settings.train_images, settings.test_images)

    def trained(model: nn.Module, epochs: int, learning_rate: float, seed: int) -> nn.Module:
        fit(
            model,
            cifar10.train,
            epochs=epochs,
            batch_size=settings.batch_size,
            optimizer=partial(SGD, lr=learning_rate, momentum=0.9, weight_decay=5e-4),
            augment=cifar.crop_and_flip,
            bf16=True,
            seed=seed,
            device=device,
        )
        return model

    def retrained(model: nn.Module) -> nn.Module:
        again = copy.deepcopy(model)
        return trained(again, settings.retraining_epochs, settings.retraining_rate, seed + 1)

    dense = trained(new(vgg16_cifar, seed), settings.dense_epochs, settings.learning_rate, seed)
    graph = trace(dense, torch.zeros(1, *dense.input_shape))
    pruned = compact(graph, vgg16_plan(graph, criteria.l1(graph)))
    epochs = settings.dense_epochs + settings.retraining_epochs
    models = {
        "VGG-16": dense,
        "VGG-16, trained further": retrained(dense),
        "VGG-16-pruned-A, not retrained": pruned,
        "VGG-16-pruned-A": retrained(pruned),
        "VGG-16-pruned-A scratch-train": trained(
            new_weights(pruned, seed), epochs, settings.learning_rate, seed
        ),
    }
    return {row: _figures(model, dense, cifar10.test, device) for row, model in models.items()}


def _figures(
    model: nn.Module, dense: nn.Module, test: Split, device: torch.device
) -> dict[str, float]:
    """Error and costs under the names of the paper's columns; no share is saved of itself."""
    figures = {"error_percent": 100 * error(model, test.X, test.y, device=device)}
    before, after = (costs.count(net, dense.input_shape).totals for net in (dense, model))
    # The paper counts no biases and no normalisations.
    for column, kind in {"flop": "multiply_adds", "parameters": "weights"}.items():
        left = getattr(after, kind)
        figures[column] = float(left)
        if left < getattr(before, kind):
            figures[f"{column}_pruned_percent"] = 100 * (1 - left / getattr(before, kind))
    return figures


def _differs(settings: Settings, then: str) -> str:
    return (
        f"{settings.train_images or 45_000:,} training and {settings.test_images or 10_000:,} test "
        f"images, cropped and mirrored; {settings.dense_epochs} epochs, and "
        f"{settings.retraining_epochs} of retraining, on one cycle each, in bfloat16. Trained "
        "further: the dense network, retrained as well; from new initial weights: as many epochs "
        f"as both together. {then}"
    )


EXPERIMENTS = (
    Experiment(
        name="li2017_vgg16",
        summary="VGG-16 on CIFAR-10, filters pruned by l1 norm to the paper's numbers.",
        table="li2017_filter_pruning",
        run=partial(_vgg16, FULL),
        minutes=3500,
        differs=_differs(FULL, "Made for a GPU; these numbers of epochs have not been tried"),
    ),
    Experiment(
        name="li2017_vgg16_short",
        summary="As li2017_vgg16, on a part of CIFAR-10 and for a few epochs.",
        table="li2017_filter_pruning",
        run=partial(_vgg16, SHORT),
        minutes=4,
        differs=_differs(
            SHORT,
            "So errors are far above the paper's, and do not tell what either network can reach: "
            "compare before and after retraining, and the counts with the paper's",
        ),
    ),
)
