"""Structured masks on tensors: the twins of `sparsecourse.reference.structured_masks`."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from sparsecourse.functional.pruning import magnitude_mask
from sparsecourse.functional.validation import finite_tensor
from sparsecourse.reference.sparse_matrix import block_shape
from sparsecourse.reference.validation import count


class Density(NamedTuple):
    """Shares of entries that are not zero, and of rows and columns that are zero throughout."""

    entries: Tensor
    rows: Tensor
    columns: Tensor
    zero_rows: Tensor
    zero_columns: Tensor


def density(W: Tensor) -> Density:
    """Count which share of a matrix is not zero: in all, by row and by column.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)

    Returns
    -------
    density : Density
        Of float64: `entries`, the share of all entries; `rows`, shape (n_rows,), and `columns`,
        shape (n_columns,), the share in each; `zero_rows` and `zero_columns`, the shares of rows
        and of columns without any: the row and column sparsity of the reference.

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Wen, Wu, Wang, Chen, Li, Learning structured sparsity in deep neural networks, NeurIPS 2016,
    section 4.
    """
    is_left = (_matrix(W) != 0).to(torch.float64)
    rows, columns = is_left.mean(dim=1), is_left.mean(dim=0)
    zero_rows, zero_columns = ((part == 0).to(torch.float64).mean() for part in (rows, columns))
    return Density(is_left.mean(), rows, columns, zero_rows, zero_columns)


def block_mask(W: Tensor, keep: float, block: tuple[int, int]) -> Tensor:
    """Keep the share `keep` of the blocks, those of largest norm, and all of each.

    Blocks of shape (1, n_columns) are rows, of shape (n_rows, 1) columns, of shape (1, 1) weights.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    keep : float, 0 to 1
        ``round(keep * n_blocks)`` blocks stay, exactly; where two tie the earlier one, read row by
        row.
    block : tuple of int, >= 1
        Height and width of a block, which divide the shape of `W`.

    Returns
    -------
    mask : Tensor of bool, shape of `W`
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
    W = _matrix(W)
    height, width = block_shape(block, tuple(W.shape))
    parts = W.to(torch.float64).reshape(len(W) // height, height, -1, width)
    norms = parts.square().sum(dim=(1, 3)).sqrt()
    kept = magnitude_mask(norms, keep)
    return kept.repeat_interleave(height, dim=0).repeat_interleave(width, dim=1)


def n_of_m_mask(W: Tensor, n: int = 2, m: int = 4) -> Tensor:
    """Keep the n largest of each m weights in a row: 2:4 is what sparse tensor cores multiply.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    n : int, 0 to m
        So many stay of each m, exactly; the earlier one where two tie.
    m : int, >= 1
        Consecutive weights of a row, from its first. It divides the number of columns.

    Returns
    -------
    mask : Tensor of bool, shape of `W`

    Raises
    ------
    ValueError
        If `m` does not divide the columns, if `n` is more than `m`, or on bad input.

    References
    ----------
    Mishra et al., Accelerating sparse deep neural networks, 2021.
    """
    W = _matrix(W)
    if count("m", m) == 0 or W.shape[1] % m:
        raise ValueError(f"m must divide the columns of W, of shape {tuple(W.shape)}, got {m}")
    if count("n", n) > m:
        raise ValueError(f"n must be at most m, {m}, got {n}")
    sizes = W.abs().reshape(-1, m)
    largest = sizes.sort(dim=1, descending=True, stable=True).indices[:, :n]
    mask = torch.zeros_like(sizes, dtype=torch.bool)
    return mask.scatter_(1, largest, True).reshape(W.shape)


def regular_block_sizes(W: Tensor, keep: float) -> Tensor:
    """Choose the block size of each row by its density: smaller blocks where more weights matter.

    A row's density is what is left of it when the share `keep` of all weights stays, the largest.
    One weight of each block will stay, so the size is 1 / density, as a power of two, which is
    what hardware can decode with shifts.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    keep : float, 0 to 1

    Returns
    -------
    sizes : Tensor of int64, shape (n_rows,)
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
    W = _matrix(W)
    n_columns = W.shape[1]
    left = magnitude_mask(W, keep).sum(dim=1)
    one_block = math.ceil(math.log2(n_columns))
    exponents = (n_columns / left.clamp(min=1).to(torch.float64)).log2().round().to(torch.int64)
    return 2 ** exponents.where(left > 0, one_block)


def regular_block_mask(W: Tensor, sizes: int | Tensor) -> Tensor:
    """Keep the largest weight of each block of a row (block-max weight masking).

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    sizes : int or Tensor of int64, shape (n_rows,), >= 1
        The number of consecutive weights in a block, from the first of a row: one for all rows, or
        one for each, as `regular_block_sizes` gives. The last block of a row takes what is left
        over, and keeps one weight as well.

    Returns
    -------
    mask : Tensor of bool, shape of `W`
        True at the largest weight of each block, the earlier one where two tie.

    Raises
    ------
    ValueError
        If a size is no whole number >= 1, if there is not one for each row, or on bad input.

    References
    ----------
    Ren et al., DARB: a density-adaptive regular-block pruning for deep neural networks, AAAI 2020.
    """
    W = _matrix(W)
    size_of = torch.as_tensor(sizes, device=W.device)
    if (
        size_of.dtype != torch.int64
        or tuple(size_of.shape) not in ((), (len(W),))
        or (size_of < 1).any()
    ):
        raise ValueError(
            f"sizes must be a whole number >= 1, or one for each of {len(W)} rows, got {sizes}"
        )
    size_of = size_of.expand(len(W))
    mask = torch.zeros_like(W, dtype=torch.bool)
    for size in set(size_of.tolist()):  # all rows of one size at once
        rows = torch.nonzero(size_of == size).squeeze(-1)
        width = min(size, W.shape[1])
        # The last block is filled up with what is never the largest.
        blocks = pad(W[rows].abs(), (0, -W.shape[1] % width), value=-1.0)
        blocks = blocks.reshape(len(rows), -1, width)
        starts = torch.arange(0, W.shape[1], width, device=W.device)
        mask[rows.unsqueeze(-1), starts + blocks.argmax(dim=2)] = True
    return mask


def retained_weight_difference(W: Tensor, mask: Tensor) -> Tensor:
    """How much smaller are the weights that a mask keeps than the largest ones, as many?

    ``|m_irregular - m_mask| / m_irregular``, where m is the mean size of the weights that stay.

    The reference writes W with a bar. That the bar is the mean size is our reading, and fits its
    table: of random weights, one of each block of ten kept, the difference is 4.3 % where they are
    uniform and 8.9 % where they are normal; the table has 4.3 % twice, 8.8 % and 8.9 %.

    Parameters
    ----------
    W : Tensor of any number of dimensions, shape (n_rows, ...)
    mask : Tensor of bool, shape of `W`
        True where a weight stays; at least one does.

    Returns
    -------
    difference : Tensor of float64, shape (), 0 to 1
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
    sizes = finite_tensor("W", W, least_ndim=1).detach().abs()
    if mask.shape != sizes.shape or mask.dtype != torch.bool or not mask.any():
        raise ValueError(
            f"mask must be of bool, of shape {tuple(sizes.shape)}, and keep a weight, got "
            f"{mask.dtype} of shape {tuple(mask.shape)} that keeps {int(mask.count_nonzero())}"
        )
    retained = sizes[mask]
    largest = sizes.flatten().topk(len(retained)).values.mean(dtype=torch.float64)
    difference = (largest - retained.mean(dtype=torch.float64)).abs() / largest
    return difference.where(largest > 0, 0.0)


def _matrix(W: Tensor) -> Tensor:
    if finite_tensor("W", W, least_ndim=2).ndim != 2:
        raise ValueError(f"W must be 2-D, got shape {tuple(W.shape)}")
    return W.detach()
