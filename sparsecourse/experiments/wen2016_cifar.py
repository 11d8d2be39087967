"""Structured sparsity learning on CIFAR-10 (Wen et al., NeurIPS 2016): table 3, and depth.

As on MNIST (`wen2016`), prices rise on a trained network until no more groups are left than in the
paper. Each experiment is there twice, the same code with other settings: the whole training set,
for a GPU, and a short one for one thread of a CPU. Settings of the short ones were chosen on
validation data, with seed 0. Test data are read once a row, at its end.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from sparsecourse import costs, nets, papers
from sparsecourse.data import Dataset, Split
from sparsecourse.experiments import cifar
from sparsecourse.experiments.han2015 import new
from sparsecourse.experiments.specification import Experiment, Rows
from sparsecourse.experiments.wen2016 import compacted, fine_tune, learn_structure, speedups
from sparsecourse.functional.norms import group_soft_threshold
from sparsecourse.nets.resnet import BasicBlock
from sparsecourse.pruning import dead_groups, masks, ssl
from sparsecourse.pruning.graph import trace
from sparsecourse.pruning.selection import plan_without
from sparsecourse.pruning.shapes import gather_columns
from sparsecourse.pruning.surgery import compact
from sparsecourse.reference.validation import count, strength
from sparsecourse.training import Step, constant, error, fit, one_cycle, shift

CONVOLUTIONS = ("conv1", "conv2", "conv3")
FOLLOWING = {"conv1": "conv2", "conv2": "conv3", "conv3": "fc1"}
# Kind of group -> column of the paper's table that says how many are zero.
SPARSITIES = {
    "filters": "row_sparsity_percent_conv1_2_3",
    "shapes": "column_sparsity_percent_conv1_2_3",
}
PRICE = 1.0  # of each filter and each column at its highest, as the last step would have it


@dataclass(frozen=True)
class ConvNetSettings:
    """How long ConvNet is trained, and on what.

    Parameters
    ----------
    train_images : int or None
        None for all.
    dense_epochs : int
        Of the baseline, from which the other rows start.
    learning_epochs : int
        With a price on filters; as many again follow with one on columns.
    tuning_epochs : int
        Without a price, what is left.
    """

    train_images: int | None
    dense_epochs: int
    learning_epochs: int
    tuning_epochs: int


@dataclass(frozen=True)
class DepthSettings:
    """How long residual networks are trained, and on what.

    Parameters
    ----------
    train_images, test_images : int or None
        None for all.
    batch_size : int
    plain_depths : tuple of int
        Layers of the networks that are trained without a price; ResNet-20 is the first.
    dense_epochs : int
    learning_epochs, tuning_epochs : int
        With a price on residual branches, and then without one.
    price : float
        Of a branch at its highest, as the last step of learning would have it.
    """

    train_images: int | None
    test_images: int | None
    batch_size: int
    plain_depths: tuple[int, ...]
    dense_epochs: int
    learning_epochs: int
    tuning_epochs: int
    price: float


CONVNET = ConvNetSettings(train_images=None, dense_epochs=60, learning_epochs=10, tuning_epochs=60)
CONVNET_SHORT = ConvNetSettings(
    train_images=10_000, dense_epochs=10, learning_epochs=3, tuning_epochs=4
)
DEPTH = DepthSettings(
    train_images=None,
    test_images=None,
    batch_size=128,
    plain_depths=(20, 32),
    dense_epochs=180,
    learning_epochs=30,
    tuning_epochs=90,
    price=0.1,
)
DEPTH_SHORT = DepthSettings(
    train_images=4_000,
    test_images=4_000,
    batch_size=64,
    plain_depths=(20,),
    dense_epochs=6,
    learning_epochs=2,
    tuning_epochs=2,
    price=1.5,
)


def published_limits(model: nn.Module, row: str, kind: str) -> ssl.Limits:
    """How many groups the paper's ConvNet has left in each convolution.

    Parameters
    ----------
    model : nn.Module
        ConvNet, with all of its groups.
    row : str
        Of the paper's table 3.
    kind : str
        A key of `SPARSITIES`.

    Returns
    -------
    limits : dict of layer name to dict of kind to int
    """
    table = papers.table("ssl_convnet_cifar10").frame.set_index("convnet")
    percents = map(float, table.loc[row, SPARSITIES[kind]].split("/"))
    groups = dead_groups.counts(model)[kind]
    return {
        layer: {kind: round((1 - percent / 100) * groups[layer])}
        for layer, percent in zip(CONVOLUTIONS, percents, strict=True)
    }


def branches(model: nn.Module) -> dict[str, BasicBlock]:
    """Find the blocks whose residual branches can be removed.

    Parameters
    ----------
    model : nn.Module

    Returns
    -------
    blocks : dict of str to BasicBlock
        In the order in which they run. What is left without the branch is the shortcut.

    Raises
    ------
    ValueError
        If there is none.
    """
    blocks = {
        name: block
        for name, block in model.named_modules()
        if isinstance(block, BasicBlock) and hasattr(block, "norm2")  # else it is gone already
    }
    if not blocks:
        raise ValueError(f"model must have residual blocks, {type(model).__name__} has none")
    return blocks


def dead_branches(model: nn.Module) -> list[str]:
    """Name the blocks whose branch adds exactly zero: scale and shift of its last normalisation.

    Parameters
    ----------
    model : nn.Module

    Returns
    -------
    names : list of str
    """
    return [name for name, block in branches(model).items() if not _group(block).any()]


def without_branches(model: nn.Module, dead: Iterable[str]) -> nn.Module:
    """Copy a residual network without some branches.

    Parameters
    ----------
    model : nn.Module
    dead : iterable of str
        Names of blocks.

    Returns
    -------
    smaller : nn.Module
        The same function if these branches are dead. Channels that only they make go, too.
    """
    graph = trace(model, torch.zeros(1, *model.input_shape))
    gone = [f"{name}.{conv}" for name in dead for conv in ("conv1", "conv2")]
    return compact(graph, plan_without(graph, graph.removed(None), gone))


class BranchPrice:
    """Hook of `training.fit`: a price on residual branches, by proximal steps, until few are left.

    The group of a branch is the scale and the shift of its last normalisation, and its price is
    multiplied with the square root of their number. The paper's group, the convolutions, stands in
    front of normalisations: halved, it leaves the same function, and its length says nothing about
    what the branch is worth. What has died stays dead.

    Parameters
    ----------
    model : nn.Module
        The one that will be trained.
    price : float, >= 0
    until : int, >= 1
        How many branches are few enough; a step that would leave fewer shrinks by less.
    schedule : callable, Step -> factor of the price

    Raises
    ------
    ValueError
        If there is no branch, the price is negative, or `until` less than one.

    References
    ----------
    Wen et al., NeurIPS 2016, section 3.2, with all weights of a layer as its group. Prices by the
    size of groups: Yuan, Lin, Model selection and estimation in regression with grouped variables,
    JRSS B 2006.
    """

    def __init__(
        self,
        model: nn.Module,
        price: float,
        until: int,
        schedule: Callable[[Step], float] = ssl.constant_price,
    ) -> None:
        if count("until", until) < 1:
            raise ValueError(f"until must be at least 1, got {until}")
        self.price = strength(price)
        self.until = until
        self.schedule = schedule
        self.dead = set(dead_branches(model))

    @torch.no_grad()
    def after_step(self, step: Step) -> None:
        """Shrink the branches that are alive."""
        groups = {name: _group(block) for name, block in branches(step.model).items()}
        lengths = {
            name: float(group.norm()) / len(group) ** 0.5
            for name, group in groups.items()
            if name not in self.dead
        }
        threshold = step.optimizer.param_groups[0]["lr"] * self.schedule(step) * self.price
        if len(lengths) <= self.until:
            threshold = 0.0
        else:
            # Else one step could leave fewer. Halfway, as lengths are rounded.
            longest = sorted(lengths.values(), reverse=True)
            threshold = min(threshold, sum(longest[self.until - 1 : self.until + 1]) / 2)
        for name, block in branches(step.model).items():
            group = torch.zeros_like(groups[name]) if name in self.dead else groups[name]
            shrunk = group_soft_threshold(group, threshold * len(group) ** 0.5)
            scale, shift = shrunk.chunk(2)
            block.norm2.weight.copy_(scale)
            block.norm2.bias.copy_(shift)
        self.dead = set(dead_branches(step.model))


def learn_depth(
    model: nn.Module,
    train: Split,
    settings: DepthSettings,
    *,
    until: int,
    seed: int = 0,
    device: torch.device | str | None = None,
) -> nn.Module:
    """Train with a price on residual branches, take out what died, train the rest.

    Parameters
    ----------
    model : nn.Module
        Trained; it stays as it is.
    train : Split
    settings : DepthSettings
    until : int
        How many branches are few enough.
    seed : int
    device : torch.device or str, optional

    Returns
    -------
    smaller : nn.Module
    """
    learned = copy.deepcopy(model)
    _train(
        learned,
        train,
        settings,
        epochs=settings.learning_epochs,
        learning_rate=0.02,
        schedule=constant,
        hooks=[BranchPrice(learned, settings.price, until, ssl.warm_up(1.0))],
        seed=seed,
        device=device,
    )
    smaller = without_branches(learned, dead_branches(learned))
    again = {"epochs": settings.tuning_epochs, "learning_rate": 0.05}
    _train(smaller, train, settings, **again, seed=seed + 1, device=device)
    return smaller


def _group(block: BasicBlock) -> Tensor:
    return torch.cat([block.norm2.weight, block.norm2.bias])


def _train(
    model: nn.Module,
    train: Split,
    settings: DepthSettings,
    *,
    epochs: int,
    learning_rate: float,
    schedule: Callable[[Optimizer, int], LRScheduler] = one_cycle,
    hooks: Sequence[object] = (),
    seed: int,
    device: torch.device | str | None,
) -> None:
    fit(
        model,
        train,
        epochs=epochs,
        batch_size=settings.batch_size,
        optimizer=partial(SGD, lr=learning_rate, momentum=0.9, weight_decay=5e-4),
        schedule=schedule,
        hooks=hooks,
        augment=cifar.crop_and_flip,
        seed=seed,
        device=device,
    )


def _convnet(settings: ConvNetSettings, seed: int, device: torch.device) -> Rows:
    cifar10 = cifar.load(settings.train_images)
    where = {"seed": seed, "device": device}
    dense = new(nets.convnet, seed)
    fit(dense, cifar10.train, epochs=settings.dense_epochs, augment=shift, **where)
    rows = {"1 (baseline)": _figures(dense, cifar10, device)}
    for row in ("1, trained further", "2", "3"):
        model = copy.deepcopy(dense)
        for kind in SPARSITIES:
            until = {} if row.startswith("1") else published_limits(dense, row, kind)
            prices = {layer: {kind: PRICE} for layer in until}
            learn_structure(
                model,
                cifar10.train,
                prices=prices,
                until=until,
                following=FOLLOWING,
                epochs=settings.learning_epochs,
                **where,
            )
        left = dead_groups.counts(model)
        small = compacted(model)
        again = {"epochs": settings.tuning_epochs, "seed": seed + 1, "device": device}
        fine_tune(small, cifar10.train, **again)
        rows[row] = _figures(small, cifar10, device)
        if until:
            rows[row] |= _sparsities(dense, left) | _speedups(dense, small)
    return rows


def _sparsities(dense: nn.Module, left: pd.DataFrame) -> dict[str, float]:
    whole = dead_groups.counts(dense)
    found = {}
    for layer in CONVOLUTIONS:
        for kind, column in SPARSITIES.items():
            zero = 1 - left.loc[layer, kind] / whole.loc[layer, kind]
            found[f"{layer}_{column.removesuffix('_conv1_2_3')}"] = float(100 * zero)
        found[f"{layer}_flop_percent"] = float(100 * left.loc[layer, "multiply_adds"])
    return found


def _speedups(dense: nn.Module, small: nn.Module) -> dict[str, float]:
    """Without the dead rows, and the columns that read them; and without all dead columns.

    On the CPU, wherever it was trained: a table has times of one kind.
    """
    unmasked = copy.deepcopy(small)
    masks.remove(unmasked)
    gathered = speedups(dense, _without_dead_columns(small), CONVOLUTIONS, "cpu")
    return speedups(dense, unmasked, CONVOLUTIONS, "cpu") | {
        f"{figure}_gathered": ratio for figure, ratio in gathered.items()
    }


def _without_dead_columns(model: nn.Module) -> nn.Module:
    """Gather in those convolutions that have dead columns; the others are faster as they are."""
    layers = [
        layer for layer in CONVOLUTIONS if not (model.get_submodule(layer).weight != 0).any(0).all()
    ]
    return gather_columns(model, layers)


def _depth(settings: DepthSettings, seed: int, device: torch.device) -> Rows:
    cifar10 = cifar.load(settings.train_images, settings.test_images)
    where = {"seed": seed, "device": device}
    plain = {}
    for layers in settings.plain_depths:
        plain[layers] = new(getattr(nets, f"resnet{layers}"), seed)
        again = {"epochs": settings.dense_epochs, "learning_rate": 0.1}
        _train(plain[layers], cifar10.train, settings, **again, **where)
    rows = {
        f"ResNet, {layers}": _figures(model, cifar10, device) for layers, model in plain.items()
    }
    dense = plain[20]
    for until in (len(branches(dense)), 8, 6):
        smaller = learn_depth(dense, cifar10.train, settings, until=until, **where)
        left = list(branches(smaller))
        layers = 2 + 2 * len(left)  # two a branch; the first convolution and the last layer
        name = "ResNet trained further" if until == len(branches(dense)) else "SSL-ResNet"
        rows[f"{name}, {layers}"] = {
            **_figures(smaller, cifar10, device),
            "multiply_adds_percent": 100 * _multiply_adds(smaller) / _multiply_adds(dense),
        } | {
            f"{stage}_branches": float(sum(block.startswith(stage) for block in left))
            for stage in ("stage1", "stage2", "stage3")
        }
    return rows


def _multiply_adds(model: nn.Module) -> int:
    return costs.count(model, model.input_shape).totals.multiply_adds


def _figures(model: nn.Module, cifar10: Dataset, device: torch.device) -> dict[str, float]:
    return {"error_percent": 100 * error(model, cifar10.test.X, cifar10.test.y, device=device)}


def _convnet_differs(settings: ConvNetSettings, then: str) -> str:
    return (
        f"{settings.train_images or 45_000:,} training images, shifted by up to a pixel; "
        f"{settings.dense_epochs} epochs (AdamW), then {settings.learning_epochs} with a rising "
        f"price on rows and {settings.learning_epochs} on columns (SGD with momentum), until no "
        f"more are left than in the paper, and {settings.tuning_epochs} without a price (AdamW). "
        "Trained further: the same epochs without a price. Caffe's CIFAR-10 quick network. Times: "
        "torch, one CPU thread, 100 images, without dead rows; gathered: without all dead columns, "
        f"gathering included. {then}"
    )


def _depth_differs(settings: DepthSettings, then: str) -> str:
    return (
        f"{settings.train_images or 45_000:,} training and {settings.test_images or 10_000:,} test "
        f"images, cropped and mirrored; {settings.dense_epochs} epochs, then "
        f"{settings.learning_epochs} with a rising price until no more branches are left than in "
        f"the paper, and {settings.tuning_epochs} without one, all with SGD with momentum. Trained "
        "further: the same epochs without a price. The price is on scale and shift of a branch's "
        f"last normalisation, not on its convolutions. {then}"
    )


SHORT = (
    "So errors are far above the paper's, and do not tell what either network can reach; compare "
    "rows of ours with each other, and the structure with the paper's"
)
FOR_A_GPU = "Made for a GPU; these numbers of epochs have not been tried"

EXPERIMENTS = (
    Experiment(
        name="wen2016_convnet",
        summary="ConvNet on CIFAR-10, learning rows and columns of its weight matrices.",
        table="ssl_convnet_cifar10",
        run=partial(_convnet, CONVNET),
        minutes=110,
        differs=_convnet_differs(CONVNET, FOR_A_GPU),
    ),
    Experiment(
        name="wen2016_convnet_short",
        summary="As wen2016_convnet, on a part of CIFAR-10 and for a few epochs.",
        table="ssl_convnet_cifar10",
        run=partial(_convnet, CONVNET_SHORT),
        minutes=3,
        differs=_convnet_differs(CONVNET_SHORT, SHORT),
    ),
    Experiment(
        name="wen2016_resnet_depth",
        summary="ResNet-20 on CIFAR-10, learning how many residual branches it needs.",
        table="ssl_resnet_depth_cifar10",
        run=partial(_depth, DEPTH),
        minutes=1700,
        differs=_depth_differs(DEPTH, FOR_A_GPU),
    ),
    Experiment(
        name="wen2016_resnet_depth_short",
        summary="As wen2016_resnet_depth, on a part of CIFAR-10 and for a few epochs.",
        table="ssl_resnet_depth_cifar10",
        run=partial(_depth, DEPTH_SHORT),
        minutes=4,
        differs=_depth_differs(DEPTH_SHORT, SHORT),
    ),
)
