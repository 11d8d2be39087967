"""What the functions of exercise 11 must do, and mistakes that must be noticed."""

import numpy as np

from sparsecourse.grading.checks import Check
from sparsecourse.reference import weight_groups as reference

PRICED = ("filters", "channels", "shapes", "depth")  # the columns of `prices`


def group_lengths(W):
    return tuple(reference.group_norms(W, kind) for kind in ("filters", "channels", "shapes"))


def over_others(W, of_all):
    """`of_all` for the filters, the channels and the shapes: takes an array and axes."""
    return of_all(W, (1, 2, 3)), of_all(W, (0, 2, 3)), of_all(W, (0,))


def sums_of_sizes(W):
    return over_others(np.abs(W), np.sum)


def roots_forgotten(W):
    return over_others(W**2, np.sum)


def means_of_squares(W):
    return tuple(np.sqrt(mean) for mean in over_others(W**2, np.mean))


def largest_weights(W):
    return over_others(np.abs(W), np.max)


def weights_counted(W):
    return over_others(W != 0, np.sum)


def roots_of_signed_sums(W):
    return tuple(np.abs(total) for total in over_others(W, np.sum))


def filters_and_channels_exchanged(W):
    filters, channels, shapes = group_lengths(W)
    return channels, filters, shapes


def kernels_instead_of_shapes(W):
    return *group_lengths(W)[:2], reference.group_norms(W, "kernels")


def one_position_in_all_channels(W):
    return *group_lengths(W)[:2], np.sqrt((W**2).sum(axis=(0, 1)))


def filters_by_the_lengths_of_their_kernels(W):
    """The lengths of the kernels, added: longer than the filter."""
    kernels = reference.group_norms(W, "kernels")
    return kernels.sum(axis=1), kernels.sum(axis=0), group_lengths(W)[2]


def penalty(W1, W2, prices):
    return charged(W1, W2, prices, reference.group_penalty)


def charged(W1, W2, prices, of_kind):
    """`of_kind` takes the weights and a kind: what lam = 1 costs."""
    return float(
        sum(
            lam * of_kind(W, kind)
            for W, row in zip((W1, W2), prices, strict=True)
            for kind, lam in zip(PRICED, row, strict=True)
        )
    )


def squares_charged(W1, W2, prices):
    return charged(W1, W2, prices, lambda W, kind: (W**2).sum())


def sizes_charged(W1, W2, prices):
    return charged(W1, W2, prices, lambda W, kind: np.abs(W).sum())


def one_root_for_all_groups(W1, W2, prices):
    return charged(W1, W2, prices, lambda W, kind: np.linalg.norm(W))


def means_instead_of_sums(W1, W2, prices):
    return charged(W1, W2, prices, lambda W, kind: reference.group_norms(W, kind).mean())


def weighted_by_the_root_of_the_size(W1, W2, prices):
    """What Yuan and Lin charge."""

    def of_kind(W, kind):
        norms = reference.group_norms(W, kind)
        return np.sqrt(W.size / norms.size) * norms.sum()

    return charged(W1, W2, prices, of_kind)


def living_groups_counted(W1, W2, prices):
    return charged(W1, W2, prices, lambda W, kind: np.count_nonzero(reference.group_norms(W, kind)))


def with_columns(columns):
    """The prices of the kinds in another order."""
    return lambda W1, W2, prices: penalty(W1, W2, prices[:, columns])


filters_and_channels_charged_crosswise = with_columns([1, 0, 2, 3])
channels_and_shapes_charged_crosswise = with_columns([0, 2, 1, 3])


def kernels_charged_instead_of_shapes(W1, W2, prices):
    def of_kind(W, kind):
        return reference.group_penalty(W, "kernels" if kind == "shapes" else kind)

    return charged(W1, W2, prices, of_kind)


def depth_not_charged(W1, W2, prices):
    return penalty(W1, W2, prices * [1, 1, 1, 0])


def one_depth_for_both_layers(W1, W2, prices):
    both = np.hypot(np.linalg.norm(W1), np.linalg.norm(W2))
    return depth_not_charged(W1, W2, prices) + float(prices[0, 3] * both)


def second_layer_forgotten(W1, W2, prices):
    return penalty(W1, W2, prices * [[1], [0]])


def prices_of_the_first_layer_for_both(W1, W2, prices):
    return penalty(W1, W2, prices[[0, 0]])


def proximal_step(W, G, lr, lam_filters, lam_channels):
    return filters_then_channels(W - lr * G, lr * lam_filters, lr * lam_channels)


def filters_then_channels(V, filters, channels, shrink=reference.proximal_step):
    return shrink(shrink(V, "filters", filters), "channels", channels)


def shrunk_by_a_factor(of_length):
    """Each group times `of_length` (length, threshold); of a zero group, times 1."""

    def shrink(V, kind, threshold):
        shrunk = V.copy()
        groups, norms = reference.group_view(shrunk, kind), reference.group_norms(V, kind)
        for g in np.ndindex(norms.shape):
            groups[g] *= of_length(norms[g], threshold) if norms[g] > 0 else 1
        return shrunk

    return shrink


def with_shrink(shrink):
    return lambda W, G, lr, lam_filters, lam_channels: filters_then_channels(
        W - lr * G, lr * lam_filters, lr * lam_channels, shrink
    )


groups_cut_off_only = with_shrink(shrunk_by_a_factor(lambda length, threshold: length > threshold))
past_zero = with_shrink(shrunk_by_a_factor(lambda length, threshold: 1 - threshold / length))
same_factor_for_all = with_shrink(
    shrunk_by_a_factor(lambda length, threshold: (1 - threshold) * (length > threshold))
)
divided_by_the_square = with_shrink(
    shrunk_by_a_factor(lambda length, threshold: max(1 - threshold / length**2, 0))
)
never_to_zero = with_shrink(
    shrunk_by_a_factor(lambda length, threshold: length / (length + threshold))
)
entries_shrunk_alone = with_shrink(
    lambda V, kind, threshold: np.sign(V) * np.maximum(np.abs(V) - threshold, 0)
)


def nan_for_a_zero_group(W, G, lr, lam_filters, lam_channels):
    V = W - lr * G
    for lam, axes in ((lam_filters, (1, 2, 3)), (lam_channels, (0, 2, 3))):
        length = np.sqrt((V**2).sum(axis=axes, keepdims=True))
        V = V / length * np.maximum(length - lr * lam, 0)
    return V


def nan_where_both_are_zero(W, G, lr, lam_filters, lam_channels):
    """A threshold of 0 over a length of 0."""
    V = W - lr * G
    for lam, axes in ((lam_filters, (1, 2, 3)), (lam_channels, (0, 2, 3))):
        length = np.sqrt((V**2).sum(axis=axes, keepdims=True))
        V = V * np.maximum(1 - lr * lam / length, 0)
    return V


def price_not_times_the_rate(W, G, lr, lam_filters, lam_channels):
    return filters_then_channels(W - lr * G, lam_filters, lam_channels)


def shrunk_before_the_step(W, G, lr, lam_filters, lam_channels):
    return filters_then_channels(W, lr * lam_filters, lr * lam_channels) - lr * G


def gradient_added(W, G, lr, lam_filters, lam_channels):
    return proximal_step(W, -G, lr, lam_filters, lam_channels)


def gradient_forgotten(W, G, lr, lam_filters, lam_channels):
    return proximal_step(W, 0 * G, lr, lam_filters, lam_channels)


def channels_first(W, G, lr, lam_filters, lam_channels):
    V = reference.proximal_step(W - lr * G, "channels", lr * lam_channels)
    return reference.proximal_step(V, "filters", lr * lam_filters)


def filters_alone(W, G, lr, lam_filters, lam_channels):
    return proximal_step(W, G, lr, lam_filters, 0.0)


def prices_exchanged(W, G, lr, lam_filters, lam_channels):
    return proximal_step(W, G, lr, lam_channels, lam_filters)


def channels_measured_before_the_filters_shrink(W, G, lr, lam_filters, lam_channels):
    """Both factors from the same weights."""
    V = W - lr * G
    length = reference.group_norms(V, "channels")
    factor = np.maximum(1 - lr * lam_channels / np.where(length > 0, length, 1), 0)
    return reference.proximal_step(V, "filters", lr * lam_filters) * factor[:, None, None]


def subgradient_step(W, G, lr, lam):
    return W - lr * (G + lam * reference.group_subgradient(W, "shapes"))


def along(direction):
    """A step along the gradient and `direction` of W."""
    return lambda W, G, lr, lam: W - lr * (G + lam * direction(W))


groups_are_filters = along(lambda W: reference.group_subgradient(W, "filters"))
groups_are_channels = along(lambda W: reference.group_subgradient(W, "channels"))
groups_are_kernels = along(lambda W: reference.group_subgradient(W, "kernels"))
signs_of_the_weights = along(np.sign)
weight_decay = along(lambda W: W)
not_divided_by_zero = along(lambda W: W / np.sqrt((W**2).sum(axis=0)))
divided_by_the_squared_length = along(lambda W: W / np.where(W.any(axis=0), (W**2).sum(axis=0), 1))
price_added_to_every_weight = along(np.ones_like)


def zero_groups_held(W, G, lr, lam):
    """As if a group that is zero could not come back."""
    return subgradient_step(W, G, lr, lam) * W.any(axis=0)


def stopped_at_zero(W, G, lr, lam):
    """The proximal step: exact zeros, which this method does not make."""
    return reference.proximal_step(W - lr * G, "shapes", lr * lam)


def measured_after_the_step(W, G, lr, lam):
    V = W - lr * G
    return V - lr * lam * reference.group_subgradient(V, "shapes")


def lam_not_times_the_rate(W, G, lr, lam):
    return W - lr * G - lam * reference.group_subgradient(W, "shapes")


def pushed_away_from_zero(W, G, lr, lam):
    return subgradient_step(W, G, lr, -lam)


def only_the_price(W, G, lr, lam):
    return subgradient_step(W, 0 * G, lr, lam)


def connect(W1, W2, W3):
    return until_nothing_changes([W1, W2, W3], dead_between)


def has_weights(W):
    return (W != 0).any(axis=(1, 2, 3))


def is_read(W):
    return (W != 0).any(axis=(0, 2, 3))


def dead_between(before, after):
    return ~(has_weights(before) & is_read(after))


def one_round(layers, pairs, dead_between):
    """Kill both ends of what is dead between the layers of each pair, (number, number)."""
    layers = [W.copy() for W in layers]
    for i, j in pairs:
        dead = dead_between(layers[i], layers[j])
        layers[i][dead] = 0
        layers[j][:, dead] = 0
    return tuple(layers)


def until_nothing_changes(layers, dead_between):
    n_left = np.inf
    while (now := sum(np.count_nonzero(W) for W in layers)) < n_left:
        n_left = now
        layers = one_round(layers, [(0, 1), (1, 2)], dead_between)
    return tuple(layers)


def nothing_dies_with_it(W1, W2, W3):
    return W1.copy(), W2.copy(), W3.copy()


def each_pair_once(W1, W2, W3):
    return one_round([W1, W2, W3], [(0, 1), (1, 2)], dead_between)


def each_pair_once_from_the_end(W1, W2, W3):
    return one_round([W1, W2, W3], [(1, 2), (0, 1)], dead_between)


def forward_only(W1, W2, W3):
    return until_nothing_changes([W1, W2, W3], lambda before, after: ~has_weights(before))


def backward_only(W1, W2, W3):
    return until_nothing_changes([W1, W2, W3], lambda before, after: ~is_read(after))


def from_the_first_state(W1, W2, W3):
    """All deaths looked up before anything is set to zero."""
    first, second = dead_between(W1, W2), dead_between(W2, W3)
    layers = W1.copy(), W2.copy(), W3.copy()
    layers[0][first] = 0
    layers[1][:, first] = 0
    layers[1][second] = 0
    layers[2][:, second] = 0
    return layers


def only_if_both_ends_are_dead(W1, W2, W3):
    return until_nothing_changes(
        [W1, W2, W3], lambda before, after: ~has_weights(before) & ~is_read(after)
    )


def dead_by_their_sums(W1, W2, W3):
    return until_nothing_changes(
        [W1, W2, W3],
        lambda before, after: (
            ~((before.sum(axis=(1, 2, 3)) != 0) & (after.sum(axis=(0, 2, 3)) != 0))
        ),
    )


def dead_by_a_single_zero(W1, W2, W3):
    return until_nothing_changes(
        [W1, W2, W3],
        lambda before, after: ~(before.all(axis=(1, 2, 3)) & after.all(axis=(0, 2, 3))),
    )


def readers_left_as_they_are(W1, W2, W3):
    """The filters die, the channels of the layer behind do not."""
    dead = [dead_between(*pair) for pair in ((W1, W2), (W2, W3))]
    return *(W * ~d[:, None, None, None] for W, d in zip((W1, W2), dead, strict=True)), W3.copy()


def dead_taken_out(W1, W2, W3):
    layers = connect(W1, W2, W3)
    first, second = has_weights(layers[0]), has_weights(layers[1])
    return layers[0][first], layers[1][second][:, first], layers[2][:, second]


def compact(W1, b1, W2, b2):
    return compacted(W1, b1, W2, b2, ~dead_between(W1, W2))


def compacted(W1, b1, W2, b2, stays):
    lost = np.zeros(len(W2))
    for j in np.flatnonzero(~stays):
        lost += W2[:, j].sum(axis=(1, 2)) * max(b1[j], 0)
    return W1[stays], b1[stays], W2[:, stays], b2.copy(), lost


def unread_filters_left(W1, b1, W2, b2):
    return compacted(W1, b1, W2, b2, has_weights(W1))


def zero_filters_left(W1, b1, W2, b2):
    return compacted(W1, b1, W2, b2, is_read(W2))


def taken_out_if_both_ends_are_dead(W1, b1, W2, b2):
    return compacted(W1, b1, W2, b2, has_weights(W1) | is_read(W2))


def biases_taken_as_weights(W1, b1, W2, b2):
    return compacted(W1, b1, W2, b2, (has_weights(W1) | (b1 != 0)) & is_read(W2))


def judged_by_sums(W1, b1, W2, b2):
    stays = (W1.sum(axis=(1, 2, 3)) != 0) & (W2.sum(axis=(0, 2, 3)) != 0)
    return compacted(W1, b1, W2, b2, stays)


def readers_not_made_smaller(W1, b1, W2, b2):
    small = compact(W1, b1, W2, b2)
    return *small[:2], W2, *small[3:]


def first_biases_not_taken_out(W1, b1, W2, b2):
    small = compact(W1, b1, W2, b2)
    return small[0], b1, *small[2:]


def zero_filters_of_the_second_taken_out(W1, b1, W2, b2):
    W1, b1, W2, b2, lost = compact(W1, b1, W2, b2)
    stays = has_weights(W2)
    return W1, b1, W2[stays], b2[stays], lost[stays]


def constants_put_into_the_bias(W1, b1, W2, b2):
    *small, lost = compact(W1, b1, W2, b2)
    small[3] = b2 + lost
    return *small, lost


def with_constants(constants):
    """`lost` from other constants, of b1, W1 and W2 (one a filter); the arrays as they are."""

    def compact_so(W1, b1, W2, b2):
        *small, _ = compact(W1, b1, W2, b2)
        return *small, W2.sum(axis=(2, 3)) @ constants(b1, W1, W2)

    return compact_so


nothing_lost = with_constants(lambda b1, W1, W2: 0 * b1)
relu_forgotten = with_constants(lambda b1, W1, W2: np.where(has_weights(W1), 0, b1))
size_of_the_bias = with_constants(lambda b1, W1, W2: np.where(has_weights(W1), 0, np.abs(b1)))
constants_of_the_living_too = with_constants(lambda b1, W1, W2: np.maximum(b1, 0))
constants_of_one = with_constants(lambda b1, W1, W2: np.where(has_weights(W1), 0, b1 > 0))
gained_instead_of_lost = with_constants(
    lambda b1, W1, W2: -np.where(has_weights(W1), 0, np.maximum(b1, 0))
)


def kernels_averaged(W1, b1, W2, b2):
    *small, lost = compact(W1, b1, W2, b2)
    return *small, lost / W2[0, 0].size


def gather_columns(W, b, X):
    return gathered(W, b, X, np.flatnonzero((W != 0).any(axis=0)))


def gathered(W, b, X, columns, place=lambda W, column: np.unravel_index(column, W.shape[1:])):
    """`place` finds the channel and position of a column."""
    A = W.reshape(len(W), -1)[:, columns]
    down, across = X.shape[1] - W.shape[2] + 1, X.shape[2] - W.shape[3] + 1
    P = np.zeros((len(columns), down * across))
    for k, column in enumerate(columns):
        channel, i, j = place(W, column)
        P[k] = X[channel, i : i + down, j : j + across].ravel()
    return columns, A, P, (A @ P + b[:, None]).reshape(len(W), down, across)


def all_columns(W, b, X):
    return gathered(W, b, X, np.arange(W[0].size))


def columns_without_any_zero(W, b, X):
    return gathered(W, b, X, np.flatnonzero((W != 0).all(axis=0)))


def columns_by_their_sums(W, b, X):
    return gathered(W, b, X, np.flatnonzero(W.sum(axis=0)))


def columns_of_the_first_filter(W, b, X):
    return gathered(W, b, X, np.flatnonzero(W[0]))


def zero_columns_gathered(W, b, X):
    return gathered(W, b, X, np.flatnonzero(~(W != 0).any(axis=0)))


def dead_channels_alone(W, b, X):
    """Every position of a channel that has any."""
    return gathered(W, b, X, np.flatnonzero(np.broadcast_to(channel_lives(W), W.shape[1:])))


def channel_lives(W):
    return is_read(W)[:, None, None]


def positions_dead_in_all_channels(W, b, X):
    lives = (W != 0).any(axis=(0, 1))
    return gathered(W, b, X, np.flatnonzero(np.broadcast_to(lives, W.shape[1:])))


def positions_first(W, b, X):
    """As if the matrix had the channels of a position beside each other."""
    columns = np.flatnonzero((W != 0).any(axis=0).transpose(1, 2, 0))
    height, width = W.shape[2:]

    def place(W, column):
        i, j, channel = np.unravel_index(column, (height, width, W.shape[1]))
        return channel, i, j

    _, _, P, Y = gathered(W, b, X, columns, place)
    A = W.transpose(0, 2, 3, 1).reshape(len(W), -1)[:, columns]
    return columns, A, P, (A @ P + b[:, None]).reshape(Y.shape)


def kernel_turned(W, b, X):
    """The convolution of mathematics, which turns the kernel round."""

    def place(W, column):
        channel, i, j = np.unravel_index(column, W.shape[1:])
        return channel, W.shape[2] - 1 - i, W.shape[3] - 1 - j

    columns = gather_columns(W, b, X)[0]
    return gathered(W, b, X, columns, place)


def rows_and_columns_of_the_kernel_exchanged(W, b, X):
    turned, _, P, Y = gather_columns(W, b, X.swapaxes(1, 2))
    return turned, W.reshape(len(W), -1)[:, turned], P, Y.swapaxes(1, 2)


def places_column_by_column(W, b, X):
    columns, A, P, Y = gather_columns(W, b, X)
    down, across = Y.shape[1:]
    P = P.reshape(-1, down, across).swapaxes(1, 2).reshape(len(P), -1)
    return columns, A, P, (A @ P + b[:, None]).reshape(Y.shape)


def bias_forgotten(W, b, X):
    return gather_columns(W, 0 * b, X)


def maps_left_flat(W, b, X):
    *parts, Y = gather_columns(W, b, X)
    return *parts, Y.reshape(len(Y), -1)


def zero_rows_taken_out(W, b, X):
    stays = has_weights(W)
    return gather_columns(W[stays], b[stays], X)


def counted_from_1(W, b, X):
    columns, *parts = gather_columns(W, b, X)
    return columns + 1, *parts


def percent_left(W1, W2, places1, places2):
    return in_percent(W1, W2, places1, places2, rows_times_columns)


def rows_times_columns(W1, W2):
    """What is left of each layer when what died is taken out."""
    stays = ~dead_between(W1, W2)
    return tuple(n_rows(W) * n_columns(W) for W in (W1[stays], W2[:, stays]))


def n_rows(W):
    return np.count_nonzero(has_weights(W))


def n_columns(W):
    return np.count_nonzero((W != 0).any(axis=0))


def in_percent(W1, W2, places1, places2, left):
    """`left` gives the weights used at each place of the two layers."""
    places, dense = np.array([places1, places2]), np.array([W1.size, W2.size])
    now = np.array(left(W1, W2))
    return 100 * now / dense, float(100 * (now @ places) / (dense @ places))


def with_left(left):
    return lambda W1, W2, places1, places2: in_percent(W1, W2, places1, places2, left)


single_weights_counted = with_left(lambda W1, W2: (np.count_nonzero(W1), np.count_nonzero(W2)))
layers_looked_at_alone = with_left(lambda W1, W2: tuple(n_rows(W) * n_columns(W) for W in (W1, W2)))
rows_alone = with_left(
    lambda W1, W2: tuple(
        n_rows(W) * full[0].size for W, full in zip(compact_pair(W1, W2), (W1, W2), strict=True)
    )
)
columns_alone = with_left(
    lambda W1, W2: tuple(
        n_columns(W) * len(full) for W, full in zip(compact_pair(W1, W2), (W1, W2), strict=True)
    )
)
whole_channels = with_left(
    lambda W1, W2: tuple(
        n_rows(W) * np.count_nonzero(is_read(W)) * W[0, 0].size for W in compact_pair(W1, W2)
    )
)


def compact_pair(W1, W2):
    stays = ~dead_between(W1, W2)
    return W1[stays], W2[:, stays]


def unread_filters_computed(W1, W2, places1, places2):
    stays = has_weights(W1)

    def left(W1, W2):
        return tuple(n_rows(W) * n_columns(W) for W in (W1[stays], W2[:, stays]))

    return in_percent(W1, W2, places1, places2, left)


def channels_of_dead_filters_read(W1, W2, places1, places2):
    def left(W1, W2):
        W1 = W1[~dead_between(W1, W2)]
        return tuple(n_rows(W) * n_columns(W) for W in (W1, W2))

    return in_percent(W1, W2, places1, places2, left)


def percents_averaged(W1, W2, places1, places2):
    layers, _ = percent_left(W1, W2, places1, places2)
    return layers, float(layers.mean())


def percents_multiplied(W1, W2, places1, places2):
    layers, _ = percent_left(W1, W2, places1, places2)
    return layers, float(layers.prod() / 100)


def places_forgotten(W1, W2, places1, places2):
    return percent_left(W1, W2, 1, 1)


def places_exchanged(W1, W2, places1, places2):
    return percent_left(W1, W2, places2, places1)


def shares_instead_of_percent(W1, W2, places1, places2):
    layers, together = percent_left(W1, W2, places1, places2)
    return layers / 100, together / 100


def removed_instead_of_left(W1, W2, places1, places2):
    layers, together = percent_left(W1, W2, places1, places2)
    return 100 - layers, 100 - together


def signed_whole_numbers(rng, shape):
    return rng.integers(1, 7, size=shape) * rng.choice([-1.0, 1.0], size=shape)


def draw_shape(rng):
    """Filters, channels, height and width, no two of them alike as far as it goes."""
    return int(rng.integers(3, 5)), 2, int(rng.integers(1, 3)), 3


def draw_layer(rng, shape=None):
    """A filter, a channel and a position that are zero are likely, and a few single zeros."""
    W = signed_whole_numbers(rng, shape or draw_shape(rng))
    W[rng.random(W.shape) < 0.15] = 0
    if shape is None:
        if rng.random() < 0.5:
            W[int(rng.integers(len(W)))] = 0
        W[:, 1, 0, int(rng.integers(3))] = 0
    return W


def draw_two_priced(rng):
    n = int(rng.integers(2, 4))
    return {
        "W1": draw_layer(rng, (n, 1, 1, 3)),
        "W2": draw_layer(rng, (4, n, 2, 1)),
        "prices": rng.permutation(np.arange(1.0, 9)).reshape(2, 4) / 10,
    }


def draw_step(rng, shape=None, scale=1.0):
    """Groups on both sides of their thresholds, one that is zero and stays so; a price of 0."""
    shape = shape or (4, 3, 1, 2)
    W = rng.normal(size=shape) * rng.choice([0.1, 0.5, 2.0], size=(shape[0], 1, 1, 1))
    W *= rng.choice([0.3, 1.0, 1.5], size=(1, shape[1], 1, 1))
    G = rng.normal(size=shape)
    if shape[0] > 2:
        dead = int(rng.integers(shape[0]))
        W[dead], G[dead] = 0, 0
    return {
        "W": W.round(2) * scale,
        "G": G.round(2) * scale,
        "lr": float(rng.choice([0.1, 0.2, 0.5])),
        "lam_filters": float(rng.choice([1.5, 0.0, 2.5])) * scale,
        "lam_channels": float(rng.choice([0.5, 0.7, 3.0])) * scale,
    }


def priced_at(lam_filters, lam_channels):
    return lambda rng: draw_step(rng) | {"lam_filters": lam_filters, "lam_channels": lam_channels}


def draw_descent(rng, shape=None):
    """A short column that is passed over zero, and a zero one with a gradient."""
    shape = shape or (3, 2, 1, 3)
    W, G = signed_whole_numbers(rng, shape) / 2, signed_whole_numbers(rng, shape) / 4
    columns = rng.permutation(W[0].size)
    flat = W.reshape(len(W), -1)
    flat[:, columns[0]] = 0
    flat[:, columns[1]] /= 40
    return {"W": W, "G": G} | {
        "lr": float(rng.choice([0.1, 0.25, 0.5])),
        "lam": float(rng.choice([0.5, 1.0, 2.0])),
    }


def draw_chain(rng, n=None, n_out=None, kernel=1):
    """A death that spreads to the end, one that spreads to the start, and weights of both signs.

    Filter `a` of W1 has no weights, and filter `p` of W2 reads nothing else; W3 does not read
    filter `q` of W2, which alone reads filter `b` of W1.
    """
    n1, n2 = (n, n) if n else rng.integers(4, 6, size=2)
    n_out = n_out or int(rng.integers(2, 4))
    W1 = signed_whole_numbers(rng, (n1, 2, 1, kernel))
    W2 = signed_whole_numbers(rng, (n2, n1, kernel, 1))
    W3 = signed_whole_numbers(rng, (n_out, n2, 1, 1))
    (a, b, c), (p, q, r) = rng.permutation(n1)[:3], rng.permutation(n2)[:3]
    W1[a] = 0
    W1[c, 1] = -W1[c, 0]  # adds up to 0, and lives
    W2[p, np.arange(n1) != a] = 0
    W2[np.arange(n2) != q, b] = 0
    W2[r, c] = 0
    W3[:, q] = 0
    return {"W1": W1, "W2": W2, "W3": W3}


def nothing_dead(rng):
    drawn = draw_chain(rng)
    return {name: signed_whole_numbers(rng, W.shape) for name, W in drawn.items()}


def all_dead(rng):
    """The first layer has no weights at all: nothing gets through."""
    drawn = nothing_dead(rng)
    return drawn | {"W1": np.zeros_like(drawn["W1"])}


def scattered(rng):
    """Zeros anywhere, many of them."""
    shapes = {"W1": (12, 3, 3, 3), "W2": (16, 12, 1, 1), "W3": (6, 16, 1, 1)}
    share = {"W1": 0.97, "W2": 0.9, "W3": 0.85}
    return {
        name: np.where(rng.random(shape) > share[name], signed_whole_numbers(rng, shape), 0.0)
        for name, shape in shapes.items()
    }


def draw_pair(rng, n=None, n_next=None, kernel=2, channels=1):
    """Of at least four filters, two without weights, of which one has a positive bias; one unread.

    One filter of the second layer has no weights, and one of the first adds up to zero.
    """
    n, n_next = n or int(rng.integers(5, 7)), n_next or int(rng.integers(2, 5))
    W1 = signed_whole_numbers(rng, (n, channels, 1, 2))
    W2 = signed_whole_numbers(rng, (n_next, n, 1, kernel))
    b1, b2 = signed_whole_numbers(rng, n) / 2, signed_whole_numbers(rng, n_next) / 2
    first, second, unread, level = rng.permutation(n)[:4]
    W1[[first, second]] = 0
    W1[level, ..., 1] = -W1[level, ..., 0]
    W2[:, unread] = 0
    b1[[first, second, unread]] = np.abs(b1[[first, second, unread]]) * [1, -1, 1]
    if n_next > 2:
        W2[int(rng.integers(n_next))] = 0
    return {"W1": W1, "b1": b1, "W2": W2, "b2": b2}


def living_pair(rng):
    drawn = draw_pair(rng)
    return drawn | {name: signed_whole_numbers(rng, drawn[name].shape) for name in ("W1", "W2")}


def one_filter_left(rng):
    drawn = draw_pair(rng, n=4)
    drawn["W1"][1:] = 0
    drawn["W1"][0], drawn["W2"][0, 0] = 1, 1
    return drawn


def draw_image(rng, shape=None, size=None, left=0.5):
    """Columns and a channel without weights, a column that adds up to zero, a zero filter."""
    shape = shape or (int(rng.integers(3, 5)), 3, 2, int(rng.integers(2, 4)))
    height, width = size or (int(rng.integers(3, 5)), int(rng.integers(5, 7)))
    W = signed_whole_numbers(rng, shape)
    lives = rng.random(shape[1:]) < left
    if shape[1] > 2:
        lives[0, 0, 0] = lives[2, 1, 1] = True
        lives[1] = False
        lives[0, 0, 1] = False
        W[:2, 0, 0, 0] = [2, -2]
        W[2:, 0, 0, 0] = 0
        W[-1] = 0
        W[0, 2, 1, 1] = 0
    return {
        "W": np.where(lives, W, 0.0),
        "b": signed_whole_numbers(rng, shape[0]) / 2,
        "X": rng.integers(0, 9, size=(shape[1], height, width)) * 1.0,
    }


def one_column(rng):
    drawn = draw_image(rng)
    W = np.zeros_like(drawn["W"])
    W[0, 1, 1, 0] = -2.0
    return drawn | {"W": W}


def draw_costs(rng):
    """Both layers with rows and columns that are zero; an unread filter that has its own column."""
    n, n_next = int(rng.integers(4, 7)), int(rng.integers(3, 6))
    W1 = signed_whole_numbers(rng, (n, 1, 2, 3))
    W2 = signed_whole_numbers(rng, (n_next, n, 1, 2))
    dead, unread = rng.permutation(n)[:2]
    W1[..., rng.permutation([0, 0, 1, 1, 1, 1]).reshape(2, 3) == 0] = 0
    W1[rng.random(W1.shape) < 0.2] = 0
    W1[dead] = 0
    W1[unread, 0, 0, 0] = 3
    W1[np.arange(n) != unread, 0, 0, 0] = 0
    W2[:, unread] = 0
    W2[:, (dead + 1) % n, 0, 0] = 0
    W2[int(rng.integers(n_next))] = 0
    W2[:, dead, 0, 0] = 1
    sizes = rng.permutation([2, 4, 6, 8])[:2] ** 2
    return {"W1": W1, "W2": W2, "places1": int(sizes[0]), "places2": int(sizes[1])}


def lenet(rng, columns1, columns2, channels2, filters=(20, 50)):
    """Weights with the zeros of a network of table 1 or 2 of Wen et al."""
    W1, W2 = np.zeros((20, 1, 5, 5)), np.zeros((50, 20, 5, 5))
    for W, n, part in (
        (W1, columns1, W1[: filters[0]].reshape(filters[0], -1)),
        (W2, columns2, W2[: filters[1], :channels2].reshape(filters[1], -1)),
    ):
        drawn = np.zeros_like(part)
        # Spread over the channels, so that each of them has a column.
        drawn[:, np.linspace(0, part.shape[1] - 1, n).astype(int)] = 1
        W[: len(part), : part.shape[1] // 25] = drawn.reshape(len(part), -1, 5, 5)
    return {"W1": W1, "W2": W2, "places1": 576, "places2": 64}


def dense_pair(rng):
    drawn = draw_costs(rng)
    return drawn | {name: signed_whole_numbers(rng, drawn[name].shape) for name in ("W1", "W2")}


CHECKS = [
    Check(
        group_lengths,
        points=1,
        draw=lambda rng: {"W": draw_layer(rng)},
        hint="a group is as long as the root of the sum of its squares. Over which axes of W does "
        "a filter run, over which a channel, and over which one column of the matrix?",
        wrong={
            "sums of sizes": sums_of_sizes,
            "roots forgotten": roots_forgotten,
            "means of squares": means_of_squares,
            "largest weights": largest_weights,
            "weights counted": weights_counted,
            "signed sums": roots_of_signed_sums,
            "filters and channels exchanged": filters_and_channels_exchanged,
            "kernels instead of shapes": kernels_instead_of_shapes,
            "one position in all channels": one_position_in_all_channels,
            "lengths of kernels added": filters_by_the_lengths_of_their_kernels,
        },
        edges=(
            lambda rng: {"W": np.zeros((3, 2, 2, 2))},
            lambda rng: {"W": draw_layer(rng, (1, 1, 1, 1))},
            lambda rng: {"W": draw_layer(rng, (4, 4, 1, 1))},
            lambda rng: {"W": rng.normal(size=(50, 20, 5, 5))},
            lambda rng: {"W": 1e6 * rng.normal(size=(3, 2, 3, 3))},
        ),
    ),
    Check(
        penalty,
        points=1,
        draw=draw_two_priced,
        hint="each layer has a row of prices, and each kind of group a place in it. Add up the "
        "lengths of all groups of the kind, times its price. How many groups of the kind depth "
        "does a layer have?",
        wrong={
            "squares charged": squares_charged,
            "sizes charged": sizes_charged,
            "one root for all groups": one_root_for_all_groups,
            "means instead of sums": means_instead_of_sums,
            "weighted by the root of the size": weighted_by_the_root_of_the_size,
            "living groups counted": living_groups_counted,
            "filters and channels crosswise": filters_and_channels_charged_crosswise,
            "channels and shapes crosswise": channels_and_shapes_charged_crosswise,
            "kernels instead of shapes": kernels_charged_instead_of_shapes,
            "depth not charged": depth_not_charged,
            "one depth for both layers": one_depth_for_both_layers,
            "second layer forgotten": second_layer_forgotten,
            "prices of the first layer for both": prices_of_the_first_layer_for_both,
        },
        edges=(
            lambda rng: draw_two_priced(rng) | {"prices": np.zeros((2, 4))},
            lambda rng: draw_two_priced(rng) | {"prices": np.eye(4)[2:]},
            lambda rng: draw_two_priced(rng) | {"W2": np.zeros((3, 2, 3, 3))},
            lambda rng: (
                draw_two_priced(rng)
                | {"W1": rng.normal(size=(20, 1, 5, 5)), "W2": rng.normal(size=(50, 20, 5, 5))}
            ),
        ),
    ),
    Check(
        proximal_step,
        points=2,
        draw=draw_step,
        hint="three steps, each from what the one before left: the gradient, the filters, the "
        "channels. A group of length r keeps the share max(1 - t / r, 0): what is t after a "
        "gradient step of size lr? What do you do where r is 0?",
        wrong={
            "price not times the rate": price_not_times_the_rate,
            "shrunk before the step": shrunk_before_the_step,
            "gradient added": gradient_added,
            "gradient forgotten": gradient_forgotten,
            "channels first": channels_first,
            "filters alone": filters_alone,
            "prices exchanged": prices_exchanged,
            "channels measured too early": channels_measured_before_the_filters_shrink,
            "entries shrunk alone": entries_shrunk_alone,
            "groups cut off only": groups_cut_off_only,
            "past zero": past_zero,
            "same factor for all": same_factor_for_all,
            "divided by the square": divided_by_the_square,
            "never to zero": never_to_zero,
            "NaN for a zero group": nan_for_a_zero_group,
            "NaN for a zero group without a price": nan_where_both_are_zero,
        },
        edges=(
            priced_at(0.0, 0.0),
            priced_at(0.0, 2.0),
            priced_at(50.0, 0.0),
            lambda rng: draw_step(rng, (1, 1, 3, 3)),
            lambda rng: draw_step(rng, (20, 6, 5, 5)),
            lambda rng: draw_step(rng, scale=1e3),
        ),
    ),
    Check(
        subgradient_step,
        points=1,
        draw=draw_descent,
        hint="the groups are the columns of the matrix. Divide each by its length, both taken from "
        "W as it was given; what is the piece of a column that is zero, and does such a column "
        "still follow its gradient? Nothing is cut off at zero.",
        wrong={
            "groups are filters": groups_are_filters,
            "groups are channels": groups_are_channels,
            "groups are kernels": groups_are_kernels,
            "signs of the weights": signs_of_the_weights,
            "weight decay": weight_decay,
            "zero divided by zero": not_divided_by_zero,
            "divided by the squared length": divided_by_the_squared_length,
            "price on every weight": price_added_to_every_weight,
            "zero groups held": zero_groups_held,
            "stopped at zero": stopped_at_zero,
            "measured after the step": measured_after_the_step,
            "lam not times the rate": lam_not_times_the_rate,
            "pushed away from zero": pushed_away_from_zero,
            "only the price": only_the_price,
        },
        edges=(
            lambda rng: draw_descent(rng) | {"lam": 0.0},
            lambda rng: draw_descent(rng) | {"G": np.zeros((3, 2, 1, 3))},
            lambda rng: draw_descent(rng) | {"W": np.zeros((3, 2, 1, 3))},
            lambda rng: draw_descent(rng, (1, 2, 1, 1)),
            lambda rng: draw_descent(rng, (50, 20, 5, 5)),
        ),
    ),
    Check(
        connect,
        points=2,
        draw=draw_chain,
        hint="filter j of a layer lives if it has a weight and if the layer behind reads channel "
        "j. Else both go, W[j] of the one and W[:, j] of the other. What you have set to zero may "
        "leave others without weights or readers, in front and behind: have you looked again?",
        wrong={
            "nothing dies with it": nothing_dies_with_it,
            "each pair once": each_pair_once,
            "each pair once, from the end": each_pair_once_from_the_end,
            "forward only": forward_only,
            "backward only": backward_only,
            "from the first state": from_the_first_state,
            "only if both ends are dead": only_if_both_ends_are_dead,
            "dead by their sums": dead_by_their_sums,
            "dead by a single zero": dead_by_a_single_zero,
            "readers left as they are": readers_left_as_they_are,
            "dead taken out": dead_taken_out,
        },
        edges=(
            nothing_dead,
            all_dead,
            scattered,
            lambda rng: draw_chain(rng, n=6, n_out=6, kernel=3),
            lambda rng: draw_chain(rng, n=24, n_out=10, kernel=1),
        ),
        atol=0,
    ),
    Check(
        compact,
        points=2,
        draw=draw_pair,
        hint="a filter stays if it has a weight (its bias is none) and if W2 reads it. b2 stays as "
        "it was, and so do the filters of W2. For lost: the map of a filter without weights is the "
        "same number everywhere. Which, after the ReLU, and what does a filter of W2 make of it?",
        wrong={
            "unread filters left": unread_filters_left,
            "zero filters left": zero_filters_left,
            "only if both ends are dead": taken_out_if_both_ends_are_dead,
            "biases taken as weights": biases_taken_as_weights,
            "judged by sums": judged_by_sums,
            "readers not made smaller": readers_not_made_smaller,
            "first biases not taken out": first_biases_not_taken_out,
            "zero filters of the second taken out": zero_filters_of_the_second_taken_out,
            "constants put into the bias": constants_put_into_the_bias,
            "nothing lost": nothing_lost,
            "ReLU forgotten": relu_forgotten,
            "size of the bias": size_of_the_bias,
            "constants of the living too": constants_of_the_living_too,
            "constants of one": constants_of_one,
            "gained instead of lost": gained_instead_of_lost,
            "kernels averaged": kernels_averaged,
        },
        edges=(
            living_pair,
            one_filter_left,
            lambda rng: draw_pair(rng, n=20, n_next=50, kernel=5),
            lambda rng: draw_pair(rng, n=6, n_next=6, channels=6),
        ),
    ),
    Check(
        gather_columns,
        points=2,
        draw=draw_image,
        hint="column k of the matrix is one channel and one position (i, j) of the kernel; the "
        "positions of a channel are beside each other, row by row. It stays if any filter has a "
        "weight there. It meets the pixels of its channel from row i and column j on: how many "
        "rows and columns of them? Zero filters stay: their maps are the bias.",
        wrong={
            "all columns": all_columns,
            "columns without any zero": columns_without_any_zero,
            "columns by their sums": columns_by_their_sums,
            "columns of the first filter": columns_of_the_first_filter,
            "zero columns gathered": zero_columns_gathered,
            "dead channels alone": dead_channels_alone,
            "positions dead in all channels": positions_dead_in_all_channels,
            "positions first": positions_first,
            "kernel turned": kernel_turned,
            "rows and columns exchanged": rows_and_columns_of_the_kernel_exchanged,
            "places column by column": places_column_by_column,
            "bias forgotten": bias_forgotten,
            "maps left flat": maps_left_flat,
            "zero rows taken out": zero_rows_taken_out,
            "counted from 1": counted_from_1,
        },
        edges=(
            one_column,
            lambda rng: draw_image(rng, (4, 2, 1, 1), (3, 3), left=1.0),
            lambda rng: draw_image(rng, (2, 2, 3, 3), (3, 3), left=1.0),
            lambda rng: draw_image(rng, (50, 20, 5, 5), (12, 12), left=0.1),
        ),
    ),
    Check(
        percent_left,
        points=1,
        draw=draw_costs,
        hint="take out what died first, as in item 6; then count the rows and the columns that are "
        "not zero in what is left. Their product, times the places, over the same of the dense "
        "layer. For both together: sum first, divide last.",
        wrong={
            "single weights counted": single_weights_counted,
            "layers looked at alone": layers_looked_at_alone,
            "rows alone": rows_alone,
            "columns alone": columns_alone,
            "whole channels": whole_channels,
            "unread filters computed": unread_filters_computed,
            "channels of dead filters read": channels_of_dead_filters_read,
            "percents averaged": percents_averaged,
            "percents multiplied": percents_multiplied,
            "places forgotten": places_forgotten,
            "places exchanged": places_exchanged,
            "shares instead of percent": shares_instead_of_percent,
            "removed instead of left": removed_instead_of_left,
        },
        edges=(
            dense_pair,
            lambda rng: lenet(rng, 7, 14, 1),
            lambda rng: lenet(rng, 21, 41, 2),
            lambda rng: lenet(rng, 25, 75, 3, filters=(3, 12)),
        ),
    ),
]
