"""Store a sparse matrix without its zeros, and multiply with what is stored.

How many bytes the formats take is counted in `sparsecourse.reference.pruning`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsecourse.reference.validation import count, finite_array

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def to_csr(W: ArrayLike) -> tuple[Floats, Indices, Indices]:
    """Write a matrix as compressed sparse rows: its entries, their columns, where rows start.

    Parameters
    ----------
    W : array_like, shape (n_rows, n_columns)

    Returns
    -------
    values : ndarray, shape (n_entries,)
        The entries that are not zero, row by row.
    columns : ndarray of int64, shape (n_entries,)
        The column of each.
    row_starts : ndarray of int64, shape (n_rows + 1,)
        Row i has entries ``row_starts[i]`` to ``row_starts[i + 1] - 1``.

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Saad, Iterative methods for sparse linear systems, 2nd ed., section 3.4.
    """
    W = finite_array("W", W, (2,))
    values, columns, row_starts = [], [], [0]
    for row in W:
        for j in np.flatnonzero(row):
            values.append(row[j])
            columns.append(j)
        row_starts.append(len(values))
    return np.array(values), np.array(columns, dtype=np.int64), np.array(row_starts)


def csr_matmul(
    values: ArrayLike, columns: ArrayLike, row_starts: ArrayLike, X: ArrayLike
) -> Floats:
    """Multiply compressed sparse rows with a vector or a matrix: ``Y[i] = sum_j W[i, j] X[j]``.

    Only the j of entries that are not zero are visited. Each asks for another row of X, wherever
    that lies in memory.

    Parameters
    ----------
    values : array_like, shape (n_entries,)
    columns : array_like of int, shape (n_entries,)
    row_starts : array_like of int, shape (n_rows + 1,)
        What `to_csr` gives.
    X : array_like, shape (n_columns,) or (n_columns, n_products)

    Returns
    -------
    Y : ndarray, shape (n_rows,) or (n_rows, n_products)

    Raises
    ------
    ValueError
        If the three parts do not fit each other, if a column is none of W, whose columns are as
        many as X has rows, or on bad input.

    References
    ----------
    Saad, Iterative methods for sparse linear systems, 2nd ed., section 3.5.
    """
    X = finite_array("X", X, (1, 2))
    values, columns, row_starts = _stored_rows(values, columns, row_starts, 1, len(X))
    n_rows = len(row_starts) - 1
    Y = np.zeros((n_rows, *X.shape[1:]))
    for i in range(n_rows):
        for k in range(row_starts[i], row_starts[i + 1]):
            Y[i] += values[k] * X[columns[k]]
    return Y


def to_bsr(W: ArrayLike, block: tuple[int, int]) -> tuple[Floats, Indices, Indices]:
    """Write a matrix as block compressed sparse rows: one column number for a whole block.

    Parameters
    ----------
    W : array_like, shape (n_rows, n_columns)
    block : tuple of int, >= 1
        Height and width of a block, which divide the shape of `W`.

    Returns
    -------
    values : ndarray, shape (n_blocks, height, width)
        The blocks that hold an entry that is not zero, with their zeros.
    columns : ndarray of int64, shape (n_blocks,)
        The column of each, counted in blocks.
    row_starts : ndarray of int64, shape (n_rows / height + 1,)
        Row i of blocks has blocks ``row_starts[i]`` to ``row_starts[i + 1] - 1``.

    Raises
    ------
    ValueError
        If blocks do not divide the shape (fill `W` up with zeros then), or on bad input.

    References
    ----------
    Gray, Radford, Kingma, GPU kernels for block-sparse weights, 2017.
    """
    W = finite_array("W", W, (2,))
    height, width = block_shape(block, W.shape)
    values, columns, row_starts = [], [], [0]
    for i in range(W.shape[0] // height):
        for j in range(W.shape[1] // width):
            part = W[i * height : (i + 1) * height, j * width : (j + 1) * width]
            if part.any():
                values.append(part)
                columns.append(j)
        row_starts.append(len(values))
    stored = np.array(values).reshape(-1, height, width)
    return stored, np.array(columns, dtype=np.int64), np.array(row_starts)


def bsr_matmul(
    values: ArrayLike, columns: ArrayLike, row_starts: ArrayLike, X: ArrayLike
) -> Floats:
    """Multiply block compressed sparse rows: a small dense product for each block.

    Parameters
    ----------
    values : array_like, shape (n_blocks, height, width)
    columns : array_like of int, shape (n_blocks,)
    row_starts : array_like of int, shape (n_rows / height + 1,)
        What `to_bsr` gives.
    X : array_like, shape (n_columns,) or (n_columns, n_products)

    Returns
    -------
    Y : ndarray, shape (n_rows,) or (n_rows, n_products)

    Raises
    ------
    ValueError
        If the three parts do not fit each other, if blocks do not divide the rows of X, if a
        column is none of W, or on bad input.

    References
    ----------
    Gray, Radford, Kingma, GPU kernels for block-sparse weights, 2017.
    """
    X = finite_array("X", X, (1, 2))
    height, width = block_shape(np.shape(values)[1:], (0, len(X)))
    values, columns, row_starts = _stored_rows(values, columns, row_starts, 3, len(X) // width)
    Y = np.zeros(((len(row_starts) - 1) * height, *X.shape[1:]))
    for i in range(len(row_starts) - 1):
        for k in range(row_starts[i], row_starts[i + 1]):
            rows_of_X = X[columns[k] * width : (columns[k] + 1) * width]
            Y[i * height : (i + 1) * height] += values[k] @ rows_of_X
    return Y


def to_bitmask(W: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """Write a matrix as one bit for each entry, and the entries that are not zero.

    Parameters
    ----------
    W : array_like, shape (n_rows, n_columns)

    Returns
    -------
    values : ndarray, shape (n_entries,)
        The entries that are not zero, row by row.
    mask : ndarray of bool, shape of `W`
        Where they are. (NumPy spends a byte on each; ``np.packbits`` makes it a bit.)

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Zhu, Gupta, To prune, or not to prune: exploring the efficacy of pruning for model compression,
    ICLR workshop 2018 (arXiv 2017), discussion.
    """
    W = finite_array("W", W, (2,))
    mask = W != 0
    return W[mask], mask


def bitmask_matmul(values: ArrayLike, mask: ArrayLike, X: ArrayLike) -> Floats:
    """Multiply a matrix stored as a bitmask: read all bits, and take the next value at each 1.

    Parameters
    ----------
    values : array_like, shape (n_entries,)
    mask : array_like of bool, shape (n_rows, n_columns)
        What `to_bitmask` gives.
    X : array_like, shape (n_columns,) or (n_columns, n_products)

    Returns
    -------
    Y : ndarray, shape (n_rows,) or (n_rows, n_products)

    Raises
    ------
    ValueError
        If there is not one value for each 1, if X has not one row for each column, or on bad
        input.

    References
    ----------
    Zhu, Gupta, To prune, or not to prune: exploring the efficacy of pruning for model compression,
    ICLR workshop 2018 (arXiv 2017), discussion.
    """
    X = finite_array("X", X, (1, 2))
    values, mask = np.asarray(values, dtype=np.float64), np.asarray(mask)
    if mask.ndim != 2 or mask.dtype != np.bool_ or mask.shape[1] != len(X):
        raise ValueError(
            f"mask must be of bool and have {len(X)} columns, one for each row of X, got "
            f"{mask.dtype} of shape {mask.shape}"
        )
    if values.shape != (mask.sum(),):
        raise ValueError(
            f"values must have shape ({mask.sum()},), one for each 1 of mask, got {values.shape}"
        )
    Y = np.zeros((len(mask), *X.shape[1:]))
    for value, (i, j) in zip(values, np.argwhere(mask), strict=True):
        Y[i] += value * X[j]
    return Y


def rows_and_columns(W: ArrayLike) -> tuple[Floats, Indices, Indices]:
    """Take the rows and columns of zeros away: what is left is a smaller dense matrix.

    A product with it needs ``small.size / W.size`` of the multiply-adds, and no kernel but that
    of dense matrices.

    Parameters
    ----------
    W : array_like, shape (n_rows, n_columns)

    Returns
    -------
    small : ndarray, shape (n_rows_left, n_columns_left)
    rows : ndarray of int64, shape (n_rows_left,)
        Where the rows that are left were in `W`.
    columns : ndarray of int64, shape (n_columns_left,)
        The same for columns.

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Wen, Wu, Wang, Chen, Li, Learning structured sparsity in deep neural networks, NeurIPS 2016,
    section 3.3.
    """
    W = finite_array("W", W, (2,))
    rows, columns = np.flatnonzero(W.any(axis=1)), np.flatnonzero(W.any(axis=0))
    return W[np.ix_(rows, columns)], rows, columns


def rows_and_columns_matmul(
    small: ArrayLike, rows: ArrayLike, columns: ArrayLike, n_rows: int, X: ArrayLike
) -> Floats:
    """Multiply with what `rows_and_columns` left: gather rows of X, multiply, scatter rows of Y.

    Parameters
    ----------
    small : array_like, shape (n_rows_left, n_columns_left)
    rows : array_like of int, shape (n_rows_left,)
    columns : array_like of int, shape (n_columns_left,)
        What `rows_and_columns` gives.
    n_rows : int
        Of the matrix before.
    X : array_like, shape (n_columns,) or (n_columns, n_products)

    Returns
    -------
    Y : ndarray, shape (n_rows,) or (n_rows, n_products)

    Raises
    ------
    ValueError
        If the parts do not fit each other, if a row or column is none of W, or on bad input.

    References
    ----------
    Wen, Wu, Wang, Chen, Li, Learning structured sparsity in deep neural networks, NeurIPS 2016,
    section 3.3.
    """
    X = finite_array("X", X, (1, 2))
    small = np.asarray(small, dtype=np.float64)
    rows = _indices("rows", rows, count("n_rows", n_rows))
    columns = _indices("columns", columns, len(X))
    if small.shape != (len(rows), len(columns)):
        raise ValueError(
            f"small must have a row for each of {len(rows)} rows and a column for each of "
            f"{len(columns)} columns, got shape {small.shape}"
        )
    if (np.diff(rows) <= 0).any():
        raise ValueError(f"rows must increase, got {rows}")
    Y = np.zeros((n_rows, *X.shape[1:]))
    Y[rows] = small @ X[columns]
    return Y


def block_shape(block: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, int]:
    """Check that blocks divide a matrix.

    Parameters
    ----------
    block : tuple of int, >= 1
        Height and width of a block.
    shape : tuple of int
        Of the matrix.

    Returns
    -------
    block : tuple of int
        Its two numbers.

    Raises
    ------
    ValueError
        If there are not two numbers, if one is zero, or if rows or columns are left over.

    References
    ----------
    Gray, Radford, Kingma, GPU kernels for block-sparse weights, 2017.
    """
    sides = tuple(block)
    if len(sides) != 2 or min(count("block", side) for side in sides) == 0:
        raise ValueError(f"block must be a height and a width, both >= 1, got {sides}")
    if shape[0] % sides[0] or shape[1] % sides[1]:
        raise ValueError(
            f"blocks of shape {sides} must divide the matrix, got shape {tuple(shape)}: choose "
            "another block, or fill the matrix up with zeros"
        )
    return sides


def _stored_rows(
    values: ArrayLike, columns: ArrayLike, row_starts: ArrayLike, ndim: int, n_columns: int
) -> tuple[Floats, Indices, Indices]:
    """The three parts of compressed sparse rows, of entries (1-D) or blocks (3-D)."""
    stored = np.asarray(values, dtype=np.float64)
    columns = _indices("columns", columns, n_columns)
    if stored.ndim != ndim or len(stored) != len(columns):
        raise ValueError(
            f"values must be {ndim}-D, with one entry for each of {len(columns)} columns, got "
            f"shape {stored.shape}"
        )
    starts = _indices("row_starts", row_starts, len(stored) + 1)
    if (
        len(starts) < 2
        or (starts[0], starts[-1]) != (0, len(stored))
        or (np.diff(starts) < 0).any()
    ):
        raise ValueError(f"row_starts must rise from 0 to {len(stored)}, got {starts}")
    return stored, columns, starts


def _indices(name: str, value: ArrayLike, end: int) -> Indices:
    numbers = np.asarray(value)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise ValueError(f"{name} must be a list of whole numbers, got {numbers}")
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < end:
        raise ValueError(f"{name} must be between 0 and {end - 1}, got {numbers}")
    return numbers.astype(np.int64)
