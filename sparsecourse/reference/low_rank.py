"""Replace a layer by two thinner ones: a weight matrix by a product of two of low rank.

A layer computes Y = X W^T: samples are rows of X, filters are rows of W, as in
``kernel.reshape(filters, -1)``. (Where a text writes Y = X W, its W is this one transposed.)
Factors A, B replace it by two layers, Y = (X B^T) A^T: first B, then A.

Factors are unique up to signs, where the singular values differ. Of the signs, those are taken that
make the entry of largest size in each column of the orthonormal factor positive.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsecourse.reference.validation import count, finite_array

Floats = NDArray[np.float64]


def approximate(W: ArrayLike, rank: int) -> tuple[Floats, Floats]:
    """Minimise ||W - A B||_F over factors of a given rank: matrix approximation.

    Cut off the singular value decomposition W = U diag(s) V^T after r = `rank` terms. With the
    first r columns of U as A, the first r rows of diag(s) V^T are A^T W: W is projected on r
    directions. The squared error is the sum of s_i^2 over the terms that were cut off.

    Parameters
    ----------
    W : array_like, shape (filters, inputs)
    rank : int, 1 to min(filters, inputs)
        Fewer parameters and multiply-adds than in W take a rank below
        ``filters * inputs / (filters + inputs)``.

    Returns
    -------
    A : ndarray, shape (filters, rank)
        Orthonormal columns.
    B : ndarray, shape (rank, inputs)

    Raises
    ------
    ValueError
        If `rank` is out of range, or on bad input.

    References
    ----------
    Eckart, Young, The approximation of one matrix by another of lower rank, Psychometrika 1936.
    """
    W = finite_array("W", W, ndim=(2,))
    rank = _in_range(rank, W)
    U, _, _ = np.linalg.svd(W, full_matrices=False)
    return _project(W, U[:, :rank])


def regress(W: ArrayLike, X: ArrayLike, rank: int) -> tuple[Floats, Floats]:
    """Minimise ||X W^T - X (A B)^T||_F over factors of a given rank: matrix regression.

    Where the inputs are known, the error to keep small is that of the outputs Y = X W^T. Whatever
    the factors, X (A B)^T has rank r = `rank` at most, so it comes no closer to Y than Y_r, the
    singular value decomposition Y = U diag(s) V^T cut off after r terms. With the first r columns
    V_r of V it is Y_r = Y V_r V_r^T = X (V_r V_r^T W)^T: A = V_r and B = V_r^T W reach it, whatever
    the rank of X. This is reduced-rank regression on the targets Y, which W itself fits without
    error. For X = I it is `approximate`.

    A layer with bias c may change it too. Call this with X less its mean m: the factors, with the
    bias c + (W - A B) m, then have the least error of all factors and biases.

    Parameters
    ----------
    W : array_like, shape (filters, inputs)
    X : array_like, shape (n_samples, inputs)
        For a convolution, each place where the kernel is put is a sample: what im2col gives as
        columns, as rows.
    rank : int, 1 to min(filters, inputs)
        Above the rank of Y the error is zero, and of the factors that have it one pair is returned.

    Returns
    -------
    A : ndarray, shape (filters, rank)
        Orthonormal columns.
    B : ndarray, shape (rank, inputs)

    Raises
    ------
    ValueError
        If `rank` is out of range, if X has not as many columns as W, or on bad input.

    References
    ----------
    Izenman, Reduced-rank regression for the multivariate linear model, Journal of Multivariate
    Analysis 1975; of the responses of a layer, Zhang, Zou, He, Sun, Accelerating very deep
    convolutional networks for classification and detection, TPAMI 2016, section 3.1.
    """
    W = finite_array("W", W, ndim=(2,))
    X = finite_array("X", X, ndim=(2,))
    rank = _in_range(rank, W)
    filters, inputs = W.shape
    if X.shape[1] != inputs:
        raise ValueError(f"X must have {inputs} columns like W, got shape {X.shape}")
    # V is square, so that there are enough columns also where samples are few.
    _, _, Vt = np.linalg.svd(X @ W.T, full_matrices=len(X) < filters)
    return _project(W, Vt[:rank].T)


def spatial_split(W: ArrayLike, rank: int) -> tuple[Floats, Floats]:
    """Replace a kernel by a column of weights and then a row: k x 1, then 1 x k.

    One after the other they are the kernel ``sum_r second[f, r, 0, j] first[r, c, i, 0]`` at
    [f, c, i, j]: the matrix of W with rows (c, i) and columns (f, j), as `approximate` leaves it.

    Parameters
    ----------
    W : array_like, shape (filters, channels, height, width)
    rank : int, 1 to min(channels * height, filters * width)
        Channels between the two. At the largest rank nothing is lost. Fewer parameters than in W
        take a rank below ``filters * channels * height * width / (channels * height + filters *
        width)``.

    Returns
    -------
    first : ndarray, shape (rank, channels, height, 1)
        Takes the vertical part of stride and padding.
    second : ndarray, shape (filters, rank, 1, width)
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
    W = finite_array("W", W, ndim=(4,))
    filters, channels, height, width = W.shape
    M = W.transpose(1, 2, 0, 3).reshape(channels * height, filters * width)
    columns, rows = approximate(M, rank)
    first = columns.T.reshape(rank, channels, height, 1)
    second = rows.reshape(rank, filters, 1, width).transpose(1, 0, 2, 3)
    return first, second


def channel_split(W: ArrayLike, rank: int) -> tuple[Floats, Floats]:
    """Replace a kernel by fewer filters and combinations of them: k x k, then 1 x 1.

    These are the factors of `approximate` for ``W.reshape(filters, -1)``. The factors of `regress`,
    on the inputs of the layer, take the same shapes.

    Parameters
    ----------
    W : array_like, shape (filters, channels, height, width)
    rank : int, 1 to min(filters, channels * height * width)
        Filters of the first kernel. At the largest rank nothing is lost. When it pays is said in
        `approximate`.

    Returns
    -------
    first : ndarray, shape (rank, channels, height, width)
        Takes stride and padding.
    second : ndarray, shape (filters, rank, 1, 1)
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
    W = finite_array("W", W, ndim=(4,))
    A, B = approximate(W.reshape(len(W), -1), rank)
    return B.reshape(rank, *W.shape[1:]), A.reshape(len(W), rank, 1, 1)


def _project(W: Floats, A: Floats) -> tuple[Floats, Floats]:
    """The factors of A A^T W, with the signs that the module promises."""
    largest = np.take_along_axis(A, np.abs(A).argmax(axis=0, keepdims=True), axis=0)
    A = A * np.sign(largest)
    return A, A.T @ W


def _in_range(rank: int, W: Floats) -> int:
    rows, columns = W.shape
    if not 1 <= count("rank", rank) <= min(rows, columns):
        raise ValueError(
            f"rank must be between 1 and {min(rows, columns)}, the smaller side of a matrix of "
            f"{rows} x {columns}, got {rank}"
        )
    return rank
