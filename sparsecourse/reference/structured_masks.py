"""Masks with a pattern that hardware can follow, and what they lose against the largest weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsecourse.reference.pruning import magnitude_mask
from sparsecourse.reference.sparse_matrix import block_shape
from sparsecourse.reference.validation import count, finite_array

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Density(NamedTuple):
    """Shares of entries that are not zero, and of rows and columns that are zero throughout."""

    entries: float
    rows: Floats
    columns: Floats
    zero_rows: float
    zero_columns: float


def density(W: ArrayLike) -> Density:
    """Count which share of a matrix is not zero: in all, by row and by column.

    Parameters
    ----------
    W : array_like, shape (n_rows, n_columns)

    Returns
    -------
    density : Density
        `entries`, the share of all entries; `rows`, shape (n_rows,), and `columns`, shape
        (n_columns,), the share in each; `zero_rows` and `zero_columns`, the shares of rows and of
        columns without any: the row and column sparsity of the reference.

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Wen, Wu, Wang, Chen, Li, Learning structured sparsity in deep neural networks, NeurIPS 2016,
    section 4.
    """
    is_left = finite_array("W", W, (2,)) != 0
    rows, columns = is_left.mean(axis=1), is_left.mean(axis=0)
    return Density(
        float(is_left.mean()),
        rows,
        columns,
        float(np.mean(rows == 0)),
        float(np.mean(columns == 0)),
    )


def block_mask(W: ArrayLike, keep: float, block: tuple[int, int]) -> Mask:
    """Keep the share `keep` of the blocks, those of largest norm, and all of each.

    Blocks of shape (1, n_columns) are rows, of shape (n_rows, 1) columns, of shape (1, 1) weights.

    Parameters
    ----------
    W : array_like, shape (n_rows, n_columns)
    keep : float, 0 to 1
        ``round(keep * n_blocks)`` blocks stay, exactly; where two tie the earlier one, read row by
        row.
    block : tuple of int, >= 1
        Height and width of a block, which divide the shape of `W`.

    Returns
    -------
    mask : ndarray of bool, shape of `W`
        True in the blocks of largest Euclidean norm.

    Raises
    ------
    ValueError
        If `keep` is no share, if blocks do not divide the shape, or on bad input.

    References
    ----------
    Mao, Han, Pool, Li, Liu, Wang, Dally, Exploring the granularity of sparsity in convolutional
    neural networks, CVPR workshop 2017, rank by the sum of the sizes.
    """
    W = finite_array("W", W, (2,))
    height, width = block_shape(block, W.shape)
    norms = np.zeros((W.shape[0] // height, W.shape[1] // width))
    for i, j in np.ndindex(norms.shape):
        part = W[i * height : (i + 1) * height, j * width : (j + 1) * width]
        norms[i, j] = np.linalg.norm(part)
    return np.kron(magnitude_mask(norms, keep), np.ones((height, width), dtype=bool))


def n_of_m_mask(W: ArrayLike, n: int = 2, m: int = 4) -> Mask:
    """Keep the n largest of each m weights in a row: 2:4 is what sparse tensor cores multiply.

    Parameters
    ----------
    W : array_like, shape (n_rows, n_columns)
    n : int, 0 to m
        So many stay of each m, exactly; the earlier one where two tie.
    m : int, >= 1
        Consecutive weights of a row, from its first. It divides the number of columns.

    Returns
    -------
    mask : ndarray of bool, shape of `W`

    Raises
    ------
    ValueError
        If `m` does not divide the columns, if `n` is more than `m`, or on bad input.

    References
    ----------
    Mishra et al., Accelerating sparse deep neural networks, 2021.
    """
    W = finite_array("W", W, (2,))
    if count("m", m) == 0 or W.shape[1] % m:
        raise ValueError(f"m must divide the columns of W, of shape {W.shape}, got {m}")
    if count("n", n) > m:
        raise ValueError(f"n must be at most m, {m}, got {n}")
    mask = np.zeros(W.shape, dtype=bool)
    for i in range(W.shape[0]):
        for j in range(0, W.shape[1], m):
            largest = np.argsort(-np.abs(W[i, j : j + m]), kind="stable")[:n]
            mask[i, j + largest] = True
    return mask


def regular_block_sizes(W: ArrayLike, keep: float) -> Indices:
    """Choose the block size of each row by its density: smaller blocks where more weights matter.

    A row's density is what is left of it when the share `keep` of all weights stays, the largest.
    One weight of each block will stay, so the size is 1 / density, as a power of two, which is
    what hardware can decode with shifts.

    Parameters
    ----------
    W : array_like, shape (n_rows, n_columns)
    keep : float, 0 to 1

    Returns
    -------
    sizes : ndarray of int64, shape (n_rows,)
        The power of two nearest to 1 / density on a scale of logarithms, so that at most a factor
        of sqrt(2) lies between; at most the first one that is `n_columns` or more, which rows of
        density zero get. (How to round is a choice of this course.)

    Raises
    ------
    ValueError
        If `keep` is no share, or on bad input.

    References
    ----------
    Ren et al., DARB: a density-adaptive regular-block pruning for deep neural networks, AAAI 2020.
    """
    W = finite_array("W", W, (2,))
    n_columns = W.shape[1]
    left = magnitude_mask(W, keep).sum(axis=1)
    one_block = np.ceil(np.log2(n_columns))
    exponents = np.round(np.log2(n_columns / np.maximum(left, 1)))
    return 2 ** np.where(left > 0, exponents, one_block).astype(np.int64)


def regular_block_mask(W: ArrayLike, sizes: ArrayLike) -> Mask:
    """Keep the largest weight of each block of a row (block-max weight masking).

    Parameters
    ----------
    W : array_like, shape (n_rows, n_columns)
    sizes : int or array_like of int, shape (n_rows,), >= 1
        The number of consecutive weights in a block, from the first of a row: one for all rows, or
        one for each, as `regular_block_sizes` gives. The last block of a row takes what is left
        over, and keeps one weight as well.

    Returns
    -------
    mask : ndarray of bool, shape of `W`
        True at the largest weight of each block, the earlier one where two tie.

    Raises
    ------
    ValueError
        If a size is no whole number >= 1, if there is not one for each row, or on bad input.

    References
    ----------
    Ren et al., DARB: a density-adaptive regular-block pruning for deep neural networks, AAAI 2020.
    """
    W = finite_array("W", W, (2,))
    sizes = np.asarray(sizes)
    if sizes.dtype.kind not in "iu" or sizes.shape not in ((), (len(W),)) or (sizes < 1).any():
        raise ValueError(
            f"sizes must be a whole number >= 1, or one for each of {len(W)} rows, got {sizes}"
        )
    mask = np.zeros(W.shape, dtype=bool)
    for i, size in enumerate(np.broadcast_to(sizes, len(W)).tolist()):
        for j in range(0, W.shape[1], size):
            mask[i, j + np.argmax(np.abs(W[i, j : j + size]))] = True
    return mask


def retained_weight_difference(W: ArrayLike, mask: ArrayLike) -> float:
    """How much smaller are the weights that a mask keeps than the largest ones, as many?

    ``|m_irregular - m_mask| / m_irregular``, where m is the mean size of the weights that stay.

    The reference writes W with a bar. That the bar is the mean size is our reading, and fits its
    table: of random weights, one of each block of ten kept, the difference is 4.3 % where they are
    uniform and 8.9 % where they are normal; the table has 4.3 % twice, 8.8 % and 8.9 %.

    Parameters
    ----------
    W : array_like of any number of dimensions, shape (n_rows, ...)
    mask : array_like of bool, shape of `W`
        True where a weight stays; at least one does.

    Returns
    -------
    difference : float, 0 to 1
        0 where the mask keeps the largest weights, or where all are zero.

    Raises
    ------
    ValueError
        If the mask does not fit or keeps nothing, or on bad input.

    References
    ----------
    Ren et al., DARB: a density-adaptive regular-block pruning for deep neural networks, AAAI 2020,
    table 2.
    """
    sizes = np.abs(finite_array("W", W, tuple(range(1, 33))))
    mask = np.asarray(mask)
    if mask.shape != sizes.shape or mask.dtype != np.bool_ or not mask.any():
        raise ValueError(
            f"mask must be of bool, of shape {sizes.shape}, and keep a weight, got {mask.dtype} "
            f"of shape {mask.shape} that keeps {np.count_nonzero(mask)}"
        )
    retained = sizes[mask].mean()
    largest = np.sort(sizes, axis=None)[-np.count_nonzero(mask) :].mean()
    return float(abs(largest - retained) / largest) if largest > 0 else 0.0
