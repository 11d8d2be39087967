"""Masks, schedules and sparse storage on tensors: the twins of `sparsecourse.reference.pruning`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sparsecourse.functional.validation import finite_tensor
from sparsecourse.reference.pruning import POINTER_BITS
from sparsecourse.reference.validation import count, fraction


def magnitude_mask(w: Tensor, keep: float) -> Tensor:
    """Keep the share `keep` of the entries, those of largest size.

    Parameters
    ----------
    w : Tensor of any shape
    keep : float, 0 to 1
        ``round(keep * w.numel())`` entries stay, exactly; the earlier one where two tie.

    Returns
    -------
    mask : Tensor of bool, shape of `w`
        True where the entry stays.

    Raises
    ------
    ValueError
        If `keep` is no share, or on bad input.

    References
    ----------
    Han, Pool, Tran, Dally, Learning both weights and connections for efficient neural networks,
    NeurIPS 2015, section 3.
    """
    (mask,) = global_magnitude_masks([finite_tensor("w", w, least_ndim=0)], keep)
    return mask


def global_magnitude_masks(weights: Sequence[Tensor], keep: float) -> tuple[Tensor, ...]:
    """Rank the entries of several tensors together, and keep the share `keep` of all of them.

    Parameters
    ----------
    weights : sequence of Tensor of any shapes
        One for each layer, all on one device.
    keep : float, 0 to 1
        Of the entries of all tensors together, `keep` times their number stay, rounded; the
        earlier one, in the earlier tensor, where two tie.

    Returns
    -------
    masks : tuple of Tensor of bool, shapes of `weights`

    Raises
    ------
    ValueError
        If `keep` is no share, if there is no tensor, or on bad input.

    References
    ----------
    Zhu, Gupta, To prune, or not to prune, ICLR workshop 2018, section 3, rank layer by layer;
    Frankle, Carbin, The lottery ticket hypothesis, ICLR 2019, section 4, rank all together.
    """
    layers = _tensors(weights)
    sizes = torch.cat([w.detach().abs().reshape(-1) for w in layers])
    n_kept = round(fraction("keep", keep) * sizes.numel())
    mask = torch.zeros_like(sizes, dtype=torch.bool)
    if n_kept > 0:
        # Finding one rank is faster than sorting, and leaves only the ties with it to be settled.
        smallest = sizes.kthvalue(sizes.numel() - n_kept + 1).values
        mask = sizes > smallest
        ties = torch.nonzero(sizes == smallest).squeeze(-1)
        mask[ties[: n_kept - int(mask.sum())]] = True
    parts = torch.split(mask, [w.numel() for w in layers])
    return tuple(part.reshape(w.shape) for part, w in zip(parts, layers, strict=True))


def threshold_mask(w: Tensor, c: float) -> Tensor:
    """Keep the entries larger than `c` standard deviations of the layer.

    Parameters
    ----------
    w : Tensor of any shape
        Those weights of one layer that are still there.
    c : float, >= 0
        The quality parameter of the paper.

    Returns
    -------
    mask : Tensor of bool, shape of `w`
        ``|w| > c std(w)``, the deviation taken around the mean and over ``w.numel()``.

    Raises
    ------
    ValueError
        If `c` is negative or not finite, or on bad input.

    References
    ----------
    Han, Pool, Tran, Dally, Learning both weights and connections for efficient neural networks,
    NeurIPS 2015, section 4.
    """
    w = finite_tensor("w", w, least_ndim=0).detach()
    if not 0 <= c < math.inf:
        raise ValueError(f"c must be a number >= 0, got {c!r}")
    return w.abs() > c * w.std(correction=0)


def cubic_sparsity(
    t: int | Tensor, initial: float, final: float, start: int, updates: int, every: int
) -> Tensor:
    """Sparsity at step t: fast at first, while there is much to spare, and slower towards the end.

    ``s_t = s_f + (s_i - s_f) (1 - (t - t_0) / (n dt))^3`` from step t_0 to step t_0 + n dt.

    Parameters
    ----------
    t : int or Tensor of any shape
        Steps; `initial` is returned before `start`, and `final` after the last update.
    initial, final : float, 0 to 1, initial <= final
        s_i and s_f: shares of the weights that are zero.
    start : int, >= 0
        t_0, the step of the first update, which prunes to `initial`.
    updates : int, >= 1
        n: so many more follow.
    every : int, >= 1
        dt, the steps between two updates.

    Returns
    -------
    sparsity : Tensor of float64, shape of `t`

    Raises
    ------
    ValueError
        If a share is none, if the final one is smaller, if a number of steps is not whole or too
        small, or on bad input.

    References
    ----------
    Zhu, Gupta, To prune, or not to prune: exploring the efficacy of pruning for model compression,
    ICLR workshop 2018 (arXiv 2017), eq. (1).
    """
    t = finite_tensor("t", torch.as_tensor(t, dtype=torch.float64), least_ndim=0)
    s_i, s_f = fraction("initial", initial), fraction("final", final)
    if s_f < s_i:
        raise ValueError(
            f"final must be at least initial, {initial}, got {final}: what is pruned stays pruned"
        )
    steps = count("updates", updates) * count("every", every)
    if steps == 0:
        raise ValueError(f"updates and every must be >= 1, got {updates} and {every}")
    done = ((t - count("start", start)) / steps).clamp(0, 1)
    return s_f + (s_i - s_f) * (1 - done) ** 3


def dropout_ratio(ratio: float, connections: float | Tensor, left: float | Tensor) -> Tensor:
    """Drop fewer neurons where fewer connections are left: ``D_r = D_o sqrt(C_ir / C_io)``.

    Dropout acts on neurons. A layer between N_{i-1} and N_i neurons has C_i = N_i N_{i-1}
    connections, so their number goes with the square of the number of neurons.

    Parameters
    ----------
    ratio : float, 0 to 1
        D_o, with which the dense network was trained.
    connections : float or Tensor of any shape, > 0
        C_io, of the dense layers.
    left : float or Tensor, shape of `connections`
        C_ir, those that are retrained.

    Returns
    -------
    ratios : Tensor of float64, shape of `connections`

    Raises
    ------
    ValueError
        If `ratio` is no share, if a layer has no connections or more left than it had, or on bad
        input.

    References
    ----------
    Han, Pool, Tran, Dally, Learning both weights and connections for efficient neural networks,
    NeurIPS 2015, eqs. (1) and (2).
    """
    before, after = (torch.as_tensor(n, dtype=torch.float64) for n in (connections, left))
    before = finite_tensor("connections", before, least_ndim=0)
    after = finite_tensor("left", after, least_ndim=0)
    if (before <= 0).any():
        raise ValueError(f"connections must be > 0, got {before.min().item()}")
    if before.shape != after.shape or (after < 0).any() or (after > before).any():
        raise ValueError(f"left must be between 0 and connections, {before}, got {after}")
    return fraction("ratio", ratio) * (after / before).sqrt()


def compression_rate(weights: Sequence[Tensor]) -> Tensor:
    """Divide the number of entries by the number of those that are not zero.

    Parameters
    ----------
    weights : sequence of Tensor of any shapes
        Of all layers; with their biases for the rates of the paper's table 1.

    Returns
    -------
    rate : Tensor of float64, shape (), >= 1
        Infinity where all are zero.

    Raises
    ------
    ValueError
        If there is no tensor, or on bad input.

    References
    ----------
    Han, Pool, Tran, Dally, Learning both weights and connections for efficient neural networks,
    NeurIPS 2015, table 1.
    """
    layers = _tensors(weights)
    left = torch.stack([w.count_nonzero() for w in layers]).sum()
    return sum(w.numel() for w in layers) / left.to(torch.float64)


def encode(w: Tensor, index_bits: int) -> tuple[Tensor, Tensor]:
    """Write each entry that is not zero with its distance from the one before.

    A distance is a number from 1 to 2^b, which is what b bits can tell apart. Where an entry is
    farther away, a filler comes first: a zero, as far on as possible.

    Parameters
    ----------
    w : Tensor of any shape
        Read row by row.
    index_bits : int, 1 to 32
        b, of one distance.

    Returns
    -------
    values : Tensor, shape (n_entries,)
        The entries that are not zero, and the fillers.
    distances : Tensor of int64, shape (n_entries,), 1 to 2^b
        The first one is counted from before the tensor.

    Raises
    ------
    ValueError
        If `index_bits` is out of range, or on bad input.

    References
    ----------
    Han, Mao, Dally, Deep compression, ICLR 2016, section 2 and figure 2.
    """
    flat = finite_tensor("w", w, least_ndim=0).detach().reshape(-1)
    positions, n_entries = _entries(flat, index_bits)
    farthest = 2**index_bits
    last = n_entries.cumsum(0) - 1  # where each entry stands, behind its fillers
    total = int(n_entries.sum())
    values = flat.new_zeros(total)
    values[last] = flat[positions]
    distances = torch.full((total,), farthest, device=w.device)
    gaps = positions.diff(prepend=positions.new_tensor([-1]))
    distances[last] = gaps - (n_entries - 1) * farthest
    return values, distances


def decode(values: Tensor, distances: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Undo `encode`: walk along the tensor, and put each value where its distance leads.

    Parameters
    ----------
    values : Tensor, shape (n_entries,)
    distances : Tensor of int64, shape (n_entries,), >= 1
    shape : tuple of int
        Of the tensor.

    Returns
    -------
    w : Tensor, shape `shape`
        Equal to the tensor that was encoded. (A zero with a minus sign has lost it.)

    Raises
    ------
    ValueError
        If there is not one distance for each value, if a distance is no whole number >= 1, or if
        they lead out of the tensor.

    References
    ----------
    Han, Mao, Dally, Deep compression, ICLR 2016, section 2 and figure 2.
    """
    if values.ndim != 1 or values.shape != distances.shape:
        raise ValueError(
            "values and distances must be 1-D and of equal length, got shapes "
            f"{tuple(values.shape)} and {tuple(distances.shape)}"
        )
    if distances.numel() and (distances.dtype != torch.int64 or int(distances.min()) < 1):
        raise ValueError(f"distances must be whole numbers >= 1, got {distances}")
    flat = values.new_zeros(math.prod(shape))
    end = int(distances.sum())
    if end > flat.numel():
        raise ValueError(
            f"distances lead to entry {end}, a tensor of shape {shape} has {flat.numel()}"
        )
    flat[distances.cumsum(0) - 1] = values
    return flat.reshape(shape)


def relative_index_bytes(w: Tensor, index_bits: int, value_bits: int = 32) -> Tensor:
    """Count the bytes of what `encode` returns: the values, the distances, and no header.

    Parameters
    ----------
    w : Tensor of any shape
    index_bits : int, 1 to 32
        Of one distance.
    value_bits : int, 1 to 64
        Of one value, fillers included.

    Returns
    -------
    bytes : Tensor of int64, shape ()
        Values and distances are each filled up to whole bytes.

    Raises
    ------
    ValueError
        If a number of bits is out of range, or on bad input.

    References
    ----------
    Han, Mao, Dally, Deep compression, ICLR 2016, section 2.
    """
    w = finite_tensor("w", w, least_ndim=0)
    n_entries = _entries(w.reshape(-1), index_bits)[1].sum()
    return _bytes(n_entries * _bits("value_bits", value_bits, 64)) + _bytes(n_entries * index_bits)


def csr_bytes(w: Tensor, index_bits: int = 32, value_bits: int = 32) -> Tensor:
    """Count the bytes of compressed sparse rows: values, their columns, and where rows begin.

    Parameters
    ----------
    w : Tensor, shape (rows, ...)
        A convolution's filters are rows.
    index_bits : int, 16 or 32
        Of a column number, a signed integer. Where a row begins takes 32 bits in any case.
    value_bits : int, 1 to 64
        Of one value.

    Returns
    -------
    bytes : Tensor of int64, shape ()

    Raises
    ------
    ValueError
        If there are more columns than `index_bits` can number, or on bad input.

    References
    ----------
    Saad, Iterative methods for sparse linear systems, 2nd ed., section 3.4.
    """
    w = finite_tensor("w", w, least_ndim=2)
    rows, columns = len(w), w[0].numel()
    if index_bits not in (16, 32):
        raise ValueError(f"index_bits must be 16 or 32, got {index_bits!r}")
    if columns > 2 ** (index_bits - 1):
        raise ValueError(
            f"index_bits = {index_bits} can number {2 ** (index_bits - 1)} columns, w has "
            f"{columns}: take 32 bits"
        )
    entry = index_bits + _bits("value_bits", value_bits, 64)
    return _bytes(w.count_nonzero() * entry + (rows + 1) * POINTER_BITS)


def bitmask_bytes(w: Tensor, value_bits: int = 32) -> Tensor:
    """Count the bytes of the values that are not zero, and of one bit for each entry.

    Parameters
    ----------
    w : Tensor of any shape
    value_bits : int, 1 to 64
        Of one value.

    Returns
    -------
    bytes : Tensor of int64, shape ()
        Values and bits are each filled up to whole bytes.

    Raises
    ------
    ValueError
        If `value_bits` is out of range, or on bad input.

    References
    ----------
    Zhu, Gupta, To prune, or not to prune: exploring the efficacy of pruning for model compression,
    ICLR workshop 2018 (arXiv 2017), discussion.
    """
    left = finite_tensor("w", w, least_ndim=0).count_nonzero()
    return _bytes(left * _bits("value_bits", value_bits, 64)) + -(-w.numel() // 8)


def _tensors(weights: Sequence[Tensor]) -> list[Tensor]:
    if not len(weights):
        raise ValueError("weights must be a list of one or more tensors, got none")
    return [finite_tensor(f"weights[{i}]", w, least_ndim=0) for i, w in enumerate(weights)]


def _entries(flat: Tensor, index_bits: int) -> tuple[Tensor, Tensor]:
    """Where entries are not zero, and how many are written for each, fillers included."""
    positions = torch.nonzero(flat).squeeze(-1)
    gaps = positions.diff(prepend=positions.new_tensor([-1]))
    return positions, (gaps - 1) // 2 ** _bits("index_bits", index_bits) + 1


def _bits(name: str, value: int, at_most: int = 32) -> int:
    if not 1 <= count(name, value) <= at_most:
        raise ValueError(f"{name} must be between 1 and {at_most}, got {value!r}")
    return value


def _bytes(bits: Tensor) -> Tensor:
    return -(-bits // 8)
