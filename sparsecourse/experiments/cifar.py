"""CIFAR-10 as experiments take it: each colour standardised, whole or a part, augmented."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from sparsecourse import data
from sparsecourse.data import Dataset, Split

MARGIN = 4  # pixels of padding that a crop may reach into


def load(train: int | None = None, test: int | None = None) -> Dataset:
    """Load CIFAR-10, with mean 0 and standard deviation 1 of each colour over the training images.

    Parameters
    ----------
    train, test : int, optional
        So many images of the training and the test part, the first; default: all. As the images
        are in the order of their digests, the first are a random choice.

    Returns
    -------
    cifar10 : Dataset
        The validation part is whole.

    Raises
    ------
    ValueError
        If a part has fewer images.
    """
    whole = data.load("cifar10")
    some = {"train": _first("train", whole.train, train), "test": _first("test", whole.test, test)}
    axes = (0, 2, 3)
    mean = some["train"].X.mean(axes, keepdims=True)
    deviation = some["train"].X.std(axes, keepdims=True)
    parts = {**some, "validation": whole.validation}
    return replace(
        whole, **{name: Split((part.X - mean) / deviation, part.y) for name, part in parts.items()}
    )


def crop_and_flip(X: Tensor) -> Tensor:
    """Pad each image by 4 pixels, cut one of the old size out anywhere, mirror every other one.

    Parameters
    ----------
    X : Tensor, shape (n, channels, height, width)

    Returns
    -------
    cropped : Tensor, shape of `X`
        Drawn for each image alone, from torch's default generators.

    References
    ----------
    He, Zhang, Ren, Sun, Deep residual learning for image recognition, CVPR 2016, section 4.2.
    """
    n, channels, height, width = X.shape
    down, right = torch.randint(2 * MARGIN + 1, (2, n, 1), device=X.device)
    mirrored = torch.rand(n, 1, device=X.device) < 0.5
    rows = down + torch.arange(height, device=X.device)
    columns = right + torch.arange(width, device=X.device)
    columns = torch.where(mirrored, columns.flip(1), columns)
    image = torch.arange(n, device=X.device)[:, None, None, None]
    channel = torch.arange(channels, device=X.device)[:, None, None]
    cropped = pad(X, (MARGIN,) * 4)[image, channel, rows[:, None, :, None], columns[:, None, None]]
    return cropped.contiguous(memory_format=torch.channels_last)


def _first(name: str, part: Split, n: int | None) -> Split:
    if n is None:
        return part
    if not 1 <= n <= len(part.y):
        raise ValueError(f"{name} must be 1 to {len(part.y)} images, got {n}")
    return Split(part.X[:n], part.y[:n])
