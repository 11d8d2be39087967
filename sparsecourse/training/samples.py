"""Samples and labels in, tensors that fit the model out, or an error that says what is wrong."""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from sparsecourse.data.samples import Split

Samples = Split | tuple[Tensor | ArrayLike, Tensor | ArrayLike]


def samples(name: str, given: Samples, model: nn.Module) -> tuple[Tensor, Tensor]:
    """Bring samples to the device, the dtype and the memory layout of a model, and try one.

    Parameters
    ----------
    name : str
        What the caller's signature calls them.
    given : Split or (X, y)
        X (n, ...) of floats, y (n,) of classes.
    model : nn.Module
        Is in evaluation mode afterwards.

    Returns
    -------
    X : Tensor, shape (n, ...)
    y : Tensor of int64, shape (n,)

    Raises
    ------
    ValueError
        If they are not samples with a class each, empty, not finite, of a shape that the model
        does not take, or of classes that it has no score for.
    """
    X, y = _two_tensors(name, given)
    if not X.is_floating_point():
        raise ValueError(f"X of {name} must be floats, got {X.dtype}: pixels are scaled, X / 255")
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise ValueError(f"y of {name} must be classes, of an integer dtype, got {y.dtype}")
    if y.ndim != 1 or X.ndim < 2 or len(X) != len(y):
        raise ValueError(
            f"{name} must be X of shape (n, ...) and y of shape (n,), "
            f"got {tuple(X.shape)} and {tuple(y.shape)}"
        )
    if not X.numel():
        raise ValueError(f"{name} must not be empty, got X of shape {tuple(X.shape)}")
    if not torch.isfinite(X).all():
        at = tuple(torch.nonzero(~torch.isfinite(X))[0].tolist())
        raise ValueError(f"X of {name} must be finite, got {X[at].item()} at index {at}")
    weight = next(model.parameters())
    X, y = X.to(weight), y.to(weight.device, torch.int64)
    if X.ndim == 4 and any(isinstance(module, nn.Conv2d) for module in model.modules()):
        X = X.contiguous(memory_format=torch.channels_last)
    classes = _number_of_classes(name, X, model)
    if y.min() < 0 or y.max() >= classes:
        raise ValueError(
            f"y of {name} must be classes 0 to {classes - 1}, as the model gives {classes} "
            f"scores, got {y.min().item()} to {y.max().item()}"
        )
    return X, y


def _two_tensors(name: str, given: Samples) -> tuple[Tensor, Tensor]:
    try:
        X, y = (given.X, given.y) if isinstance(given, Split) else given
        return torch.as_tensor(X), torch.as_tensor(y)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be (X, y), two tensors or arrays, or one part of a data set, "
            f"got {type(given).__name__} ({error})"
        ) from None


@torch.no_grad()
def _number_of_classes(name: str, X: Tensor, model: nn.Module) -> int:
    model.eval()
    try:
        scores = model(X[:1])
    except RuntimeError as error:
        shape = tuple(X.shape[1:])
        raise ValueError(
            f"model does not take samples of {name}, of shape {shape}: {error}"
        ) from error
    if scores.ndim != 2 or len(scores) != 1:
        raise ValueError(
            f"model must give scores (n, classes), got shape {tuple(scores.shape)} for one sample"
        )
    return scores.shape[1]
