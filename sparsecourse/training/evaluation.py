"""How good a model is on samples that it is not trained on."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sparsecourse.training.finite import NonFiniteError
from sparsecourse.training.lending import lent
from sparsecourse.training.samples import samples


def error(
    model: nn.Module,
    X: Tensor | ArrayLike,
    y: Tensor | ArrayLike,
    *,
    batch_size: int = 256,
    device: torch.device | str | None = None,
) -> float:
    """Share of wrong answers, in evaluation mode; the model stays as it is.

    Parameters
    ----------
    model : nn.Module, samples (n, ...) -> scores (n, classes)
    X : Tensor or array of floats, shape (n, ...)
    y : Tensor or array of integers, shape (n,)
        The right classes.
    batch_size : int
        Samples at a time: a bound on the memory.
    device : torch.device or str, optional
        Where to compute. Default: CUDA if there is one, else the CPU.

    Returns
    -------
    error : float, 0 to 1

    Raises
    ------
    ValueError
        If the samples do not fit together or do not fit the model.
    NonFiniteError
        If a score is NaN or infinite: no answer can be read from it.
    """
    with lent(model, device):
        X, y = samples("(X, y)", (X, y), model)
        _, wrong = evaluate(model, X, y, cross_entropy, batch_size)
    if math.isnan(wrong):
        raise NonFiniteError("scores are not finite: the model diverged while it was trained?")
    return wrong


@torch.no_grad()
def evaluate(
    model: nn.Module, X: Tensor, y: Tensor, loss: Callable, batch_size: int
) -> tuple[float, float]:
    """Mean loss and share of wrong answers.

    Parameters
    ----------
    model : nn.Module
        Is in evaluation mode afterwards.
    X : Tensor, shape (n, ...)
    y : Tensor, shape (n,)
    loss : callable, (scores, y) -> mean loss
    batch_size : int

    Returns
    -------
    loss, error : float
        NaN where scores are not finite: comparing them would give answers like any other.
    """
    model.eval()
    total, wrong, finite = 0.0, 0, True
    for inputs, classes in zip(X.split(batch_size), y.split(batch_size), strict=True):
        scores = model(inputs)
        finite &= bool(torch.isfinite(scores).all())
        total += loss(scores, classes).item() * len(classes)
        wrong += (scores.argmax(1) != classes).sum().item()
    return (total / len(y), wrong / len(y)) if finite else (math.nan, math.nan)
