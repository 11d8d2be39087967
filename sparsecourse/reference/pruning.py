"""Which weights to keep, how fast to take the others away, and what it costs to store the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsecourse.reference.validation import count, finite_array, fraction

Floats = NDArray[np.float64]
Masks = tuple[NDArray[np.bool_], ...]
ANY_SHAPE = tuple(range(33))
POINTER_BITS = 32  # where a row of CSR begins, whatever its column numbers take


def magnitude_mask(w: ArrayLike, keep: float) -> NDArray[np.bool_]:
    """Keep the share `keep` of the entries, those of largest size.

    Parameters
    ----------
    w : array_like of any shape
    keep : float, 0 to 1
        ``round(keep * w.size)`` entries stay, exactly; the earlier one where two tie.

    Returns
    -------
    mask : ndarray of bool, shape of `w`
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
    (mask,) = global_magnitude_masks([finite_array("w", w, ANY_SHAPE)], keep)
    return mask


def global_magnitude_masks(weights: Sequence[ArrayLike], keep: float) -> Masks:
    """Rank the entries of several arrays together, and keep the share `keep` of all of them.

    Parameters
    ----------
    weights : sequence of array_like of any shapes
        One for each layer.
    keep : float, 0 to 1
        Of the entries of all arrays together, `keep` times their number stay, rounded; the
        earlier one, in the earlier array, where two tie.

    Returns
    -------
    masks : tuple of ndarray of bool, shapes of `weights`

    Raises
    ------
    ValueError
        If `keep` is no share, if there is no array, or on bad input.

    References
    ----------
    Zhu, Gupta, To prune, or not to prune, ICLR workshop 2018, section 3, rank layer by layer;
    Frankle, Carbin, The lottery ticket hypothesis, ICLR 2019, section 4, rank all together.
    """
    layers = _arrays(weights)
    sizes = np.concatenate([np.abs(w).ravel() for w in layers])
    kept = np.argsort(-sizes, kind="stable")[: round(fraction("keep", keep) * sizes.size)]
    mask = np.zeros(sizes.size, dtype=bool)
    mask[kept] = True
    ends = np.cumsum([w.size for w in layers])[:-1]
    return tuple(
        part.reshape(w.shape) for part, w in zip(np.split(mask, ends), layers, strict=True)
    )


def threshold_mask(w: ArrayLike, c: float) -> NDArray[np.bool_]:
    """Keep the entries larger than `c` standard deviations of the layer.

    Parameters
    ----------
    w : array_like of any shape
        Those weights of one layer that are still there.
    c : float, >= 0
        The quality parameter of the paper.

    Returns
    -------
    mask : ndarray of bool, shape of `w`
        ``|w| > c std(w)``, the deviation taken around the mean and over ``w.size``.

    Raises
    ------
    ValueError
        If `c` is negative or not finite, or on bad input.

    References
    ----------
    Han, Pool, Tran, Dally, Learning both weights and connections for efficient neural networks,
    NeurIPS 2015, section 4.
    """
    w = finite_array("w", w, ANY_SHAPE)
    if not 0 <= c < np.inf:
        raise ValueError(f"c must be a number >= 0, got {c!r}")
    return np.abs(w) > c * np.std(w)


def cubic_sparsity(
    t: ArrayLike, initial: float, final: float, start: int, updates: int, every: int
) -> Floats:
    """Sparsity at step t: fast at first, while there is much to spare, and slower towards the end.

    ``s_t = s_f + (s_i - s_f) (1 - (t - t_0) / (n dt))^3`` from step t_0 to step t_0 + n dt.

    Parameters
    ----------
    t : int or array_like of any shape
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
    sparsity : ndarray of float64, shape of `t`

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
    t = finite_array("t", t, ANY_SHAPE)
    s_i, s_f = fraction("initial", initial), fraction("final", final)
    if s_f < s_i:
        raise ValueError(
            f"final must be at least initial, {initial}, got {final}: what is pruned stays pruned"
        )
    steps = count("updates", updates) * count("every", every)
    if steps == 0:
        raise ValueError(f"updates and every must be >= 1, got {updates} and {every}")
    done = np.clip((t - count("start", start)) / steps, 0, 1)
    return s_f + (s_i - s_f) * (1 - done) ** 3


def dropout_ratio(ratio: float, connections: ArrayLike, left: ArrayLike) -> Floats:
    """Drop fewer neurons where fewer connections are left: ``D_r = D_o sqrt(C_ir / C_io)``.

    Dropout acts on neurons. A layer between N_{i-1} and N_i neurons has C_i = N_i N_{i-1}
    connections, so their number goes with the square of the number of neurons.

    Parameters
    ----------
    ratio : float, 0 to 1
        D_o, with which the dense network was trained.
    connections : float or array_like of any shape, > 0
        C_io, of the dense layers.
    left : float or array_like, shape of `connections`
        C_ir, those that are retrained.

    Returns
    -------
    ratios : ndarray of float64, shape of `connections`

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
    before = finite_array("connections", connections, ANY_SHAPE)
    after = finite_array("left", left, ANY_SHAPE)
    if (before <= 0).any():
        raise ValueError(f"connections must be > 0, got {before.min()}")
    if before.shape != after.shape or (after < 0).any() or (after > before).any():
        raise ValueError(f"left must be between 0 and connections, {before}, got {after}")
    return fraction("ratio", ratio) * np.sqrt(after / before)


def compression_rate(weights: Sequence[ArrayLike]) -> float:
    """Divide the number of entries by the number of those that are not zero.

    Parameters
    ----------
    weights : sequence of array_like of any shapes
        Of all layers; with their biases for the rates of the paper's table 1.

    Returns
    -------
    rate : float, >= 1, of arrays of any shapes
        Infinity where all are zero.

    Raises
    ------
    ValueError
        If there is no array, or on bad input.

    References
    ----------
    Han, Pool, Tran, Dally, Learning both weights and connections for efficient neural networks,
    NeurIPS 2015, table 1.
    """
    layers = _arrays(weights)
    left = sum(np.count_nonzero(w) for w in layers)
    return sum(w.size for w in layers) / left if left > 0 else np.inf


def encode(w: ArrayLike, index_bits: int) -> tuple[Floats, NDArray[np.int64]]:
    """Write each entry that is not zero with its distance from the one before.

    A distance is a number from 1 to 2^b, which is what b bits can tell apart. Where an entry is
    farther away, a filler comes first: a zero, as far on as possible.

    Parameters
    ----------
    w : array_like of any shape
        Read row by row.
    index_bits : int, 1 to 32
        b, of one distance.

    Returns
    -------
    values : ndarray, shape (n_entries,)
        The entries that are not zero, and the fillers.
    distances : ndarray of int64, shape (n_entries,), 1 to 2^b
        The first one is counted from before the array.

    Raises
    ------
    ValueError
        If `index_bits` is out of range, or on bad input.

    References
    ----------
    Han, Mao, Dally, Deep compression, ICLR 2016, section 2 and figure 2.
    """
    flat = finite_array("w", w, ANY_SHAPE).ravel()
    farthest = 2 ** _bits("index_bits", index_bits)
    values, distances = [], []
    at = -1
    for position in np.flatnonzero(flat).tolist():
        while position - at > farthest:
            values.append(0.0)
            distances.append(farthest)
            at += farthest
        values.append(flat[position])
        distances.append(position - at)
        at = position
    return np.array(values, dtype=np.float64), np.array(distances, dtype=np.int64)


def decode(values: ArrayLike, distances: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Undo `encode`: walk along the array, and put each value where its distance leads.

    Parameters
    ----------
    values : array_like, shape (n_entries,)
    distances : array_like of int, shape (n_entries,), >= 1
    shape : tuple of int
        Of the array.

    Returns
    -------
    w : ndarray, shape `shape`
        Equal to the array that was encoded. (A zero with a minus sign has lost it.)

    Raises
    ------
    ValueError
        If there is not one distance for each value, if a distance is no whole number >= 1, or if
        they lead out of the array.

    References
    ----------
    Han, Mao, Dally, Deep compression, ICLR 2016, section 2 and figure 2.
    """
    values, distances = np.asarray(values, dtype=np.float64), np.asarray(distances)
    if values.ndim != 1 or values.shape != distances.shape:
        raise ValueError(
            "values and distances must be 1-D and of equal length, got shapes "
            f"{values.shape} and {distances.shape}"
        )
    if distances.size and (distances.dtype.kind not in "iu" or distances.min() < 1):
        raise ValueError(f"distances must be whole numbers >= 1, got {distances}")
    flat = np.zeros(prod(shape))
    end = int(distances.sum())
    if end > flat.size:
        raise ValueError(
            f"distances lead to entry {end}, an array of shape {shape} has {flat.size}"
        )
    at = -1
    for value, distance in zip(values, distances, strict=True):
        at += int(distance)
        flat[at] = value
    return flat.reshape(shape)


def relative_index_bytes(w: ArrayLike, index_bits: int, value_bits: int = 32) -> int:
    """Count the bytes of what `encode` returns: the values, the distances, and no header.

    Parameters
    ----------
    w : array_like of any shape
    index_bits : int, 1 to 32
        Of one distance.
    value_bits : int, 1 to 64
        Of one value, fillers included.

    Returns
    -------
    bytes : int, for an array of any shape
        Values and distances are each filled up to whole bytes.

    Raises
    ------
    ValueError
        If a number of bits is out of range, or on bad input.

    References
    ----------
    Han, Mao, Dally, Deep compression, ICLR 2016, section 2.
    """
    flat = finite_array("w", w, ANY_SHAPE).ravel()
    gaps = np.diff(np.flatnonzero(flat), prepend=-1)
    # An entry at the gap's end, and a filler for each full reach before it: a division rounded up.
    n_entries = int(np.sum(-(-gaps // 2 ** _bits("index_bits", index_bits))))
    return _bytes(n_entries * _bits("value_bits", value_bits, 64)) + _bytes(n_entries * index_bits)


def csr_bytes(w: ArrayLike, index_bits: int = 32, value_bits: int = 32) -> int:
    """Count the bytes of compressed sparse rows: values, their columns, and where rows begin.

    Parameters
    ----------
    w : array_like, shape (rows, ...)
        A convolution's filters are rows.
    index_bits : int, 16 or 32
        Of a column number, a signed integer. Where a row begins takes 32 bits in any case.
    value_bits : int, 1 to 64
        Of one value.

    Returns
    -------
    bytes : int, for an array of shape (rows, ...)

    Raises
    ------
    ValueError
        If there are more columns than `index_bits` can number, or on bad input.

    References
    ----------
    Saad, Iterative methods for sparse linear systems, 2nd ed., section 3.4.
    """
    w = finite_array("w", w, ANY_SHAPE[2:])
    rows, columns = len(w), w[0].size
    if index_bits not in (16, 32):
        raise ValueError(f"index_bits must be 16 or 32, got {index_bits!r}")
    if columns > 2 ** (index_bits - 1):
        raise ValueError(
            f"index_bits = {index_bits} can number {2 ** (index_bits - 1)} columns, w has "
            f"{columns}: take 32 bits"
        )
    entry = index_bits + _bits("value_bits", value_bits, 64)
    return _bytes(int(np.count_nonzero(w)) * entry + (rows + 1) * POINTER_BITS)


def bitmask_bytes(w: ArrayLike, value_bits: int = 32) -> int:
    """Count the bytes of the values that are not zero, and of one bit for each entry.

    Parameters
    ----------
    w : array_like of any shape
    value_bits : int, 1 to 64
        Of one value.

    Returns
    -------
    bytes : int, for an array of any shape
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
    w = finite_array("w", w, ANY_SHAPE)
    return _bytes(int(np.count_nonzero(w)) * _bits("value_bits", value_bits, 64)) + _bytes(w.size)


def break_even_sparsity(
    w: ArrayLike, stored_bytes: Callable[[Floats], int], value_bits: int = 32
) -> float:
    """Prune `w` by magnitude until it takes fewer bytes than a dense array.

    Parameters
    ----------
    w : array_like of any shape, without zeros
    stored_bytes : callable, array -> bytes
        A sparse format, as `csr_bytes`; it must not take more where more is zero.
    value_bits : int, 1 to 64
        Of a value of the dense array.

    Returns
    -------
    sparsity : float, 0 to 1, of an array of any shape
        The smallest share of zeros with which the sparse format is the smaller one; infinity
        where not even zeros alone are.

    Raises
    ------
    ValueError
        If `w` has zeros, or on bad input.

    References
    ----------
    Zhu, Gupta, To prune, or not to prune: exploring the efficacy of pruning for model compression,
    ICLR workshop 2018 (arXiv 2017), discussion.
    """
    w = finite_array("w", w, ANY_SHAPE)
    if not w.all():
        raise ValueError(f"w must be dense, got {np.count_nonzero(w == 0)} zeros")
    order = np.argsort(-np.abs(w), axis=None, kind="stable")
    dense = _bytes(w.size * _bits("value_bits", value_bits, 64))

    def is_smaller(pruned: int) -> bool:
        left = np.zeros(w.size)
        kept = order[: w.size - pruned]
        left[kept] = w.flat[kept]
        return stored_bytes(left.reshape(w.shape)) < dense

    low, high = 0, w.size
    if not is_smaller(high):
        return np.inf
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_smaller(middle) else (middle + 1, high)
    return low / w.size


def _arrays(weights: Sequence[ArrayLike]) -> list[Floats]:
    if not len(weights):
        raise ValueError("weights must be a list of one or more arrays, got none")
    return [finite_array(f"weights[{i}]", w, ANY_SHAPE) for i, w in enumerate(weights)]


def _bits(name: str, value: int, at_most: int = 32) -> int:
    if not 1 <= count(name, value) <= at_most:
        raise ValueError(f"{name} must be between 1 and {at_most}, got {value!r}")
    return value


def _bytes(bits: int) -> int:
    return -(-bits // 8)
