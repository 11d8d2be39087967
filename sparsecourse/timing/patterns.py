"""Where the zeros of a pruned matrix are: anywhere, in blocks, in whole rows and columns.

Each pattern keeps the largest weights that it can, as the masks of the course do, and comes as near
to the wanted share of zeros as its shape allows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad

from sparsecourse.functional import structured_masks
from sparsecourse.functional.pruning import magnitude_mask
from sparsecourse.reference.validation import fraction


def scattered_mask(W: Tensor, sparsity: float) -> Tensor:
    """Zeros anywhere: what the pruning of single weights leaves.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    sparsity : float, 0 to 1

    Returns
    -------
    mask : Tensor of bool, shape of `W`
        True where a weight stays.

    Raises
    ------
    ValueError
        On bad input.
    """
    return magnitude_mask(W, 1 - fraction("sparsity", sparsity))


def block_mask(W: Tensor, sparsity: float, size: int) -> Tensor:
    """Zeros in square blocks; those at the edges are cut off where `size` does not divide `W`.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    sparsity : float, 0 to 1
        The share of blocks that go.
    size : int
        Height and width of a block.

    Returns
    -------
    mask : Tensor of bool, shape of `W`
        True where a weight stays.

    Raises
    ------
    ValueError
        On bad input.
    """
    keep = 1 - fraction("sparsity", sparsity)
    mask = structured_masks.block_mask(whole_blocks(W, size), keep, (size, size))
    return mask[: W.shape[0], : W.shape[1]]


def whole_blocks(W: Tensor, size: int) -> Tensor:
    """Fill a matrix up with zeros, so that square blocks divide it.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    size : int, >= 1

    Returns
    -------
    filled : Tensor
    """
    rows, columns = (-length % size for length in W.shape)
    return pad(W, (0, columns, 0, rows))


def regular_block_mask(W: Tensor, sparsity: float) -> Tensor:
    """One weight stays in each block of consecutive weights of a row.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    sparsity : float, 0 to 1
        Blocks have ``1 / (1 - sparsity)`` weights, rounded, so there are sparsities of 0, 1/2, 2/3
        and so on. A row keeps at least one weight.

    Returns
    -------
    mask : Tensor of bool, shape of `W`
        True where a weight stays.

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Ren et al., DARB: a density-adaptive regular-block pruning for deep neural networks, AAAI 2020.
    """
    keep = max(1 - fraction("sparsity", sparsity), 1 / W.shape[1])
    return structured_masks.regular_block_mask(W, round(1 / keep))


def two_of_four_mask(W: Tensor, sparsity: float) -> Tensor:
    """Two weights stay of each four in a row: what sparse tensor cores multiply.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
        The last weights of a row that are no four any more keep two as well.
    sparsity : float, 0 to 1
        Has no influence: it is always 1/2.

    Returns
    -------
    mask : Tensor of bool, shape of `W`
        True where a weight stays.

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Mishra et al., Accelerating sparse deep neural networks, 2021.
    """
    fraction("sparsity", sparsity)
    filled = pad(W, (0, -W.shape[1] % 4))
    return structured_masks.n_of_m_mask(filled, 2, 4)[:, : W.shape[1]]


def row_and_column_mask(W: Tensor, row_sparsity: float, column_sparsity: float) -> Tensor:
    """Whole rows and columns of zeros, those of smallest norm: what structured pruning leaves.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    row_sparsity, column_sparsity : float, 0 to 1
        Shares of the rows and of the columns that go, each rounded to a whole number.

    Returns
    -------
    mask : Tensor of bool, shape of `W`
        True where a weight stays.

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Wen, Wu, Wang, Chen, Li, Learning structured sparsity in deep neural networks, NeurIPS 2016,
    section 3.3.
    """
    n_rows, n_columns = W.shape
    rows = 1 - fraction("row_sparsity", row_sparsity)
    columns = 1 - fraction("column_sparsity", column_sparsity)
    return structured_masks.block_mask(W, rows, (1, n_columns)) & structured_masks.block_mask(
        W, columns, (n_rows, 1)
    )


def equal_row_and_column_mask(W: Tensor, sparsity: float) -> Tensor:
    """As `row_and_column_mask`, with the same share of rows as of columns.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    sparsity : float, 0 to 1
        Of the matrix. What stays of it is the square of what stays of its rows.

    Returns
    -------
    mask : Tensor of bool, shape of `W`
        True where a weight stays.

    Raises
    ------
    ValueError
        On bad input.
    """
    of_each = 1 - math.sqrt(1 - fraction("sparsity", sparsity))
    return row_and_column_mask(W, of_each, of_each)


def nothing_pruned(W: Tensor, sparsity: float) -> Tensor:
    """Every weight stays, as quantisation leaves them.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    sparsity : float
        Has no influence: it is always 0.

    Returns
    -------
    mask : Tensor of bool, shape of `W`
        True throughout.
    """
    return torch.ones_like(W, dtype=torch.bool)


PATTERNS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "scattered": scattered_mask,
    "4x4 blocks": partial(block_mask, size=4),
    "16x16 blocks": partial(block_mask, size=16),
    "regular blocks": regular_block_mask,
    "2:4": two_of_four_mask,
    "none": nothing_pruned,
    "rows and columns": equal_row_and_column_mask,
}
