"""Structured sparsity learning at rising prices: which filters of LeNet-5 live, and at what error.

Not in the paper, which shows two networks beside the dense one: the way from one to the other. The
network of each price is where training at the next one begins. All errors are on validation data.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim import SGD, AdamW

from sparsecourse import costs, data
from sparsecourse.data import Split
from sparsecourse.experiments.han2015 import new
from sparsecourse.experiments.specification import Experiment, Rows
from sparsecourse.experiments.wen2016 import LENET, compacted
from sparsecourse.nets import lenet5
from sparsecourse.pruning import dead_groups, masks, ssl
from sparsecourse.training import error, fit

LAMS = (0.0, 0.004, 0.008, 0.010, 0.012, 0.014, 0.016, 0.018, 0.020, 0.024)
IMAGES = 5000  # that it is trained on
DENSE_EPOCHS, EPOCHS, RETRAINING_EPOCHS = 4, 2, 2
FILTERS = Path(__file__).with_name("wen2016_filters.json")
DECIMALS = 3  # of the weights that are drawn


def prices(model: nn.Module, lam: float) -> dict[str, dict[str, float]]:
    """Prices on filters and channels of LeNet's convolutions, by the root of their sizes.

    Parameters
    ----------
    model : nn.Module
        With layers ``conv1`` and ``conv2``.
    lam : float, >= 0
        Price of a group of one weight.

    Returns
    -------
    prices : dict of layer name to dict of kind of group to float
        As `ssl.ProximalStep` takes them.

    References
    ----------
    The weights of groups: Yuan, Lin, Model selection and estimation in regression with grouped
    variables, JRSS B 2006, section 2.
    """
    kinds = {"conv1": ("filters",), "conv2": ("filters", "channels")}
    found: dict[str, dict[str, float]] = {}
    for name, of_layer in kinds.items():
        weight = model.get_submodule(name).weight
        size = {"filters": weight[0].numel(), "channels": weight[:, 0].numel()}
        found[name] = {kind: lam * size[kind] ** 0.5 for kind in of_layer}
    return found


def follow(
    train: Split, seed: int, device: torch.device | str | None = None
) -> Iterator[tuple[float, nn.Module]]:
    """Train LeNet-5, then at each price in turn, beginning with what the last one left.

    Parameters
    ----------
    train : Split
    seed : int
    device : torch.device or str, optional

    Yields
    ------
    lam : float
        One of `LAMS`, rising.
    model : nn.Module
        A copy, with masks on the groups that are zero and on those connected with them.
    """
    model = new(lenet5, seed)
    shared = {"batch_size": 128, "seed": seed, "device": device}
    fit(model, train, epochs=DENSE_EPOCHS, **shared)
    for lam in LAMS:
        charged = prices(model, lam)
        fit(
            model,
            train,
            epochs=EPOCHS,
            optimizer=partial(SGD, lr=0.05, momentum=0.9, weight_decay=5e-4),
            clip=1.0,
            hooks=[ssl.ProximalStep(model, charged)],
            **shared,
        )
        masked = copy.deepcopy(model)
        living = masks.masks_of(masked) | dead_groups.collect(masked, charged)
        masks.apply(masked, dead_groups.connect(living, LENET))
        yield lam, masked


def store_filters(seed: int = 0, path: Path = FILTERS) -> None:
    """Run one seed, and write the filters of conv1 at each price, for drawing.

    ``python -c "from sparsecourse.experiments import wen2016_path as w; w.store_filters()"``

    Parameters
    ----------
    seed : int
    path : Path
        Written whole or not at all.
    """
    drawn = {
        str(lam): np.round(model.conv1.weight.detach()[:, 0].numpy().astype(float), DECIMALS)
        for lam, model in follow(_some(data.load("mnist").train), seed, "cpu")
    }
    partial_path = path.with_name(path.name + ".partial")
    text = json.dumps({"seed": seed, "filters": {lam: W.tolist() for lam, W in drawn.items()}})
    partial_path.write_text(text + "\n", encoding="utf-8")
    partial_path.replace(path)


def load_filters(path: Path = FILTERS) -> dict[float, NDArray[np.float64]]:
    """Read the filters of conv1 that come with the course.

    Parameters
    ----------
    path : Path

    Returns
    -------
    filters : dict of float to ndarray, shape (20, 5, 5)
        lam -> the filters, zero where a filter is dead; of one seed.
    """
    stored = json.loads(path.read_text(encoding="utf-8"))
    return {float(lam): np.array(W) for lam, W in stored["filters"].items()}


def _some(split: Split) -> Split:
    return Split(split.X[:IMAGES], split.y[:IMAGES])


def _path(seed: int, device: torch.device) -> Rows:
    mnist = data.load("mnist")
    train, validation = _some(mnist.train), mnist.validation
    dense = costs.count(lenet5(), (1, 28, 28)).totals.multiply_adds
    rows = {}
    for lam, model in follow(train, seed, device):
        left = dead_groups.counts(model)["filters"]
        small = compacted(model)
        charged = error(small, validation.X, validation.y, device=device)
        fit(
            small,
            train,
            epochs=RETRAINING_EPOCHS,
            batch_size=128,
            optimizer=partial(AdamW, lr=1e-3, weight_decay=1e-2),
            seed=seed + 1,
            device=device,
        )
        retrained = error(small, validation.X, validation.y, device=device)
        rows[str(lam)] = {
            "conv1_filters": float(left["conv1"]),
            "conv2_filters": float(left["conv2"]),
            "multiply_adds_percent": 100
            * costs.count(small, (1, 28, 28)).totals.multiply_adds
            / dense,
            "error_percent": 100 * charged,
            "retrained_error_percent": 100 * retrained,
        }
    return rows


EXPERIMENTS = (
    Experiment(
        name="wen2016_filter_path",
        summary="LeNet-5 on MNIST, filters and channels at rising prices.",
        table=None,
        run=_path,
        minutes=2,
        differs="5,000 images; prices by the root of a group's size; errors on validation data",
    ),
)
