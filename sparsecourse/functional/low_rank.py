"""Low-rank factors of a layer as tensors: the twins of `sparsecourse.reference.low_rank`.

A layer computes Y = X W^T: samples are rows of X, filters are rows of W. Every function takes
leading batch dimensions, and keeps dtype and device. The factors carry no gradient: they are what
the two new layers start from.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparsecourse.functional.validation import finite_tensor
from sparsecourse.reference.validation import count


def approximate(W: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Minimise ||W - A B||_F over factors of a given rank: matrix approximation.

    Parameters
    ----------
    W : Tensor, shape (..., filters, inputs)
    rank : int, 1 to min(filters, inputs)
        Fewer parameters and multiply-adds than in W take a rank below
        ``filters * inputs / (filters + inputs)``.

    Returns
    -------
    A : Tensor, shape (..., filters, rank)
        Orthonormal columns, the entry of largest size in each positive.
    B : Tensor, shape (..., rank, inputs)

    Raises
    ------
    ValueError
        If `rank` is out of range, or on bad input.

    References
    ----------
    Eckart, Young, The approximation of one matrix by another of lower rank, Psychometrika 1936.
    """
    W = finite_tensor("W", W, least_ndim=2).detach()
    rank = _in_range(rank, W)
    U, _, _ = torch.linalg.svd(W, full_matrices=False)
    return _project(W, U[..., :rank])


def regress(W: Tensor, X: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Minimise ||X W^T - X (A B)^T||_F over factors of a given rank: matrix regression.

    The outputs Y = X W^T have many rows. Their right singular vectors are those of the triangular
    factor in Y = QR, which is small.

    Parameters
    ----------
    W : Tensor, shape (..., filters, inputs)
    X : Tensor, shape (..., n_samples, inputs)
        The same batch dimensions, dtype and device as `W`. For a convolution, each place where the
        kernel is put is a sample: what im2col gives as columns, as rows.
    rank : int, 1 to min(filters, inputs)
        Above the rank of Y the error is zero, and of the factors that have it one pair is returned.

    Returns
    -------
    A : Tensor, shape (..., filters, rank)
        Orthonormal columns, the entry of largest size in each positive.
    B : Tensor, shape (..., rank, inputs)

    Raises
    ------
    ValueError
        If `rank` is out of range, if the shapes, dtypes or devices of `W` and `X` do not match, or
        on bad input.

    References
    ----------
    Izenman, Reduced-rank regression for the multivariate linear model, Journal of Multivariate
    Analysis 1975; of the responses of a layer, Zhang, Zou, He, Sun, Accelerating very deep
    convolutional networks for classification and detection, TPAMI 2016, section 3.1.
    """
    W = finite_tensor("W", W, least_ndim=2).detach()
    X = finite_tensor("X", X, least_ndim=2).detach()
    rank = _in_range(rank, W)
    if (*X.shape[:-2], X.shape[-1]) != (*W.shape[:-2], W.shape[-1]):
        expected = (*W.shape[:-2], "n_samples", W.shape[-1])
        raise ValueError(
            f"X must have shape {expected} to match W of shape {tuple(W.shape)}, "
            f"got {tuple(X.shape)}"
        )
    if (X.dtype, X.device) != (W.dtype, W.device):
        raise ValueError(f"X must be {W.dtype} on {W.device} like W, got {X.dtype} on {X.device}")
    R = torch.linalg.qr(X @ W.mT, mode="r").R
    _, _, Vh = torch.linalg.svd(R)
    return _project(W, Vh.mT[..., :rank])


def spatial_split(W: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Replace a kernel by a column of weights and then a row: k x 1, then 1 x k.

    Parameters
    ----------
    W : Tensor, shape (..., filters, channels, height, width)
    rank : int, 1 to min(channels * height, filters * width)
        Channels between the two. At the largest rank nothing is lost. Fewer parameters than in W
        take a rank below ``filters * channels * height * width / (channels * height + filters *
        width)``.

    Returns
    -------
    first : Tensor, shape (..., rank, channels, height, 1)
        Takes the vertical part of stride and padding.
    second : Tensor, shape (..., filters, rank, 1, width)
        Takes the horizontal part of stride and padding, and the bias.

    Raises
    ------
    ValueError
        If `rank` is out of range, or on bad input.

    References
    ----------
    Jaderberg, Vedaldi, Zisserman, Speeding up convolutional neural networks with low rank
    expansions, BMVC 2014, scheme 2; by one singular value decomposition, Tai et al., Convolutional
    neural networks with low-rank regularization, ICLR 2016, section 2.
    """
    W = finite_tensor("W", W, least_ndim=4)
    *batch, filters, channels, height, width = W.shape
    M = W.movedim(-4, -2).flatten(-4, -3).flatten(-2)
    columns, rows = approximate(M, rank)
    first = columns.mT.reshape(*batch, rank, channels, height, 1).contiguous()
    second = rows.reshape(*batch, rank, filters, 1, width).transpose(-4, -3).contiguous()
    return first, second


def channel_split(W: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Replace a kernel by fewer filters and combinations of them: k x k, then 1 x 1.

    Parameters
    ----------
    W : Tensor, shape (..., filters, channels, height, width)
    rank : int, 1 to min(filters, channels * height * width)
        Filters of the first kernel. At the largest rank nothing is lost. When it pays is said in
        `approximate`.

    Returns
    -------
    first : Tensor, shape (..., rank, channels, height, width)
        Takes stride and padding.
    second : Tensor, shape (..., filters, rank, 1, 1)
        Takes the bias.

    Raises
    ------
    ValueError
        If `rank` is out of range, or on bad input.

    References
    ----------
    Zhang, Zou, He, Sun, Accelerating very deep convolutional networks for classification and
    detection, TPAMI 2016, section 3.1.
    """
    W = finite_tensor("W", W, least_ndim=4)
    A, B = approximate(W.flatten(-3), rank)
    return B.reshape(*B.shape[:-1], *W.shape[-3:]), A[..., None, None]


def _project(W: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
    """The factors of A A^T W, the entry of largest size in each column of A positive."""
    largest = A.gather(-2, A.abs().argmax(-2, keepdim=True))
    A = (A * largest.sign()).contiguous()
    return A, A.mT @ W


def _in_range(rank: int, W: Tensor) -> int:
    rows, columns = W.shape[-2:]
    if not 1 <= count("rank", rank) <= min(rows, columns):
        raise ValueError(
            f"rank must be between 1 and {min(rows, columns)}, the smaller side of a matrix of "
            f"{rows} x {columns}, got {rank}"
        )
    return rank
