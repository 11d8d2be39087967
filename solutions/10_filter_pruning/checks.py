"""What the functions of exercise 10 must do, and mistakes that must be noticed."""

import numpy as np

from sparsecourse.grading.checks import Check

VGG16_FILTERS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
VGG16_LEFT = (32, 64, 128, 128, 256, 256, 256, 256, 256, 256, 256, 256, 256)
VGG16_SIZES = (32, 32, 16, 16, 8, 8, 8, 4, 4, 4, 2, 2, 2)


def filter_norms(W):
    return np.array([np.abs(one).sum() for one in W])


def euclidean_norms(W):
    return np.array([np.linalg.norm(one) for one in W])


def norms_of_the_input_channels(W):
    return filter_norms(W.swapaxes(0, 1))


def norm_of_each_kernel(W):
    return np.abs(W).sum(axis=(2, 3))


def signed_sums(W):
    return W.sum(axis=(1, 2, 3))


def size_of_the_sum(W):
    return np.abs(signed_sums(W))


def means_instead_of_sums(W):
    return filter_norms(W) / W[0].size


def largest_weight(W):
    return np.abs(W).max(axis=(1, 2, 3))


def weights_counted(W):
    return np.count_nonzero(W, axis=(1, 2, 3))


def keep_largest(norms, n_pruned):
    return np.array(sorted(falling(norms)[: len(norms) - n_pruned]), dtype=np.int64)


def falling(norms):
    """Filters from the largest norm to the smallest, of equal ones the earlier first."""
    return sorted(range(len(norms)), key=lambda i: (-norms[i], i))


def others(kept, n):
    return np.setdiff1d(np.arange(n), kept)


def pruned_returned(norms, n_pruned):
    return others(keep_largest(norms, n_pruned), len(norms))


def smallest_kept(norms, n_pruned):
    return keep_largest(-norms, n_pruned)


def in_the_order_of_the_norms(norms, n_pruned):
    return np.array(falling(norms)[: len(norms) - n_pruned])


def later_where_two_tie(norms, n_pruned):
    return np.sort(len(norms) - 1 - keep_largest(norms[::-1], n_pruned))


def kept_instead_of_pruned(norms, n_pruned):
    return keep_largest(norms, len(norms) - n_pruned)


def all_above_a_threshold(norms, n_pruned):
    """Those that are larger than the largest norm that is pruned: of ties, all go."""
    largest = np.sort(norms)[n_pruned - 1] if n_pruned else -1
    return np.flatnonzero(norms > largest)


def all_from_a_threshold_on(norms, n_pruned):
    """Those as large as the smallest norm that stays: of ties, none goes."""
    return np.flatnonzero(norms >= np.sort(norms)[n_pruned])


def counted_from_1(norms, n_pruned):
    return keep_largest(norms, n_pruned) + 1


def nothing_left_where_none_is_pruned(norms, n_pruned):
    """What ``order[:-n_pruned]`` gives for 0."""
    return np.array(sorted(falling(norms)[:-n_pruned]), dtype=np.int64)


def norms_instead_of_indices(norms, n_pruned):
    return norms[keep_largest(norms, n_pruned)]


def prune_conv(W, b, gamma, beta, mean, var, W_next, kept):
    per_filter = (part[kept] for part in (W, b, gamma, beta, mean, var))
    return (*per_filter, W_next[:, kept])


def next_layer_forgotten(W, b, gamma, beta, mean, var, W_next, kept):
    return *prune_conv(W, b, gamma, beta, mean, var, W_next, kept)[:-1], W_next


def filters_of_the_next_layer(W, b, gamma, beta, mean, var, W_next, kept):
    return *prune_conv(W, b, gamma, beta, mean, var, W_next, kept)[:-1], W_next[kept]


def batch_norm_forgotten(W, b, gamma, beta, mean, var, W_next, kept):
    return W[kept], b[kept], gamma, beta, mean, var, W_next[:, kept]


def running_statistics_forgotten(W, b, gamma, beta, mean, var, W_next, kept):
    return W[kept], b[kept], gamma[kept], beta[kept], mean, var, W_next[:, kept]


def bias_forgotten(W, b, gamma, beta, mean, var, W_next, kept):
    pruned = prune_conv(W, b, gamma, beta, mean, var, W_next, kept)
    return pruned[0], b, *pruned[2:]


def removed_instead_of_kept(W, b, gamma, beta, mean, var, W_next, kept):
    return prune_conv(W, b, gamma, beta, mean, var, W_next, others(kept, len(W)))


def first_ones_kept(W, b, gamma, beta, mean, var, W_next, kept):
    return prune_conv(W, b, gamma, beta, mean, var, W_next, np.arange(len(kept)))


def own_channels_taken(W, b, gamma, beta, mean, var, W_next, kept):
    own = kept[kept < W.shape[1]]
    return W[:, own], *prune_conv(W, b, gamma, beta, mean, var, W_next, kept)[1:]


def masked_instead_of_removed(W, b, gamma, beta, mean, var, W_next, kept):
    stays = np.isin(np.arange(len(W)), kept)
    per_filter = (part * stays for part in (b, gamma, beta, mean, var))
    return W * stays[:, None, None, None], *per_filter, W_next * stays[:, None, None]


def prune_into_linear(W, b, V, kept, height, width):
    columns = V.reshape(len(V), len(W), height * width)
    return W[kept], b[kept], columns[:, kept].reshape(len(V), -1)


def with_columns(W, b, V, kept, columns):
    return W[kept], b[kept], V[:, columns]


def one_column_for_each_channel(W, b, V, kept, height, width):
    return with_columns(W, b, V, kept, kept)


def channels_last(W, b, V, kept, height, width):
    """As if the channels of a place were neighbours: what a flatten of (h, w, channels) gives."""
    places = np.arange(height * width)
    return with_columns(W, b, V, kept, np.add.outer(places * len(W), kept).ravel())


def first_columns_kept(W, b, V, kept, height, width):
    return with_columns(W, b, V, kept, np.arange(len(kept) * height * width))


def blocks_of_the_height_alone(W, b, V, kept, height, width):
    return with_columns(W, b, V, kept, np.add.outer(kept * height, np.arange(height)).ravel())


def ordered_by_place(W, b, V, kept, height, width):
    """The right columns, those of one place of the map beside each other."""
    starts = kept * height * width
    return with_columns(W, b, V, kept, np.add.outer(np.arange(height * width), starts).ravel())


def linear_layer_forgotten(W, b, V, kept, height, width):
    return W[kept], b[kept], V


def columns_set_to_zero(W, b, V, kept, height, width):
    stays = np.repeat(np.isin(np.arange(len(W)), kept), height * width)
    return W[kept], b[kept], V * stays


def columns_of_the_removed(W, b, V, kept, height, width):
    gone = prune_into_linear(W, b, V, others(kept, len(W)), height, width)
    return W[kept], b[kept], gone[2]


def removed_shares(filters, left, kernels, sizes, in_channels):
    return from_costs(
        costs(filters, kernels, sizes, in_channels), costs(left, kernels, sizes, in_channels)
    )


def costs(filters, kernels, sizes, in_channels):
    """Multiply-adds and parameters of each layer."""
    weights = filters * np.append(in_channels, filters[:-1]) * kernels**2
    return weights * sizes**2, weights + filters


def from_costs(before, after):
    """Of the multiply-adds of each layer, of all of them, and of all parameters."""
    work, parameters = (
        1 - float(new.sum() / old.sum()) for old, new in zip(before, after, strict=True)
    )
    return 1 - after[0] / before[0], work, parameters


def input_channels_not_pruned(filters, left, kernels, sizes, in_channels):
    """Only the rows of the layer itself go, not the channels of the next."""
    before = costs(filters, kernels, sizes, in_channels)
    after = before[0] * left / filters, before[1] * left / filters
    return from_costs(before, after)


def own_filters_not_pruned(filters, left, kernels, sizes, in_channels):
    before = costs(filters, kernels, sizes, in_channels)
    share = np.append(in_channels, left[:-1]) / np.append(in_channels, filters[:-1])
    return from_costs(before, (before[0] * share, before[1] * share))


def shares_averaged(filters, left, kernels, sizes, in_channels):
    before = costs(filters, kernels, sizes, in_channels)
    after = costs(left, kernels, sizes, in_channels)
    work, parameters = (1 - new / old for old, new in zip(before, after, strict=True))
    return work, float(work.mean()), float(parameters.mean())


def shares_left(filters, left, kernels, sizes, in_channels):
    return tuple(1 - share for share in removed_shares(filters, left, kernels, sizes, in_channels))


def removed_per_share_left(filters, left, kernels, sizes, in_channels):
    """Relative to what is left."""
    return from_costs(
        costs(left, kernels, sizes, in_channels), costs(filters, kernels, sizes, in_channels)
    )


def in_percent(filters, left, kernels, sizes, in_channels):
    return tuple(100 * s for s in removed_shares(filters, left, kernels, sizes, in_channels))


def with_other_biases(filters, left, kernels, sizes, in_channels, work_biases, biases):
    """`work_biases` and `biases` are what a filter's bias counts for."""

    def counted(n):
        weights = n * np.append(in_channels, n[:-1]) * kernels**2
        return (weights + work_biases * n) * sizes**2, weights + biases * n

    return from_costs(counted(filters), counted(left))


def biases_forgotten(filters, left, kernels, sizes, in_channels):
    return with_other_biases(filters, left, kernels, sizes, in_channels, 0, 0)


def biases_taken_as_multiply_adds(filters, left, kernels, sizes, in_channels):
    return with_other_biases(filters, left, kernels, sizes, in_channels, 1, 1)


def kernels_not_squared(filters, left, kernels, sizes, in_channels):
    return removed_shares(filters, left, np.sqrt(kernels), sizes, in_channels)


def sizes_not_squared(filters, left, kernels, sizes, in_channels):
    return removed_shares(filters, left, kernels, np.sqrt(sizes), in_channels)


def sizes_forgotten(filters, left, kernels, sizes, in_channels):
    return removed_shares(filters, left, kernels, np.ones(len(sizes)), in_channels)


def in_channels_forgotten(filters, left, kernels, sizes, in_channels):
    return removed_shares(filters, left, kernels, sizes, 1)


def keep_two_layers(W1, W2, n_pruned1, n_pruned2):
    return two_layers(W1, W2, n_pruned1, n_pruned2)


def two_layers(W1, W2, n_pruned1, n_pruned2, norms=filter_norms, reads=None):
    """`reads` takes W2 and what stays of the first layer, and gives what greedy looks at."""
    first = keep_largest(norms(W1), n_pruned1)
    seen = W2[:, first] if reads is None else reads(W2, first)
    return first, keep_largest(norms(W2), n_pruned2), keep_largest(norms(seen), n_pruned2)


def strategies_exchanged(W1, W2, n_pruned1, n_pruned2):
    first, independent, greedy = keep_two_layers(W1, W2, n_pruned1, n_pruned2)
    return first, greedy, independent


def independent_twice(W1, W2, n_pruned1, n_pruned2):
    first, independent, _ = keep_two_layers(W1, W2, n_pruned1, n_pruned2)
    return first, independent, independent


def greedy_twice(W1, W2, n_pruned1, n_pruned2):
    first, _, greedy = keep_two_layers(W1, W2, n_pruned1, n_pruned2)
    return first, greedy, greedy


def channels_that_are_gone(W1, W2, n_pruned1, n_pruned2):
    def gone(W, first):
        return W[:, others(first, W.shape[1])]

    return two_layers(W1, W2, n_pruned1, n_pruned2, reads=gone)


def first_channels_read(W1, W2, n_pruned1, n_pruned2):
    return two_layers(W1, W2, n_pruned1, n_pruned2, reads=lambda W, first: W[:, : len(first)])


def two_layers_by_signed_sums(W1, W2, n_pruned1, n_pruned2):
    return two_layers(W1, W2, n_pruned1, n_pruned2, norms=signed_sums)


def two_layers_by_euclidean_norms(W1, W2, n_pruned1, n_pruned2):
    return two_layers(W1, W2, n_pruned1, n_pruned2, norms=euclidean_norms)


def first_layer_ranked_by_its_readers(W1, W2, n_pruned1, n_pruned2):
    """By the weights of the second layer that read a filter's map."""
    return two_layers(W2.swapaxes(0, 1), W2, n_pruned1, n_pruned2)


def counts_exchanged(W1, W2, n_pruned1, n_pruned2):
    return two_layers(W1, W2, min(n_pruned2, len(W1) - 1), min(n_pruned1, len(W2) - 1))


def one_ranking_for_both_layers(W1, W2, n_pruned1, n_pruned2):
    kept = keep_largest(np.append(filter_norms(W1), filter_norms(W2)), n_pruned1 + n_pruned2)
    second = kept[kept >= len(W1)] - len(W1)
    return kept[kept < len(W1)], second, second


def prune_shortcut(P, A, B1, B2, C, n_pruned):
    return along(keep_largest(filter_norms(P), n_pruned), P, A, B1, B2, C)


def along(kept, P, A, B1, B2, C):
    return kept, P[kept], A[kept], B1[:, kept], B2[kept], C[:, kept]


def ranked_by_the_residual(P, A, B1, B2, C, n_pruned):
    return along(keep_largest(filter_norms(A), n_pruned), P, A, B1, B2, C)


def ranked_by_the_last_layer(P, A, B1, B2, C, n_pruned):
    return along(keep_largest(filter_norms(B2), n_pruned), P, A, B1, B2, C)


def ranked_by_the_sum_of_all_three(P, A, B1, B2, C, n_pruned):
    norms = filter_norms(P) + filter_norms(A) + filter_norms(B2)
    return along(keep_largest(norms, n_pruned), P, A, B1, B2, C)


def ranked_by_the_readers(P, A, B1, B2, C, n_pruned):
    norms = filter_norms(B1.swapaxes(0, 1)) + filter_norms(C.swapaxes(0, 1))
    return along(keep_largest(norms, n_pruned), P, A, B1, B2, C)


def each_by_its_own_norms(P, A, B1, B2, C, n_pruned):
    kept, P_left, _, B1_left, _, C_left = prune_shortcut(P, A, B1, B2, C, n_pruned)
    own = (W[keep_largest(filter_norms(W), n_pruned)] for W in (A, B2))
    return kept, P_left, next(own), B1_left, next(own), C_left


def identity_block_left_whole(P, A, B1, B2, C, n_pruned):
    """The second shortcut, without weights, would add maps that do not match."""
    pruned = prune_shortcut(P, A, B1, B2, C, n_pruned)
    return *pruned[:3], B1, B2, C


def last_layer_left_whole(P, A, B1, B2, C, n_pruned):
    pruned = prune_shortcut(P, A, B1, B2, C, n_pruned)
    return *pruned[:4], B2, pruned[5]


def consumer_left_whole(P, A, B1, B2, C, n_pruned):
    return *prune_shortcut(P, A, B1, B2, C, n_pruned)[:5], C


def filters_inside_the_block_pruned(P, A, B1, B2, C, n_pruned):
    """The maps between B1 and B2 are not added to anything."""
    pruned = prune_shortcut(P, A, B1, B2, C, n_pruned)
    inside = keep_largest(filter_norms(B1), min(n_pruned, len(B1) - 1))
    return *pruned[:3], pruned[3][inside], pruned[4][:, inside], pruned[5]


def largest_pruned(P, A, B1, B2, C, n_pruned):
    return along(keep_largest(-filter_norms(P), n_pruned), P, A, B1, B2, C)


def kept_where_p_is_pruned_alone(P, A, B1, B2, C, n_pruned):
    kept, P_left, *_ = prune_shortcut(P, A, B1, B2, C, n_pruned)
    return kept, P_left, A, B1, B2, C


def largest_shares(shares, errors, dense_error, tolerance):
    return up_to_the_first(shares, errors > dense_error + tolerance)


def up_to_the_first(shares, too_bad):
    """For each layer, the last share before the first that is too bad, or 0."""
    n_good = np.cumprod(~too_bad, axis=1).sum(axis=1)
    return np.append(0.0, shares)[n_good]


def a_bump_jumped_over(shares, errors, dense_error, tolerance):
    good = errors <= dense_error + tolerance
    return (good * shares).max(axis=1)


def equal_taken_as_too_bad(shares, errors, dense_error, tolerance):
    return up_to_the_first(shares, errors >= dense_error + tolerance)


def relative_tolerance(shares, errors, dense_error, tolerance):
    return up_to_the_first(shares, errors > dense_error * (1 + tolerance))


def tolerance_forgotten(shares, errors, dense_error, tolerance):
    return up_to_the_first(shares, errors > dense_error)


def dense_error_forgotten(shares, errors, dense_error, tolerance):
    return up_to_the_first(shares, errors > tolerance)


def against_the_smallest_share(shares, errors, dense_error, tolerance):
    return up_to_the_first(shares, errors > errors[:, :1] + tolerance)


def step_by_step(shares, errors, dense_error, tolerance):
    """Each share against the one before it: small losses add up unnoticed."""
    before = np.column_stack([np.full(len(errors), dense_error), errors[:, :-1]])
    return up_to_the_first(shares, errors > before + tolerance)


def differences_either_way(shares, errors, dense_error, tolerance):
    """A better error than the dense one is no loss."""
    return up_to_the_first(shares, np.abs(errors - dense_error) > tolerance)


def first_share_that_is_too_bad(shares, errors, dense_error, tolerance):
    too_bad = errors > dense_error + tolerance
    n_good = np.cumprod(~too_bad, axis=1).sum(axis=1)
    return np.append(shares, shares[-1])[n_good]


def place_instead_of_share(shares, errors, dense_error, tolerance):
    too_bad = errors > dense_error + tolerance
    return np.cumprod(~too_bad, axis=1).sum(axis=1) - 1


def smallest_share_where_none_is_good(shares, errors, dense_error, tolerance):
    return np.maximum(largest_shares(shares, errors, dense_error, tolerance), shares[0])


def one_share_for_all_layers(shares, errors, dense_error, tolerance):
    found = largest_shares(shares, errors, dense_error, tolerance)
    return np.full(len(found), found.min())


def signed_whole_numbers(rng, shape):
    return rng.integers(1, 7, size=shape) * rng.choice([-1.0, 1.0], size=shape)


def draw_filters(rng, shape=None):
    """More filters than channels, both signs, and a few zeros."""
    if shape is None:
        kernel = int(rng.integers(1, 4))
        shape = int(rng.integers(3, 5)), int(rng.integers(1, 3)), kernel, kernel
    return {"W": np.where(rng.random(shape) < 0.2, 0.0, signed_whole_numbers(rng, shape))}


def draw_norms(rng, n=None, n_pruned=None, tie=None):
    """Two or three filters tie at the border, mostly; sometimes none is pruned."""
    n = n or int(rng.integers(5, 8))
    if n_pruned is None:
        n_pruned = 0 if rng.random() < 0.25 else int(rng.integers(1, n - 1))
    norms = np.sort(rng.permutation(np.arange(1, n + 9))[:n]) / 2
    if n_pruned and (rng.random() < 0.7 if tie is None else tie):
        norms[n_pruned - 1] = norms[n_pruned]
    return {"norms": rng.permutation(norms), "n_pruned": n_pruned}


def draw_kept(rng, n, n_kept=None):
    """Rising, not the first ones, mostly."""
    n_kept = n_kept or int(rng.integers(1, n))
    return np.sort(rng.permutation(n)[:n_kept])


def draw_conv(rng, n=None, n_kept=None, channels=None, n_next=None, kernel=None):
    n = n or int(rng.integers(3, 6))
    channels = channels or int(rng.integers(1, 3))
    kernel = kernel or int(rng.integers(1, 3))
    n_next = n_next or int(rng.integers(1, 4))
    return {
        "W": signed_whole_numbers(rng, (n, channels, kernel, kernel)),
        "b": signed_whole_numbers(rng, n),
        "gamma": rng.integers(1, 9, size=n) / 4,
        "beta": signed_whole_numbers(rng, n) / 4,
        "mean": signed_whole_numbers(rng, n),
        "var": rng.integers(1, 9, size=n) / 2,
        "W_next": signed_whole_numbers(rng, (n_next, n, 1, 1)),
        "kept": draw_kept(rng, n, n_kept),
    }


def draw_linear(rng, n=None, n_kept=None, height=None, width=None, n_out=None):
    n = n or int(rng.integers(3, 6))
    height, width = height or int(rng.integers(1, 4)), width or int(rng.integers(2, 4))
    n_out = n_out or int(rng.integers(1, 3))
    return {
        "W": signed_whole_numbers(rng, (n, 1, 1, 1)),
        "b": signed_whole_numbers(rng, n),
        "V": np.arange(1.0, n_out * n * height * width + 1).reshape(n_out, -1),
        "kept": draw_kept(rng, n, n_kept),
        "height": height,
        "width": width,
    }


def draw_chain(rng, n_layers=None, in_channels=None):
    """Some layers keep all their filters; maps that shrink on the way."""
    n_layers = n_layers or int(rng.integers(2, 5))
    filters = rng.integers(4, 33, size=n_layers)
    left = np.where(rng.random(n_layers) < 0.3, filters, rng.integers(1, filters))
    left[int(rng.integers(n_layers))] = 2
    return {
        "filters": filters,
        "left": left,
        "kernels": rng.choice([1, 3, 5], size=n_layers),
        "sizes": np.sort(rng.choice([2, 4, 8, 16], size=n_layers))[::-1].copy(),
        "in_channels": in_channels or int(rng.integers(2, 5)),
    }


def vgg16_cifar(rng):
    """The published plan: 34.2 % of the multiply-adds."""
    return {
        "filters": np.array(VGG16_FILTERS),
        "left": np.array(VGG16_LEFT),
        "kernels": np.full(13, 3),
        "sizes": np.array(VGG16_SIZES),
        "in_channels": 3,
    }


def draw_two_layers(rng, n1=None, n2=None, channels=None, kernel=1):
    """Until the strategies differ, and filters of which both signs and squares mislead."""
    n1, n2 = n1 or int(rng.integers(4, 6)), n2 or int(rng.integers(4, 6))
    while True:
        drawn = {
            "W1": signed_whole_numbers(rng, (n1, channels or 2, kernel, kernel)),
            "W2": signed_whole_numbers(rng, (n2, n1, kernel, kernel)),
            "n_pruned1": int(rng.integers(1, n1 - 1)),
            "n_pruned2": int(rng.integers(1, n2 - 1)),
        }
        _, independent, greedy = keep_two_layers(**drawn)
        if not np.array_equal(independent, greedy):
            return drawn


def nothing_pruned_in_one(layer):
    def drawn(rng):
        return draw_two_layers(rng) | {f"n_pruned{layer}": 0}

    return drawn


def equal_filters_in_two_layers(rng):
    return {"W1": np.ones((4, 2, 1, 1)), "W2": -np.ones((3, 4, 1, 1)), "n_pruned1": 2} | {
        "n_pruned2": 1
    }


def draw_stage(rng, n=None, n_pruned=None, kernel=1):
    n = n or int(rng.integers(4, 6))
    inside = int(rng.integers(2, 4))
    return {
        "P": signed_whole_numbers(rng, (n, 2, 1, 1)),
        "A": signed_whole_numbers(rng, (n, inside, kernel, kernel)),
        "B1": signed_whole_numbers(rng, (inside, n, kernel, kernel)),
        "B2": signed_whole_numbers(rng, (n, inside, kernel, kernel)),
        "C": signed_whole_numbers(rng, (2, n, kernel, kernel)),
        "n_pruned": int(rng.integers(1, n - 1)) if n_pruned is None else n_pruned,
    }


def equal_projections(rng):
    drawn = draw_stage(rng, n=5, n_pruned=2)
    return drawn | {"P": np.ones_like(drawn["P"])}


def draw_errors(rng, n_layers=3, n_shares=None, tolerance=None):
    """Quarters, so that a limit is met exactly; bumps, a layer that bears nothing, one all."""
    n_shares = n_shares or int(rng.integers(4, 6))
    dense_error = float(rng.integers(20, 33)) / 4
    tolerance = float(rng.choice([0.5, 0.75, 1.0])) if tolerance is None else tolerance
    steps = rng.choice([-1, 0, 1, 2, 2], size=(n_layers, n_shares))
    above = np.cumsum(steps, axis=1) / 4
    above[0, 1:4] = [tolerance, tolerance + 0.5, tolerance - 0.25]
    above[0, 0] = rng.choice([-2, -1.25])
    above[-1, 0] += rng.choice([0, 2])
    errors = dense_error + above
    return {
        "shares": np.sort(rng.permutation(np.arange(1, 10))[:n_shares]) / 10,
        "errors": errors[rng.permutation(n_layers)],
        "dense_error": dense_error,
        "tolerance": tolerance,
    }


def flat_errors(above):
    """Every layer at the same distance from the dense error."""

    def drawn(rng):
        inputs = draw_errors(rng)
        return inputs | {"errors": np.full(inputs["errors"].shape, inputs["dense_error"] + above)}

    return drawn


CHECKS = [
    Check(
        filter_norms,
        points=1,
        draw=draw_filters,
        hint="W[i] is filter i, with all its channels: how large is |w|, summed over these and "
        "over the kernel? There is one number for each filter.",
        wrong={
            "Euclidean norms": euclidean_norms,
            "norms of the input channels": norms_of_the_input_channels,
            "norm of each kernel": norm_of_each_kernel,
            "signed sums": signed_sums,
            "size of the sum": size_of_the_sum,
            "means instead of sums": means_instead_of_sums,
            "largest weight": largest_weight,
            "weights counted": weights_counted,
        },
        edges=(
            lambda rng: {"W": np.zeros((3, 2, 3, 3))},
            lambda rng: draw_filters(rng, (1, 1, 1, 1)),
            lambda rng: draw_filters(rng, (2, 6, 1, 1)),
            lambda rng: {"W": rng.normal(size=(64, 32, 3, 3))},
        ),
    ),
    Check(
        keep_largest,
        points=1,
        draw=draw_norms,
        hint="exactly n_pruned filters go. Which of two with the same norm stays? A stable sort of "
        "-norms puts the earlier first. Return the indices of those that stay, rising. And if "
        "n_pruned is 0?",
        wrong={
            "the pruned ones returned": pruned_returned,
            "smallest kept": smallest_kept,
            "in the order of the norms": in_the_order_of_the_norms,
            "the later where two tie": later_where_two_tie,
            "n_pruned kept instead of pruned": kept_instead_of_pruned,
            "all above a threshold": all_above_a_threshold,
            "all from a threshold on": all_from_a_threshold_on,
            "counted from 1": counted_from_1,
            "nothing left where none is pruned": nothing_left_where_none_is_pruned,
            "norms instead of indices": norms_instead_of_indices,
        },
        edges=(
            lambda rng: draw_norms(rng, n_pruned=0),
            lambda rng: draw_norms(rng, n=6, n_pruned=3, tie=True),
            lambda rng: draw_norms(rng, n=6, n_pruned=5, tie=True),
            lambda rng: {"norms": np.ones(5), "n_pruned": 2},
            lambda rng: {"norms": np.zeros(1), "n_pruned": 0},
            lambda rng: {"norms": rng.integers(1, 9, size=512) / 4, "n_pruned": 256},
        ),
    ),
    Check(
        prune_conv,
        points=1,
        draw=draw_conv,
        hint="a filter that goes takes its bias along, and its four numbers of the batch norm. "
        "The next layer has one input channel for each filter of this layer: which axis of W_next "
        "is that?",
        wrong={
            "next layer forgotten": next_layer_forgotten,
            "filters of the next layer": filters_of_the_next_layer,
            "batch norm forgotten": batch_norm_forgotten,
            "running statistics forgotten": running_statistics_forgotten,
            "bias forgotten": bias_forgotten,
            "removed instead of kept": removed_instead_of_kept,
            "first ones kept": first_ones_kept,
            "own channels taken": own_channels_taken,
            "masked instead of removed": masked_instead_of_removed,
        },
        edges=(
            lambda rng: draw_conv(rng, n=4, n_kept=4),
            lambda rng: draw_conv(rng, n=1, n_kept=1),
            lambda rng: draw_conv(rng, n=4, n_kept=2, channels=4, n_next=4, kernel=3),
            lambda rng: draw_conv(rng, n=32, n_kept=16, channels=16, n_next=32, kernel=3),
        ),
        atol=0,
    ),
    Check(
        prune_into_linear,
        points=1,
        draw=draw_linear,
        hint="flattened, channel 0 has the first height * width columns of V, channel 1 the next "
        "ones. Which columns belong to the channels that stay?",
        wrong={
            "one column for each channel": one_column_for_each_channel,
            "channels last": channels_last,
            "first columns kept": first_columns_kept,
            "blocks of the height alone": blocks_of_the_height_alone,
            "ordered by place": ordered_by_place,
            "linear layer forgotten": linear_layer_forgotten,
            "columns set to zero": columns_set_to_zero,
            "columns of the removed": columns_of_the_removed,
        },
        edges=(
            lambda rng: draw_linear(rng, n=4, n_kept=2, height=1, width=1),
            lambda rng: draw_linear(rng, n=4, n_kept=4),
            lambda rng: draw_linear(rng, n=6, n_kept=3, height=2, width=3, n_out=6),
            lambda rng: draw_linear(rng, n=50, n_kept=20, height=4, width=4, n_out=10),
        ),
        atol=0,
    ),
    Check(
        removed_shares,
        points=2,
        draw=draw_chain,
        hint="a layer has filters[i] * (channels it reads) * kernels[i] ** 2 weights; after "
        "pruning, it reads what is left of the layer before. Each weight is used once for each of "
        "the sizes[i] ** 2 places. For the two totals: sum first, divide last. Where do biases "
        "count?",
        wrong={
            "input channels not pruned": input_channels_not_pruned,
            "own filters not pruned": own_filters_not_pruned,
            "shares averaged": shares_averaged,
            "shares left": shares_left,
            "relative to what is left": removed_per_share_left,
            "in percent": in_percent,
            "biases forgotten": biases_forgotten,
            "biases taken as multiply-adds": biases_taken_as_multiply_adds,
            "kernels not squared": kernels_not_squared,
            "sizes not squared": sizes_not_squared,
            "sizes forgotten": sizes_forgotten,
            "channels of the image forgotten": in_channels_forgotten,
        },
        edges=(
            vgg16_cifar,
            lambda rng: draw_chain(rng, n_layers=1),
            lambda rng: draw_chain(rng, n_layers=6, in_channels=1),
            lambda rng: vgg16_cifar(rng) | {"left": np.array(VGG16_FILTERS)},
        ),
    ),
    Check(
        keep_two_layers,
        points=2,
        draw=draw_two_layers,
        hint="independent: the norms of whole filters of W2. Greedy: a filter of W2 has lost the "
        "channels that the first layer does not make any more, so which of its weights count? The "
        "first layer is the same in both.",
        wrong={
            "strategies exchanged": strategies_exchanged,
            "independent twice": independent_twice,
            "greedy twice": greedy_twice,
            "channels that are gone": channels_that_are_gone,
            "first channels read": first_channels_read,
            "signed sums": two_layers_by_signed_sums,
            "Euclidean norms": two_layers_by_euclidean_norms,
            "first layer ranked by its readers": first_layer_ranked_by_its_readers,
            "counts exchanged": counts_exchanged,
            "one ranking for both layers": one_ranking_for_both_layers,
        },
        edges=(
            nothing_pruned_in_one(1),
            nothing_pruned_in_one(2),
            equal_filters_in_two_layers,
            lambda rng: draw_two_layers(rng, n1=16, n2=24, channels=8, kernel=3),
        ),
    ),
    Check(
        prune_shortcut,
        points=2,
        draw=draw_stage,
        hint="P decides, by the norms of its own filters. Then go through the text: which arrays "
        "make maps that are added to y or z (they lose filters), and which read y or z (they lose "
        "input channels)? The maps between B1 and B2 all stay.",
        wrong={
            "ranked by the residual": ranked_by_the_residual,
            "ranked by the last layer": ranked_by_the_last_layer,
            "ranked by the sum of all three": ranked_by_the_sum_of_all_three,
            "ranked by the readers": ranked_by_the_readers,
            "each by its own norms": each_by_its_own_norms,
            "identity block left whole": identity_block_left_whole,
            "last layer left whole": last_layer_left_whole,
            "consumer left whole": consumer_left_whole,
            "filters inside the block pruned": filters_inside_the_block_pruned,
            "largest pruned": largest_pruned,
            "projection pruned alone": kept_where_p_is_pruned_alone,
        },
        edges=(
            lambda rng: draw_stage(rng, n=4, n_pruned=0),
            lambda rng: draw_stage(rng, n=4, n_pruned=3),
            equal_projections,
            lambda rng: draw_stage(rng, n=32, n_pruned=12, kernel=3),
        ),
    ),
    Check(
        largest_shares,
        points=1,
        draw=draw_errors,
        hint="row by row, from the smallest share on: stop at the first error above dense_error + "
        "tolerance (equal is not above). What comes after it does not count. And if it is the "
        "first of the row?",
        wrong={
            "a bump jumped over": a_bump_jumped_over,
            "equal taken as too bad": equal_taken_as_too_bad,
            "relative tolerance": relative_tolerance,
            "tolerance forgotten": tolerance_forgotten,
            "dense error forgotten": dense_error_forgotten,
            "against the smallest share": against_the_smallest_share,
            "step by step": step_by_step,
            "differences either way": differences_either_way,
            "first share that is too bad": first_share_that_is_too_bad,
            "place instead of share": place_instead_of_share,
            "smallest share where none is good": smallest_share_where_none_is_good,
            "one share for all layers": one_share_for_all_layers,
        },
        edges=(
            lambda rng: draw_errors(rng, tolerance=0.0),
            lambda rng: draw_errors(rng, n_layers=1),
            flat_errors(-0.5),
            flat_errors(5.0),
            lambda rng: draw_errors(rng, n_layers=13, n_shares=9),
        ),
    ),
]
