"""What the functions of exercise 09 must do, and mistakes that must be noticed."""

from math import ceil

import numpy as np

from sparsecourse.grading.checks import Check
from sparsecourse.reference import sparse_matrix, structured_masks
from sparsecourse.reference.pruning import bitmask_bytes, magnitude_mask


def to_csr(W):
    return sparse_matrix.to_csr(W)


def empty_rows_skipped(W):
    return to_csr(W[W.any(axis=1)]) if W.any() else (np.zeros(0), np.zeros(0), np.zeros(1))


def end_of_the_last_row_forgotten(W):
    values, columns, row_starts = to_csr(W)
    return values, columns, row_starts[:-1]


def lengths_of_rows_instead_of_starts(W):
    values, columns, row_starts = to_csr(W)
    return values, columns, np.diff(row_starts, prepend=0)


def row_of_each_entry(W):
    """Coordinates: a row number with each entry."""
    values, columns, _ = to_csr(W)
    return values, columns, np.nonzero(W)[0]


def column_by_column(W):
    return to_csr(W.T)


def place_in_the_flattened_matrix(W):
    values, _, row_starts = to_csr(W)
    return values, np.flatnonzero(W), row_starts


def counted_from_1(W):
    values, columns, row_starts = to_csr(W)
    return values, columns + 1, row_starts


def negative_entries_lost(W):
    return to_csr(np.maximum(W, 0))


def csr_products(values, columns, row_starts, x, u):
    forward = sparse_matrix.csr_matmul(values, columns, row_starts, x)
    return forward, from_rows(values, columns, row_starts, len(x)).T @ u


def from_rows(values, columns, row_starts, n_columns):
    """The dense matrix: a product with the unit matrix."""
    return sparse_matrix.csr_matmul(values, columns, row_starts, np.eye(n_columns))


def rows_summed_by_reduceat(values, columns, row_starts, x, u):
    """An empty row gets the first product of the next one."""
    products = np.append(values * x[columns], 0)
    y = np.add.reduceat(products, row_starts[:-1])
    return y, csr_products(values, columns, row_starts, x, u)[1]


def added_once_to_each_column(values, columns, row_starts, x, u):
    """What ``z[columns] += ...`` does: of several entries of a column, the last one counts."""
    y, z = csr_products(values, columns, row_starts, x, u)[0], np.zeros(len(x))
    z[columns] += values * np.repeat(u, np.diff(row_starts))
    return y, z


def columns_not_looked_up(values, columns, row_starts, x, u):
    """The entries of a row meet the first entries of x."""
    places = np.concatenate([np.arange(n) for n in np.diff(row_starts)])
    return csr_products(values, places.astype(np.int64), row_starts, x, u)


def products_exchanged(values, columns, row_starts, x, u):
    return csr_products(values, columns, row_starts, x, u)[::-1]


def as_long_as_the_last_column_stored(values, columns, row_starts, x, u):
    y, z = csr_products(values, columns, row_starts, x, u)
    return y, z[: columns.max(initial=-1) + 1]


def last_row_left_out(values, columns, row_starts, x, u):
    y, _ = csr_products(values, columns, row_starts, x, u)
    W = from_rows(values, columns, row_starts, len(x))
    return np.append(y[:-1], 0), W[:-1].T @ u[:-1]


def overwritten_instead_of_added(values, columns, row_starts, x, u):
    y = np.zeros(len(u))
    for i in range(len(u)):
        for k in range(row_starts[i], row_starts[i + 1]):
            y[i] = values[k] * x[columns[k]]
    return y, csr_products(values, columns, row_starts, x, u)[1]


def stored_bytes(W, value_bits, index_bits, start_bits):
    return csr_counted(W, value_bits, np.count_nonzero(W) * index_bits, (len(W) + 1) * start_bits)


def csr_counted(W, value_bits, *index_parts):
    """Of dense, compressed rows with these index parts, in bits, and bitmask."""
    values = ceil(np.count_nonzero(W) * value_bits / 8)
    csr = values + sum(ceil(bits / 8) for bits in index_parts)
    return ceil(W.size * value_bits / 8), csr, bitmask_bytes(W, value_bits)


def index_not_counted(W, value_bits, index_bits, start_bits):
    return csr_counted(W, value_bits)


def columns_not_counted(W, value_bits, index_bits, start_bits):
    return csr_counted(W, value_bits, (len(W) + 1) * start_bits)


def starts_not_counted(W, value_bits, index_bits, start_bits):
    return csr_counted(W, value_bits, np.count_nonzero(W) * index_bits)


def one_start_for_each_row(W, value_bits, index_bits, start_bits):
    return csr_counted(W, value_bits, np.count_nonzero(W) * index_bits, len(W) * start_bits)


def a_start_for_each_column(W, value_bits, index_bits, start_bits):
    starts = (W.shape[1] + 1) * start_bits
    return csr_counted(W, value_bits, np.count_nonzero(W) * index_bits, starts)


def row_and_column_for_each_entry(W, value_bits, index_bits, start_bits):
    return csr_counted(W, value_bits, 2 * np.count_nonzero(W) * index_bits)


def bits_instead_of_bytes(W, value_bits, index_bits, start_bits):
    n = int(np.count_nonzero(W))
    csr = n * (value_bits + index_bits) + (len(W) + 1) * start_bits
    return W.size * value_bits, csr, n * value_bits + W.size


def rounded_down(W, value_bits, index_bits, start_bits):
    n = int(np.count_nonzero(W))
    values = n * value_bits // 8
    csr = values + n * index_bits // 8 + (len(W) + 1) * start_bits // 8
    return W.size * value_bits // 8, csr, values + W.size // 8


def a_byte_for_each_bit_of_the_mask(W, value_bits, index_bits, start_bits):
    dense, csr, _ = stored_bytes(W, value_bits, index_bits, start_bits)
    return dense, csr, ceil(np.count_nonzero(W) * value_bits / 8) + W.size


def mask_of_the_entries_alone(W, value_bits, index_bits, start_bits):
    """One bit for each entry that is stored."""
    dense, csr, _ = stored_bytes(W, value_bits, index_bits, start_bits)
    n = np.count_nonzero(W)
    return dense, csr, ceil(n * value_bits / 8) + ceil(n / 8)


def break_even(n_rows, n_columns, value_bits, index_bits, start_bits):
    starts = (n_rows + 1) * start_bits
    return densities(n_rows * n_columns, value_bits, index_bits, starts)


def densities(size, value_bits, index_bits, starts):
    """Where the lines of bits over density cross: each is a slope and an intercept."""
    dense = 0, size * value_bits
    csr = size * (value_bits + index_bits), starts
    bitmask = size * value_bits, size
    pairs = (csr, dense), (bitmask, dense), (csr, bitmask)
    return tuple(max(0.0, (b[1] - a[1]) / (a[0] - b[0])) for a, b in pairs)


def indices_forgotten(n_rows, n_columns, value_bits, index_bits, start_bits):
    starts = (n_rows + 1) * start_bits
    _, second, third = break_even(n_rows, n_columns, value_bits, index_bits, start_bits)
    size = n_rows * n_columns
    return max(0.0, (size * value_bits - starts) / (size * value_bits)), second, third


def row_starts_forgotten(n_rows, n_columns, value_bits, index_bits, start_bits):
    return densities(n_rows * n_columns, value_bits, index_bits, 0)


def one_start_too_few(n_rows, n_columns, value_bits, index_bits, start_bits):
    return densities(n_rows * n_columns, value_bits, index_bits, n_rows * start_bits)


def sparsities_instead_of_densities(n_rows, n_columns, value_bits, index_bits, start_bits):
    return tuple(1 - d for d in break_even(n_rows, n_columns, value_bits, index_bits, start_bits))


def negative_densities(n_rows, n_columns, value_bits, index_bits, start_bits):
    size, starts = n_rows * n_columns, (n_rows + 1) * start_bits
    return (
        (size * value_bits - starts) / (size * (value_bits + index_bits)),
        1 - 1 / value_bits,
        (size - starts) / (size * index_bits),
    )


def entries_instead_of_shares(n_rows, n_columns, value_bits, index_bits, start_bits):
    shares = break_even(n_rows, n_columns, value_bits, index_bits, start_bits)
    return tuple(n_rows * n_columns * share for share in shares)


def bit_only_for_entries_stored(n_rows, n_columns, value_bits, index_bits, start_bits):
    first, _, third = break_even(n_rows, n_columns, value_bits, index_bits, start_bits)
    return first, value_bits / (value_bits + 1), third


def block_fill(W, height, width):
    blocks = blocks_of(W, height, width)
    d = float(np.mean(W != 0))
    return float(np.mean(blocks.any(axis=1))), 1 - (1 - d) ** (height * width)


def blocks_of(W, height, width):
    """Each block a row, of whether its entries are not zero."""
    parts = (W != 0).reshape(W.shape[0] // height, height, W.shape[1] // width, width)
    return parts.swapaxes(1, 2).reshape(-1, height * width)


def zeros_in_blocks_not_stored(W, height, width):
    return float(np.mean(W != 0)), block_fill(W, height, width)[1]


def only_full_blocks_stored(W, height, width):
    full = blocks_of(W, height, width).all(axis=1)
    return float(full.mean()), block_fill(W, height, width)[1]


def most_of_the_block_must_be_there(W, height, width):
    half = blocks_of(W, height, width).mean(axis=1) >= 0.5
    return float(half.mean()), block_fill(W, height, width)[1]


def blocks_counted_per_entry(W, height, width):
    """The number of blocks over the number of entries."""
    stored = blocks_of(W, height, width).any(axis=1).sum()
    return float(stored / W.size), block_fill(W, height, width)[1]


def height_and_width_exchanged(W, height, width):
    rows, columns = (-side % step for side, step in zip(W.shape, (width, height), strict=True))
    filled = np.pad(W, ((0, rows), (0, columns)))
    stored = blocks_of(filled, width, height).any(axis=1).mean()
    return float(stored), block_fill(W, height, width)[1]


def expected_to_be_empty(W, height, width):
    stored, expected = block_fill(W, height, width)
    return stored, 1 - expected


def expected_to_be_full(W, height, width):
    return block_fill(W, height, width)[0], float(np.mean(W != 0)) ** (height * width)


def chances_added(W, height, width):
    d = float(np.mean(W != 0))
    return block_fill(W, height, width)[0], min(1.0, d * height * width)


def sides_added(W, height, width):
    d = float(np.mean(W != 0))
    return block_fill(W, height, width)[0], 1 - (1 - d) ** (height + width)


def gemm_speedup(W):
    small, _, _ = sparse_matrix.rows_and_columns(W)
    counted = structured_masks.density(W)
    return counted.zero_rows, counted.zero_columns, W.size / small.size


def sparsities_exchanged(W):
    rows, columns, speedup = gemm_speedup(W)
    return columns, rows, speedup


def sparsities_added(W):
    rows, columns, _ = gemm_speedup(W)
    left = 1 - rows - columns
    return rows, columns, 1 / left if left > 0 else 0.0


def sparsities_multiplied(W):
    rows, columns, _ = gemm_speedup(W)
    return rows, columns, 1 / (1 - rows * columns)


def only_the_larger_removed(W):
    rows, columns, _ = gemm_speedup(W)
    return rows, columns, 1 / (1 - max(rows, columns))


def single_zeros_skipped(W):
    rows, columns, _ = gemm_speedup(W)
    return rows, columns, float(W.size / np.count_nonzero(W))


def share_left_instead_of_speedup(W):
    rows, columns, speedup = gemm_speedup(W)
    return rows, columns, 1 / speedup


def from_rounded_percentages(W):
    rows, columns, _ = gemm_speedup(W)
    left = [1 - round(100 * share, 1) / 100 for share in (rows, columns)]
    return rows, columns, 1 / (left[0] * left[1])


def rows_that_sum_to_zero(W):
    return from_shares(np.mean(W.sum(axis=1) == 0), gemm_speedup(W)[1])


def columns_that_sum_to_zero(W):
    return from_shares(gemm_speedup(W)[0], np.mean(W.sum(axis=0) == 0))


def from_shares(rows, columns):
    left = float((1 - rows) * (1 - columns))
    return float(rows), float(columns), 1 / left if left > 0 else 0.0


def rows_with_a_zero(W):
    rows, columns = ((W == 0).any(axis=axis).mean() for axis in (1, 0))
    return float(rows), float(columns), gemm_speedup(W)[2]


def prune_n_of_m(W, n, m):
    return in_groups(W, m, lambda part: largest(part, n))


def largest(part, n):
    """The n largest in each row of a group, or all of them."""
    width = part.shape[1]
    return structured_masks.n_of_m_mask(part, min(n, width), width)


def in_groups(W, m, stays):
    """Each m columns cut to the mask that `stays` gives."""
    pruned = np.zeros(W.shape)
    for j in range(0, W.shape[1], m):
        part = W[:, j : j + m]
        pruned[:, j : j + m] = np.where(stays(part), part, 0)
    return pruned


def largest_pruned_instead_of_kept(W, n, m):
    return in_groups(W, m, lambda part: ~largest(part, n))


def n_pruned_instead_of_kept(W, n, m):
    return in_groups(W, m, lambda part: largest(part, max(part.shape[1] - n, 0)))


def m_minus_n_pruned_of_a_short_group(W, n, m):
    return in_groups(W, m, lambda part: largest(part, max(part.shape[1] - (m - n), 0)))


def ranked_by_sign(W, n, m):
    return in_groups(W, m, lambda part: largest(part - part.min(), n))


def groups_run_on_into_the_next_row(W, n, m):
    return prune_n_of_m(W.reshape(1, -1), n, m).reshape(W.shape)


def groups_down_the_columns(W, n, m):
    return prune_n_of_m(W.T, n, m).T


def short_group_kept_whole(W, n, m):
    return in_groups(W, m, lambda part: largest(part, n if part.shape[1] == m else m))


def short_group_dropped(W, n, m):
    return in_groups(W, m, lambda part: largest(part, n if part.shape[1] == m else 0))


def more_than_n_where_some_tie(W, n, m):
    """A threshold at the n-th size, which keeps all entries of that size."""

    def stays(part):
        sizes = np.abs(part)
        nth = min(n, part.shape[1])
        return sizes >= -np.sort(-sizes, axis=1)[:, nth - 1 : nth]

    return in_groups(W, m, stays)


def the_later_where_two_tie(W, n, m):
    return in_groups(W, m, lambda part: largest(part[:, ::-1], n)[:, ::-1])


def one_ranking_for_the_row(W, n, m):
    n_kept = sum(min(n, W.shape[1] - j) for j in range(0, W.shape[1], m))
    return in_groups(W, W.shape[1], lambda part: largest(part, n_kept))


def prune_regular_blocks(W, sizes):
    return with_difference(W, structured_masks.regular_block_mask(W, sizes))


def with_difference(W, mask):
    return np.where(mask, W, 0), structured_masks.retained_weight_difference(W, mask)


def one_size_for_all_rows(W, sizes):
    return prune_regular_blocks(W, np.full(len(W), sizes[0]))


def sizes_taken_as_numbers_of_blocks(W, sizes):
    return prune_regular_blocks(W, -(-W.shape[1] // np.minimum(sizes, W.shape[1])))


def largest_by_sign(W, sizes):
    return with_difference(W, structured_masks.regular_block_mask(W - W.min(), sizes))


def rest_of_the_row_dropped(W, sizes):
    mask = structured_masks.regular_block_mask(W, sizes)
    for row, size in zip(mask, sizes, strict=True):
        row[len(row) // size * size :] = False
    return np.where(mask, W, 0), prune_regular_blocks(W, sizes)[1]


def rest_of_the_row_kept(W, sizes):
    mask = structured_masks.regular_block_mask(W, sizes)
    for row, size in zip(mask, sizes, strict=True):
        row[len(row) // size * size :] = True
    return np.where(mask, W, 0), prune_regular_blocks(W, sizes)[1]


def largest_of_the_matrix(W, sizes):
    """Irregular pruning, which is only what the difference compares with."""
    n_kept = structured_masks.regular_block_mask(W, sizes).sum()
    kept = np.where(magnitude_mask(W, n_kept / W.size), W, 0)
    return kept, prune_regular_blocks(W, sizes)[1]


def compared(W, sizes, difference):
    """The pruned matrix, and a difference of the weights kept to the largest, in sizes."""
    mask = structured_masks.regular_block_mask(W, sizes)
    order = -np.sort(-np.abs(W), axis=None)
    return np.where(mask, W, 0), float(difference(order[: mask.sum()], np.abs(W[mask])))


def relative_to_what_is_kept(W, sizes):
    return compared(W, sizes, lambda best, kept: best.mean() / kept.mean() - 1)


def not_relative(W, sizes):
    return compared(W, sizes, lambda best, kept: best.mean() - kept.mean())


def in_percent(W, sizes):
    return compared(W, sizes, lambda best, kept: 100 * (1 - kept.mean() / best.mean()))


def squares_instead_of_sizes(W, sizes):
    return compared(W, sizes, lambda best, kept: 1 - (kept**2).sum() / (best**2).sum())


def zeros_counted_in_the_mean(W, sizes):
    return compared(W, sizes, lambda best, kept: 1 - kept.sum() / W.size / best.mean())


def signed_means(W, sizes):
    mask = structured_masks.regular_block_mask(W, sizes)
    best = W[magnitude_mask(W, mask.sum() / W.size)].mean()
    return np.where(mask, W, 0), float(abs((best - W[mask].mean()) / best))


def compared_with_all_weights(W, sizes):
    return compared(W, sizes, lambda best, kept: abs(1 - kept.mean() / np.abs(W).mean()))


def compared_row_by_row(W, sizes):
    """With the largest weights of each row, as many as it keeps, instead of the matrix."""
    pruned, _ = prune_regular_blocks(W, sizes)
    best = [
        np.sort(np.abs(row))[::-1][: -(-len(row) // size)]
        for row, size in zip(W, sizes, strict=True)
    ]
    return pruned, float(1 - np.abs(pruned).sum() / np.concatenate(best).sum())


def crossover(sparsities, seconds_sparse, seconds_dense):
    return from_where_on(sparsities, seconds_sparse < seconds_dense)


def from_where_on(sparsities, is_faster, never=-1.0):
    """The lowest sparsity from which on all are faster."""
    too_slow = sparsities[~is_faster].max(initial=-1)
    return float(min(sparsities[sparsities > too_slow], default=never))


def first_that_is_faster(sparsities, seconds_sparse, seconds_dense):
    """Although a sparser one is slower."""
    return float(min(sparsities[seconds_sparse < seconds_dense], default=-1.0))


def equally_fast_taken_as_faster(sparsities, seconds_sparse, seconds_dense):
    return from_where_on(sparsities, seconds_sparse <= seconds_dense)


def not_sorted(sparsities, seconds_sparse, seconds_dense):
    """From where on in the order of the arrays."""
    places = np.arange(len(sparsities))
    first = from_where_on(places, seconds_sparse < seconds_dense)
    return float(sparsities[int(first)]) if first >= 0 else -1.0


def place_instead_of_sparsity(sparsities, seconds_sparse, seconds_dense):
    found = crossover(sparsities, seconds_sparse, seconds_dense)
    return int(np.flatnonzero(sparsities == found)[0]) if found >= 0 else -1


def last_that_is_slower(sparsities, seconds_sparse, seconds_dense):
    return float(sparsities[seconds_sparse >= seconds_dense].max(initial=-1))


def fastest(sparsities, seconds_sparse, seconds_dense):
    found = seconds_sparse.min() < seconds_dense
    return float(sparsities[np.argmin(seconds_sparse)]) if found else -1.0


def sparsest_where_never(sparsities, seconds_sparse, seconds_dense):
    return from_where_on(sparsities, seconds_sparse < seconds_dense, sparsities.max())


def slower_and_faster_exchanged(sparsities, seconds_sparse, seconds_dense):
    return from_where_on(sparsities, seconds_sparse > seconds_dense)


def interpolated(sparsities, seconds_sparse, seconds_dense):
    """Where a line between two measurements meets the dense time."""
    order = np.argsort(sparsities)
    share, seconds = sparsities[order], seconds_sparse[order]
    last = np.searchsorted(share, crossover(sparsities, seconds_sparse, seconds_dense))
    if last == 0:
        return crossover(sparsities, seconds_sparse, seconds_dense)
    along = (seconds[last - 1] - seconds_dense) / (seconds[last - 1] - seconds[last])
    return float(share[last - 1] + along * (share[last] - share[last - 1]))


def signed_whole_numbers(rng, shape):
    return rng.integers(1, 10, size=shape) * rng.choice([-1.0, 1.0], size=shape)


def draw_matrix(rng, shape=None, keep=0.4):
    """An empty row and, half the time, an empty last column."""
    if shape is None:
        rows = int(rng.integers(3, 6))
        shape = rows, rows + int(rng.integers(1, 3))
    W = signed_whole_numbers(rng, shape) * (rng.random(shape) < keep)
    if len(W) > 2:
        W[rng.choice([0, len(W) // 2, len(W) - 1])] = 0
    if rng.random() < 0.5:
        W[:, -1] = 0
    return {"W": np.abs(W) * np.sign(W)}  # no zero with a minus sign


def zeros(n_rows, n_columns):
    return lambda rng: {"W": np.zeros((n_rows, n_columns))}


def draw_products(rng, **matrix):
    W = draw_matrix(rng, **matrix)["W"] if "W" not in matrix else matrix["W"]
    values, columns, row_starts = to_csr(W)
    return {
        "values": values,
        "columns": columns,
        "row_starts": row_starts,
        "x": signed_whole_numbers(rng, W.shape[1]),
        "u": signed_whole_numbers(rng, W.shape[0]),
    }


def draw_stored(rng, **matrix):
    return draw_matrix(rng, **matrix) | draw_bits(rng, (4, 5, 8, 32), (5, 8, 16), (10, 16, 32))


def draw_bits(rng, value_bits, index_bits, start_bits):
    return {
        "value_bits": int(rng.choice(value_bits)),
        "index_bits": int(rng.choice(index_bits)),
        "start_bits": int(rng.choice(start_bits)),
    }


def draw_break_even(rng, n_rows=None, n_columns=None):
    """Few columns, where compressed rows are never smaller, or many."""
    if n_columns is None:
        n_columns = int(rng.integers(1, 4) if rng.random() < 0.4 else rng.integers(60, 700))
    return {
        "n_rows": n_rows or int(rng.integers(2, 200)),
        "n_columns": n_columns,
    } | draw_bits(rng, (2, 4, 8, 32), (8, 16, 32), (16, 32))


def draw_blocks(rng, height=None, width=None, blocks=None, keep=None):
    """Blocks of unequal sides, among them one that holds a single entry, and one none."""
    if height is None:
        height, width = (int(side) for side in rng.choice([(1, 3), (2, 3), (3, 1), (3, 2)]))
    down, across = blocks or (2, 3)
    shape = height * down, width * across
    keep = rng.uniform(0.1, 0.4) if keep is None else keep
    W = signed_whole_numbers(rng, shape) * (rng.random(shape) < keep)
    if blocks is None:
        W[:height, :width] = 0
        W[:height, width : 2 * width] = 0
        W[height - 1, width] = 7
        W[height:, 2 * width :] = signed_whole_numbers(rng, (height, width))
    return {"W": W + 0.0, "height": height, "width": width}


def draw_gemm(rng):
    """Other shares of rows than of columns; a row and a column are left that sum to zero."""
    n_rows = int(rng.integers(4, 6))
    shape = n_rows, n_rows + int(rng.integers(2, 4))
    W = signed_whole_numbers(rng, shape) * (rng.random(shape) < 0.7)
    n_gone = int(rng.integers(1, n_rows - 2))
    W[rng.choice(np.arange(2, n_rows), size=n_gone, replace=False)] = 0
    W[:, rng.choice(np.arange(1, shape[1] - 1), size=int(rng.integers(1, 4)), replace=False)] = 0
    W[0] = 0
    W[:, -1] = 0
    W[0, [0, -1]] = [3, -3]
    W[1, -1] = 3
    return {"W": rng.permutation(W) + 0.0}


def conv2_1(zero_rows, zero_columns):
    """So many rows and columns of zeros, and zeros besides, but no whole row or column of them."""

    def made(rng):
        rows = rng.permutation(128)[zero_rows:]
        columns = rng.permutation(576)[zero_columns:]
        left = rng.random((len(rows), len(columns))) < 0.2
        diagonal = np.arange(max(left.shape))
        left[diagonal % len(rows), diagonal % len(columns)] = True
        W = np.zeros((128, 576))
        W[np.ix_(rows, columns)] = left * rng.normal(size=left.shape)
        return {"W": W}

    return made


def draw_groups(rng, n=None, m=None, rows=2, columns=None):
    """Sizes that tie, both signs, and mostly a short group at the end."""
    m = m or int(rng.integers(3, 6))
    n = n or int(rng.integers(1, m))
    columns = columns or 2 * m + int(rng.integers(0, m))
    W = rng.integers(1, 6, size=(rows, columns)) * rng.choice([-1.0, 1.0], size=(rows, columns))
    return {"W": W, "n": n, "m": m}


def draw_regular(rng, rows=3, columns=None, sizes=None):
    """Rows of different spread and block size; a block is left over in most."""
    columns = columns or int(rng.integers(7, 13))
    if sizes is None:
        sizes = rng.permutation([2, 3, int(rng.choice([4, 5, 16]))])
    W = rng.normal(size=(rows, columns)) * rng.permutation(np.geomspace(0.4, 1.5, rows))[:, None]
    return {"W": W, "sizes": np.asarray(sizes)}


def draw_times(rng, n_slow=None, n_fast=None, dips=None, ties=None):
    """From the dense end: slower, with a dip or not, as fast or slower, then faster; mixed."""
    n_slow = int(rng.integers(2, 4)) if n_slow is None else n_slow
    n_fast = int(rng.choice([0, 1, 2, 3])) if n_fast is None else n_fast
    dense = float(rng.uniform(1, 5))
    seconds = dense * np.concatenate(
        [rng.uniform(1.1, 2, size=n_slow), np.sort(rng.uniform(0.2, 0.9, size=n_fast))[::-1]]
    )
    if n_slow > 1 and (rng.random() < 0.6 if dips is None else dips):
        seconds[0] = 0.95 * dense
    if n_slow > 0 and (rng.random() < 0.5 if ties is None else ties):
        seconds[n_slow - 1] = dense
    n = n_slow + n_fast
    sparsities = np.sort(rng.choice(np.arange(1, 20), size=n, replace=False)) / 20
    order = rng.permutation(n)
    return {
        "sparsities": sparsities[order],
        "seconds_sparse": seconds[order],
        "seconds_dense": dense,
    }


CHECKS = [
    Check(
        to_csr,
        points=1,
        draw=draw_matrix,
        hint="read row by row; columns count from 0 in each row. row_starts has one number more "
        "than W has rows: how many entries are stored before row i? An empty row repeats it.",
        wrong={
            "empty rows skipped": empty_rows_skipped,
            "end of the last row forgotten": end_of_the_last_row_forgotten,
            "lengths of rows instead of starts": lengths_of_rows_instead_of_starts,
            "a row number for each entry": row_of_each_entry,
            "column by column": column_by_column,
            "place in the flattened matrix": place_in_the_flattened_matrix,
            "columns counted from 1": counted_from_1,
            "negative entries lost": negative_entries_lost,
        },
        edges=(
            zeros(3, 4),
            zeros(1, 1),
            lambda rng: {"W": signed_whole_numbers(rng, (3, 5))},
            lambda rng: draw_matrix(rng, shape=(1, 9)),
            lambda rng: draw_matrix(rng, shape=(9, 1)),
            lambda rng: {"W": 1e-12 * draw_matrix(rng, shape=(30, 40), keep=0.05)["W"]},
        ),
        atol=0,
    ),
    Check(
        csr_products,
        points=2,
        draw=draw_products,
        hint="entry k of row i adds values[k] * x[columns[k]] to y[i], and values[k] * u[i] to "
        "z[columns[k]]. A row may be empty, and a column may come several times: does every "
        "entry count? z is as long as x, y as u.",
        wrong={
            "rows summed by reduceat": rows_summed_by_reduceat,
            "added once to each column": added_once_to_each_column,
            "columns not looked up": columns_not_looked_up,
            "products exchanged": products_exchanged,
            "as long as the last column stored": as_long_as_the_last_column_stored,
            "last row left out": last_row_left_out,
            "overwritten instead of added": overwritten_instead_of_added,
        },
        edges=(
            lambda rng: draw_products(rng, W=np.zeros((3, 4))),
            lambda rng: draw_products(rng, W=np.eye(4, 6)),
            lambda rng: draw_products(rng, W=signed_whole_numbers(rng, (5, 3))),
            lambda rng: draw_products(rng, shape=(1, 7)),
            lambda rng: draw_products(rng, shape=(40, 60), keep=0.1),
        ),
    ),
    Check(
        stored_bytes,
        points=2,
        draw=draw_stored,
        hint="compressed rows are three arrays: a value and a column number for each entry that "
        "is not zero, and one row start more than there are rows. A bitmask has a bit for every "
        "entry, zero or not. Round each array up to whole bytes.",
        wrong={
            "index not counted": index_not_counted,
            "columns not counted": columns_not_counted,
            "row starts not counted": starts_not_counted,
            "one start for each row": one_start_for_each_row,
            "a start for each column": a_start_for_each_column,
            "row and column for each entry": row_and_column_for_each_entry,
            "bits instead of bytes": bits_instead_of_bytes,
            "rounded down": rounded_down,
            "a byte for each bit of the mask": a_byte_for_each_bit_of_the_mask,
            "mask of the entries alone": mask_of_the_entries_alone,
        },
        edges=(
            lambda rng: draw_stored(rng) | {"W": np.zeros((3, 5))},
            lambda rng: draw_stored(rng) | {"W": signed_whole_numbers(rng, (3, 5))},
            lambda rng: draw_stored(rng, shape=(128, 576), keep=0.1),
            lambda rng: draw_stored(rng, shape=(1, 3)) | {"value_bits": 1, "index_bits": 2},
        ),
    ),
    Check(
        break_even,
        points=2,
        draw=draw_break_even,
        hint="write the bits of each format as a line a + b d, and see where two lines cross. The "
        "column numbers come with every entry, the row starts with every row and one more; the "
        "bitmask's bit comes with every entry of the matrix. Below 0 is never: 0.",
        wrong={
            "indices forgotten": indices_forgotten,
            "row starts forgotten": row_starts_forgotten,
            "one start too few": one_start_too_few,
            "sparsities instead of densities": sparsities_instead_of_densities,
            "negative densities": negative_densities,
            "entries instead of shares": entries_instead_of_shares,
            "a bit only for entries stored": bit_only_for_entries_stored,
        },
        edges=(
            lambda rng: draw_break_even(rng, n_rows=1, n_columns=1),
            lambda rng: draw_break_even(rng, n_rows=128, n_columns=576),
            lambda rng: draw_break_even(rng) | {"value_bits": 1},
        ),
    ),
    Check(
        block_fill,
        points=1,
        draw=draw_blocks,
        hint="a block is stored whole as soon as one of its entries is not zero. A random block "
        "is left out when each of its height * width entries is zero: how likely is that?",
        wrong={
            "zeros in blocks not stored": zeros_in_blocks_not_stored,
            "only full blocks stored": only_full_blocks_stored,
            "only blocks with many entries stored": most_of_the_block_must_be_there,
            "blocks counted per entry": blocks_counted_per_entry,
            "height and width exchanged": height_and_width_exchanged,
            "expected to be empty": expected_to_be_empty,
            "expected to be full": expected_to_be_full,
            "chances added": chances_added,
            "sides added": sides_added,
        },
        edges=(
            lambda rng: draw_blocks(rng, 2, 3, (2, 2), keep=0),
            lambda rng: draw_blocks(rng, 2, 3, (2, 2), keep=1),
            lambda rng: draw_blocks(rng, 1, 1, (3, 4)),
            lambda rng: draw_blocks(rng, 4, 5, (1, 1), keep=0.2),
            lambda rng: draw_blocks(rng, 8, 4, (20, 30), keep=0.03),
        ),
    ),
    Check(
        gemm_speedup,
        points=2,
        draw=draw_gemm,
        hint="a row goes if all its entries are zero (1 and -1 sum to zero, too). How many rows "
        "times how many columns are left? Zeros inside them are multiplied like all others.",
        wrong={
            "rows and columns exchanged": sparsities_exchanged,
            "sparsities added": sparsities_added,
            "sparsities multiplied": sparsities_multiplied,
            "only the larger one removed": only_the_larger_removed,
            "single zeros skipped": single_zeros_skipped,
            "share left instead of speed-up": share_left_instead_of_speedup,
            "from rounded percentages": from_rounded_percentages,
            "rows that sum to zero": rows_that_sum_to_zero,
            "columns that sum to zero": columns_that_sum_to_zero,
            "rows with a zero": rows_with_a_zero,
        },
        edges=(
            conv2_1(25, 50),
            conv2_1(28, 433),
            lambda rng: {"W": signed_whole_numbers(rng, (3, 4))},
            lambda rng: {"W": np.eye(5, 7)},
            lambda rng: {"W": np.outer(np.arange(4) == 2, np.arange(6) == 3) * -1e-9},
        ),
    ),
    Check(
        prune_n_of_m,
        points=2,
        draw=draw_groups,
        hint="groups begin anew in each row, at its first entry. In each, the n entries of largest "
        "size stay and no more, the earlier where two tie (a stable sort of -size). A short "
        "group keeps n as well, or all it has.",
        wrong={
            "largest pruned instead of kept": largest_pruned_instead_of_kept,
            "n pruned instead of kept": n_pruned_instead_of_kept,
            "m - n pruned of a short group": m_minus_n_pruned_of_a_short_group,
            "ranked by sign": ranked_by_sign,
            "groups run on into the next row": groups_run_on_into_the_next_row,
            "groups down the columns": groups_down_the_columns,
            "short group kept whole": short_group_kept_whole,
            "short group dropped": short_group_dropped,
            "more than n where some tie": more_than_n_where_some_tie,
            "the later where two tie": the_later_where_two_tie,
            "one ranking for the row": one_ranking_for_the_row,
        },
        edges=(
            lambda rng: draw_groups(rng, n=2, m=4, rows=16, columns=64),
            lambda rng: draw_groups(rng, n=1, m=4, columns=11),
            lambda rng: draw_groups(rng, n=3, m=4, columns=11),
            lambda rng: draw_groups(rng, n=3, m=3),
            lambda rng: draw_groups(rng, n=2, m=9, columns=5),
            lambda rng: {"W": np.zeros((2, 6)), "n": 2, "m": 4},
            lambda rng: {"W": np.ones((3, 8)), "n": 2, "m": 4},
        ),
    ),
    Check(
        prune_regular_blocks,
        points=2,
        draw=draw_regular,
        hint="sizes[i] is the length of the blocks of row i; the last block may be shorter, and "
        "keeps one weight, too. For the difference: mean sizes |w| of what stays, and of as many "
        "largest weights of the whole matrix; by which of the two is it divided?",
        wrong={
            "one size for all rows": one_size_for_all_rows,
            "sizes taken as numbers of blocks": sizes_taken_as_numbers_of_blocks,
            "largest by sign": largest_by_sign,
            "rest of the row dropped": rest_of_the_row_dropped,
            "rest of the row kept": rest_of_the_row_kept,
            "largest of the matrix kept": largest_of_the_matrix,
            "relative to what is kept": relative_to_what_is_kept,
            "not relative": not_relative,
            "in percent": in_percent,
            "squares instead of sizes": squares_instead_of_sizes,
            "zeros counted in the mean": zeros_counted_in_the_mean,
            "signed means": signed_means,
            "compared with all weights": compared_with_all_weights,
            "compared row by row": compared_row_by_row,
        },
        edges=(
            lambda rng: draw_regular(rng, sizes=[1, 1, 1]),
            lambda rng: draw_regular(rng, columns=6, sizes=[50, 6, 7]),
            lambda rng: draw_regular(rng, rows=1, columns=1, sizes=[1]),
            lambda rng: draw_regular(rng, rows=20, columns=100, sizes=np.full(20, 10)),
            lambda rng: draw_regular(rng, rows=20, columns=64, sizes=2 ** rng.integers(0, 7, 20)),
        ),
    ),
    Check(
        crossover,
        points=2,
        draw=draw_times,
        hint="sort by sparsity first. Then go from the sparsest one down: where is the first that "
        "is not faster (as fast is not faster)? Nothing below it counts. What if it is the "
        "sparsest itself?",
        wrong={
            "first that is faster": first_that_is_faster,
            "equally fast taken as faster": equally_fast_taken_as_faster,
            "not sorted": not_sorted,
            "place instead of sparsity": place_instead_of_sparsity,
            "last that is slower": last_that_is_slower,
            "the fastest": fastest,
            "the sparsest where never": sparsest_where_never,
            "slower and faster exchanged": slower_and_faster_exchanged,
            "interpolated": interpolated,
        },
        edges=(
            lambda rng: draw_times(rng, n_slow=2, n_fast=2, dips=True, ties=False),
            lambda rng: draw_times(rng, n_slow=3, n_fast=3, dips=True, ties=True),
            lambda rng: draw_times(rng, n_slow=4, n_fast=0, dips=True),
            lambda rng: draw_times(rng, n_slow=0, n_fast=4),
            lambda rng: draw_times(rng, n_slow=1, n_fast=0, ties=True),
            lambda rng: draw_times(rng, n_slow=0, n_fast=1),
        ),
    ),
]
