"""Sparse formats and products on tensors: the twins of `sparsecourse.reference.sparse_matrix`.

The products can be differentiated with respect to the values and to X.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

from sparsecourse.functional.validation import finite_tensor
from sparsecourse.reference.sparse_matrix import block_shape
from sparsecourse.reference.validation import count


def to_csr(W: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Write a matrix as compressed sparse rows: its entries, their columns, where rows start.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)

    Returns
    -------
    values : Tensor, shape (n_entries,)
        The entries that are not zero, row by row.
    columns : Tensor of int64, shape (n_entries,)
        The column of each.
    row_starts : Tensor of int64, shape (n_rows + 1,)
        Row i has entries ``row_starts[i]`` to ``row_starts[i + 1] - 1``.

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Saad, Iterative methods for sparse linear systems, 2nd ed., section 3.4.
    """
    W = _matrix(W)
    rows, columns = torch.nonzero(W, as_tuple=True)
    return W[rows, columns], columns, _row_starts(W != 0)


def csr_matmul(values: Tensor, columns: Tensor, row_starts: Tensor, X: Tensor) -> Tensor:
    """Multiply compressed sparse rows with a vector or a matrix: ``Y[i] = sum_j W[i, j] X[j]``.

    Only the j of entries that are not zero are visited. Each asks for another row of X, wherever
    that lies in memory.

    Parameters
    ----------
    values : Tensor, shape (n_entries,)
    columns : Tensor of int64, shape (n_entries,)
    row_starts : Tensor of int64, shape (n_rows + 1,)
        What `to_csr` gives.
    X : Tensor, shape (n_columns,) or (n_columns, n_products)

    Returns
    -------
    Y : Tensor, shape (n_rows,) or (n_rows, n_products)

    Raises
    ------
    ValueError
        If the three parts do not fit each other, if a column is none of W, whose columns are as
        many as X has rows, or on bad input.

    References
    ----------
    Saad, Iterative methods for sparse linear systems, 2nd ed., section 3.5.
    """
    X = _operand(X, values)
    _check_stored_rows(values, columns, row_starts, 1, len(X))
    # A bag of embeddings is a weighted sum of rows, and so is a row of Y. (`index_add` is far
    # slower on CPU, and PyTorch's own sparse tensors warn that they are not ready.)
    Y = embedding_bag(
        columns,
        X.reshape(len(X), -1),
        row_starts,
        mode="sum",
        per_sample_weights=values,
        include_last_offset=True,
    )
    return Y.reshape(-1, *X.shape[1:])


def to_bsr(W: Tensor, block: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Write a matrix as block compressed sparse rows: one column number for a whole block.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    block : tuple of int, >= 1
        Height and width of a block, which divide the shape of `W`.

    Returns
    -------
    values : Tensor, shape (n_blocks, height, width)
        The blocks that hold an entry that is not zero, with their zeros.
    columns : Tensor of int64, shape (n_blocks,)
        The column of each, counted in blocks.
    row_starts : Tensor of int64, shape (n_rows / height + 1,)
        Row i of blocks has blocks ``row_starts[i]`` to ``row_starts[i + 1] - 1``.

    Raises
    ------
    ValueError
        If blocks do not divide the shape (fill `W` up with zeros then), or on bad input.

    References
    ----------
    Gray, Radford, Kingma, GPU kernels for block-sparse weights, 2017.
    """
    W = _matrix(W)
    height, width = block_shape(block, tuple(W.shape))
    parts = W.reshape(len(W) // height, height, -1, width).transpose(1, 2)
    is_stored = (parts != 0).flatten(2).any(dim=2)
    rows, columns = torch.nonzero(is_stored, as_tuple=True)
    return parts[rows, columns], columns, _row_starts(is_stored)


def bsr_matmul(values: Tensor, columns: Tensor, row_starts: Tensor, X: Tensor) -> Tensor:
    """Multiply block compressed sparse rows: a small dense product for each block.

    Parameters
    ----------
    values : Tensor, shape (n_blocks, height, width)
    columns : Tensor of int64, shape (n_blocks,)
    row_starts : Tensor of int64, shape (n_rows / height + 1,)
        What `to_bsr` gives.
    X : Tensor, shape (n_columns,) or (n_columns, n_products)

    Returns
    -------
    Y : Tensor, shape (n_rows,) or (n_rows, n_products)

    Raises
    ------
    ValueError
        If the three parts do not fit each other, if blocks do not divide the rows of X, if a
        column is none of W, or on bad input.

    References
    ----------
    Gray, Radford, Kingma, GPU kernels for block-sparse weights, 2017.
    """
    X = _operand(X, values)
    _, width = block_shape(tuple(values.shape[1:]), (0, len(X)))
    _check_stored_rows(values, columns, row_starts, 3, len(X) // width)
    rows_of_X = X.reshape(len(X) // width, width, -1)
    n_blocks = row_starts.diff().tolist()
    # One product for each row of blocks: the blocks side by side, and the rows of X that they ask
    # for below each other. It is faster than one for each block, and needs less memory.
    products = [
        blocks.transpose(0, 1).flatten(1) @ rows_of_X[at].flatten(0, 1)
        for blocks, at in zip(
            torch.split(values, n_blocks), torch.split(columns, n_blocks), strict=True
        )
    ]
    return torch.cat(products).reshape(-1, *X.shape[1:])


def to_bitmask(W: Tensor) -> tuple[Tensor, Tensor]:
    """Write a matrix as one bit for each entry, and the entries that are not zero.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)

    Returns
    -------
    values : Tensor, shape (n_entries,)
        The entries that are not zero, row by row.
    mask : Tensor of bool, shape of `W`
        Where they are. (PyTorch spends a byte on each; a file or a kernel would spend a bit.)

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Zhu, Gupta, To prune, or not to prune: exploring the efficacy of pruning for model compression,
    ICLR workshop 2018 (arXiv 2017), discussion.
    """
    W = _matrix(W)
    mask = W != 0
    return W[mask], mask


def bitmask_matmul(values: Tensor, mask: Tensor, X: Tensor) -> Tensor:
    """Multiply a matrix stored as a bitmask: read all bits, and take the next value at each 1.

    Parameters
    ----------
    values : Tensor, shape (n_entries,)
    mask : Tensor of bool, shape (n_rows, n_columns)
        What `to_bitmask` gives.
    X : Tensor, shape (n_columns,) or (n_columns, n_products)

    Returns
    -------
    Y : Tensor, shape (n_rows,) or (n_rows, n_products)

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
    X = _operand(X, values)
    if mask.ndim != 2 or mask.dtype != torch.bool or mask.shape[1] != len(X):
        raise ValueError(
            f"mask must be of bool and have {len(X)} columns, one for each row of X, got "
            f"{mask.dtype} of shape {tuple(mask.shape)}"
        )
    n_entries = int(mask.sum())
    if values.shape != (n_entries,):
        raise ValueError(
            f"values must have shape ({n_entries},), one for each 1 of mask, got "
            f"{tuple(values.shape)}"
        )
    return X.new_zeros(mask.shape).masked_scatter(mask, values) @ X


def rows_and_columns(W: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Take the rows and columns of zeros away: what is left is a smaller dense matrix.

    A product with it needs ``small.numel() / W.numel()`` of the multiply-adds, and no kernel but
    that of dense matrices.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)

    Returns
    -------
    small : Tensor, shape (n_rows_left, n_columns_left)
    rows : Tensor of int64, shape (n_rows_left,)
        Where the rows that are left were in `W`.
    columns : Tensor of int64, shape (n_columns_left,)
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
    W = _matrix(W)
    rows, columns = (torch.nonzero((W != 0).any(dim=dim)).squeeze(-1) for dim in (1, 0))
    return W[rows][:, columns], rows, columns


def rows_and_columns_matmul(
    small: Tensor, rows: Tensor, columns: Tensor, n_rows: int, X: Tensor
) -> Tensor:
    """Multiply with what `rows_and_columns` left: gather rows of X, multiply, scatter rows of Y.

    Parameters
    ----------
    small : Tensor, shape (n_rows_left, n_columns_left)
    rows : Tensor of int64, shape (n_rows_left,)
    columns : Tensor of int64, shape (n_columns_left,)
        What `rows_and_columns` gives.
    n_rows : int
        Of the matrix before.
    X : Tensor, shape (n_columns,) or (n_columns, n_products)

    Returns
    -------
    Y : Tensor, shape (n_rows,) or (n_rows, n_products)

    Raises
    ------
    ValueError
        If the parts do not fit each other, if a row or column is none of W, or on bad input.

    References
    ----------
    Wen, Wu, Wang, Chen, Li, Learning structured sparsity in deep neural networks, NeurIPS 2016,
    section 3.3.
    """
    X = _operand(X, small)
    _check_indices("rows", rows, count("n_rows", n_rows))
    _check_indices("columns", columns, len(X))
    if small.shape != (len(rows), len(columns)):
        raise ValueError(
            f"small must have a row for each of {len(rows)} rows and a column for each of "
            f"{len(columns)} columns, got shape {tuple(small.shape)}"
        )
    if (rows.diff() <= 0).any():
        raise ValueError(f"rows must increase, got {rows.tolist()}")
    return X.new_zeros(n_rows, *X.shape[1:]).index_copy(0, rows, small @ X[columns])


def _matrix(W: Tensor) -> Tensor:
    if finite_tensor("W", W, least_ndim=2).ndim != 2:
        raise ValueError(f"W must be 2-D, got shape {tuple(W.shape)}")
    return W.detach()


def _operand(X: Tensor, stored: Tensor) -> Tensor:
    """What a stored matrix is multiplied with: a vector or a matrix of its dtype and device."""
    if finite_tensor("X", X, least_ndim=1).ndim > 2:
        raise ValueError(f"X must be 1-D or 2-D, got shape {tuple(X.shape)}")
    if (X.dtype, X.device) != (stored.dtype, stored.device):
        raise ValueError(
            f"X must be {stored.dtype} on {stored.device} like what is stored, got {X.dtype} on "
            f"{X.device}"
        )
    return X


def _row_starts(is_stored: Tensor) -> Tensor:
    return pad(is_stored.sum(dim=1).cumsum(0), (1, 0))


def _check_stored_rows(
    values: Tensor, columns: Tensor, row_starts: Tensor, ndim: int, n_columns: int
) -> None:
    """The three parts of compressed sparse rows, of entries (1-D) or blocks (3-D)."""
    _check_indices("columns", columns, n_columns)
    if values.ndim != ndim or len(values) != len(columns):
        raise ValueError(
            f"values must be {ndim}-D, with one entry for each of {len(columns)} columns, got "
            f"shape {tuple(values.shape)}"
        )
    _check_indices("row_starts", row_starts, len(values) + 1)
    ends = row_starts[[0, -1]].tolist() if len(row_starts) > 1 else []
    if ends != [0, len(values)] or (row_starts.diff() < 0).any():
        raise ValueError(f"row_starts must rise from 0 to {len(values)}, got {row_starts.tolist()}")


def _check_indices(name: str, value: Tensor, end: int) -> None:
    if value.ndim != 1 or value.dtype != torch.int64:
        raise ValueError(
            f"{name} must be 1-D of int64, got {value.dtype} of shape {tuple(value.shape)}"
        )
    if value.numel() and not 0 <= int(value.min()) <= int(value.max()) < end:
        raise ValueError(f"{name} must be between 0 and {end - 1}, got {value.tolist()}")
