"""Weight pruning of the two LeNets on MNIST (Han et al., NeurIPS 2015): table 1, figures 5 and 6.

Settings were chosen on validation data, with seed 0. Test data are read once a row, at its end.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial

import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW

from sparsecourse import data
from sparsecourse.data import Split
from sparsecourse.experiments.specification import Experiment, Rows
from sparsecourse.functional.pruning import compression_rate
from sparsecourse.nets import lenet5, lenet_300_100
from sparsecourse.pruning import masks
from sparsecourse.pruning.penalty import L1Penalty
from sparsecourse.pruning.retraining import GradualPruning, iterative
from sparsecourse.pruning.storage import pack, unpack
from sparsecourse.training import error, fit, shift

INDEX_BITS = 8
KEEPS = (0.5, 0.2, 0.1, 0.05, 0.03, 0.02)
PENALTIES = {"L1": 3e-4, "cheap L1": 1e-4, "L2": None}  # prices of l1
WEIGHT_DECAY = 5e-4
SHARES = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05)  # of one layer, in the scan of sensitivity
AUGMENTATIONS = {"": None, ", shifted": shift}  # behind the names of rows


def new(net: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A network with initial weights of its own for each seed.

    Parameters
    ----------
    net : callable
        One of `sparsecourse.nets`, without arguments.
    seed : int

    Returns
    -------
    model : nn.Module
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return net()


def measured(
    model: nn.Module,
    test: Split,
    *,
    index_bits: int | dict[str, int] = INDEX_BITS,
    device: torch.device | str | None = None,
) -> dict[str, float]:
    """Error on test data, and size, most of it under the names of the paper's columns.

    Parameters
    ----------
    model : nn.Module
    test : Split
    index_bits : int or dict of layer name to int
        As `storage.pack`: {} for a dense network.
    device : torch.device or str, optional

    Returns
    -------
    figures : dict of str to float
        Counted on what was stored and read back.
    """
    records = pack(model, index_bits)
    tensors = list(unpack(records).values())
    return {
        "top1_error_percent": 100 * error(model, test.X, test.y, device=device),
        "parameters": float(sum(int(tensor.count_nonzero()) for tensor in tensors)),
        "compression_rate": float(compression_rate(tensors)),
        "stored_bytes": float(sum(map(len, records.values()))),
    }


def share_of_weights(model: nn.Module, rate: float) -> float:
    """Share of the weights that may stay, so that all parameters are compressed by `rate`.

    Parameters
    ----------
    model : nn.Module
    rate : float, >= 1
        Parameters over those left; biases all stay.

    Returns
    -------
    keep : float, 0 to 1

    Raises
    ------
    ValueError
        If the biases alone are too many for that rate.
    """
    parameters = sum(p.numel() for p in model.parameters())
    weights = sum(w.numel() for w in masks.trained_weights(model).values())
    keep = (parameters // rate - (parameters - weights)) / weights
    if not 0 < keep <= 1:
        raise ValueError(
            f"rate must be at least 1 and leave some of the {weights} weights beside "
            f"{parameters - weights} biases, got {rate}"
        )
    return keep


def prune_gradually(
    model: nn.Module,
    train: Split,
    *,
    keep: float,
    epochs: int,
    learning_rate: float,
    augment: Callable[[Tensor], Tensor] | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
) -> None:
    """Train, while the smallest weights of all layers are taken away on the cubic schedule.

    The last three tenths of the steps train what is left.

    Parameters
    ----------
    model : nn.Module
    train : Split
    keep : float, 0 to 1
        Share of the weights that are left.
    epochs : int
    learning_rate : float
        The highest of the schedule.
    augment : callable, optional
    seed : int
    device : torch.device or str, optional

    References
    ----------
    Zhu, Gupta, To prune, or not to prune: exploring the efficacy of pruning for model compression,
    ICLR workshop 2018, section 3.
    """
    steps = epochs * -(-len(train.y) // 256)
    pruning = int(0.7 * steps)
    every = max(1, pruning // 100)
    schedule = {"start": 0, "updates": pruning // every, "every": every}
    fit(
        model,
        train,
        epochs=epochs,
        optimizer=partial(AdamW, lr=learning_rate, weight_decay=1e-2, fused=True),
        augment=augment,
        hooks=[GradualPruning(model, 1 - keep, **schedule)],
        seed=seed,
        device=device,
    )


def trade_off(
    train: Split,
    validation: Split,
    *,
    lam: float | None,
    keeps: Sequence[float] = KEEPS,
    epochs: int = 10,
    retraining_epochs: int = 2,
    seed: int = 0,
    device: torch.device | str | None = None,
) -> pd.DataFrame:
    """Prune LeNet-300-100 to several shares, by one cut and in rounds, with one penalty.

    One cut is retrained for as many epochs as the rounds have had together when they come to the
    same share.

    Parameters
    ----------
    train, validation : Split
    lam : float or None
        Price of the l1 penalty, in training and in retraining; None for an l2 penalty.
    keeps : sequence of float, falling
        Shares of the weights that stay, all layers ranked together; the rounds go through all.
    epochs : int
        Of dense training.
    retraining_epochs : int
        Of each round.
    seed : int
    device : torch.device or str, optional

    Returns
    -------
    errors : DataFrame
        Validation error, 0 to 1: a row for each share, the row 1.0 before pruning; the columns
        "not retrained", "one cut" and "in rounds".

    References
    ----------
    Han, Pool, Tran, Dally, Learning both weights and connections for efficient neural networks,
    NeurIPS 2015, figure 5 (of AlexNet; without rounds for l1).
    """
    hooks = [] if lam is None else [L1Penalty(lam)]
    sgd = partial(SGD, momentum=0.9, weight_decay=WEIGHT_DECAY if lam is None else 0)

    def validated(model: nn.Module) -> float:
        return error(model, validation.X, validation.y, device=device)

    def trained(model: nn.Module, n_epochs: int, learning_rate: float, seed: int) -> float:
        settings = {"batch_size": 128, "hooks": hooks, "seed": seed, "device": device}
        fit(model, train, epochs=n_epochs, optimizer=partial(sgd, lr=learning_rate), **settings)
        return validated(model)

    def retrained(model: nn.Module, rounds: int = 1) -> float:
        return trained(model, rounds * retraining_epochs, 0.02, seed + 1)

    dense = new(lenet_300_100, seed)
    before = trained(dense, epochs, 0.05, seed)
    errors = pd.DataFrame({"not retrained": before, "one cut": before}, index=[1.0, *keeps])
    for rounds, keep in enumerate(keeps, start=1):
        pruned = copy.deepcopy(dense)
        masks.apply(pruned, masks.magnitude(pruned, keep))
        errors.loc[keep] = validated(pruned), retrained(pruned, rounds)
    errors["in rounds"] = [before, *iterative(dense, keeps, masks.magnitude, retrained)]
    return errors.rename_axis("keep")


def _lenet_300_100(seed: int, device: torch.device) -> Rows:
    mnist = data.load("mnist")
    rows = {}
    for suffix, augment in AUGMENTATIONS.items():
        dense = new(lenet_300_100, seed)
        fit(dense, mnist.train, epochs=20, augment=augment, seed=seed, device=device)
        rows[f"reference{suffix}"] = measured(dense, mnist.test, index_bits={}, device=device)
        for rate, epochs in ((12, 30), (30, 50)):
            model = new(lenet_300_100, seed)
            prune_gradually(
                model,
                mnist.train,
                keep=share_of_weights(model, rate),
                epochs=epochs,
                learning_rate=3e-3,
                augment=augment,
                seed=seed,
                device=device,
            )
            rows[f"{rate}x{suffix}"] = measured(model, mnist.test, device=device)
    return rows


def _lenet5(seed: int, device: torch.device) -> Rows:
    mnist = data.load("mnist")
    rows = {}
    for suffix, augment in AUGMENTATIONS.items():
        model = new(lenet5, seed)
        fit(model, mnist.train, epochs=4, augment=augment, seed=seed, device=device)
        rows[f"reference{suffix}"] = measured(model, mnist.test, index_bits={}, device=device)
        if augment is None:
            rows |= _sensitivity(model, mnist.validation, device)
        prune_gradually(
            model,
            mnist.train,
            keep=share_of_weights(model, 12),
            epochs=10,
            learning_rate=2e-3,
            augment=augment,
            seed=seed,
            device=device,
        )
        rows[f"12x{suffix}"] = measured(model, mnist.test, device=device)
    return rows


def _sensitivity(model: nn.Module, validation: Split, device: torch.device) -> Rows:
    scan = masks.sensitivity(
        model, lambda pruned: error(pruned, validation.X, validation.y, device=device), SHARES
    )
    return {
        f"{layer} alone": {
            f"{_percent(share)} kept": 100 * wrong for share, wrong in column.items()
        }
        for layer, column in scan.items()
    }


def _trade_off(seed: int, device: torch.device) -> Rows:
    mnist = data.load("mnist")
    rows = {}
    for penalty, lam in PENALTIES.items():
        errors = trade_off(mnist.train, mnist.validation, lam=lam, seed=seed, device=device)
        for way, column in errors.items():
            rows[f"{penalty}, {way}"] = {
                f"{_percent(keep)} kept": 100 * wrong for keep, wrong in column.items()
            }
    return rows


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


EXPERIMENTS = (
    Experiment(
        name="han2015_lenet_300_100",
        summary="LeNet-300-100 on MNIST, pruned gradually to a 12th and a 30th of its parameters.",
        table="han2015_networks",
        run=_lenet_300_100,
        minutes=4,
        differs=(
            "Pruned while it is trained, on a cubic schedule, all layers ranked together; AdamW, "
            "20 (dense), 30 (12x) and 50 (30x) epochs of 55,000 images"
        ),
    ),
    Experiment(
        name="han2015_lenet_5",
        summary="LeNet-5 on MNIST, pruned gradually to a 12th, and one layer at a time.",
        table="han2015_networks",
        run=_lenet5,
        minutes=6,
        differs=(
            "Trained for 4 epochs, then pruned during 10 more on a cubic schedule, all layers "
            "ranked together; AdamW; 55,000 images"
        ),
    ),
    Experiment(
        name="han2015_trade_off",
        summary="LeNet-300-100 on MNIST: l1 or l2, one cut or rounds, retrained or not.",
        table=None,
        run=_trade_off,
        minutes=5,
        differs="LeNet-300-100 on MNIST in the place of AlexNet on ImageNet",
    ),
)
