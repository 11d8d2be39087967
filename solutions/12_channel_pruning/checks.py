"""What the functions of exercise 12 must do, and mistakes that must be noticed."""

import itertools

import numpy as np

from sparsecourse.grading.checks import Check


def channel_responses(W, X):
    kernels = W.reshape(*W.shape[:2], -1)
    return np.einsum("nce,fce->cnf", X.reshape(len(X), W.shape[1], -1), kernels)


def sum_over_channels(W, X):
    return channel_responses(W, X).sum(axis=0)


def samples_first(W, X):
    return channel_responses(W, X).swapaxes(0, 1)


def filters_before_samples(W, X):
    return channel_responses(W, X).swapaxes(1, 2)


def columns_ordered_by_place(W, X):
    """As if the channels of one place of the kernel were neighbours."""
    channels = W.shape[1]
    return channel_responses(W, X.reshape(len(X), -1, channels).swapaxes(1, 2).reshape(len(X), -1))


def kernels_flipped(W, X):
    """Convolution as in mathematics: X holds what a kernel meets, entry by entry."""
    return channel_responses(W[:, :, ::-1, ::-1], X)


def kernels_transposed(W, X):
    return channel_responses(W.swapaxes(2, 3).reshape(W.shape), X)


def kernels_misread(W, X):
    """`W.reshape(channels, filters, ...)` moves entries where an axis had to be picked."""
    filters, channels = W.shape[:2]
    return channel_responses(W.reshape(channels, filters, *W.shape[2:]).swapaxes(0, 1), X)


def one_column_a_channel(W, X):
    channels = W.shape[1]
    return np.stack([np.outer(X[:, i], W[:, i, 0, 0]) for i in range(channels)])


def kernels_summed(W, X):
    """Sum of the patch times sum of the kernel."""
    patches = X.reshape(len(X), W.shape[1], -1).sum(axis=2)
    return np.einsum("nc,fc->cnf", patches, W.sum(axis=(2, 3)))


def divided_by_samples(W, X):
    return channel_responses(W, X) / len(X)


def normalize(W, beta):
    return divided_by(W, beta, sizes(W))


def sizes(W):
    return np.array([np.linalg.norm(W[:, i]) for i in range(W.shape[1])])


def divided_by(W, beta, size):
    """Weights divided and coefficients multiplied by one number a channel, where it is not 0."""
    return W / np.where(size == 0, 1, size)[:, None, None], beta * size


def coefficients_left(W, beta):
    return normalize(W, beta)[0], beta


def coefficients_divided(W, beta):
    size = sizes(W)
    return normalize(W, beta)[0], beta / np.where(size == 0, 1, size)


def coefficients_replaced(W, beta):
    return normalize(W, beta)[0], sizes(W)


def weights_left(W, beta):
    return W, normalize(W, beta)[1]


def l1_norms(W, beta):
    return divided_by(W, beta, np.abs(W).sum(axis=(0, 2, 3)))


def squared_norms(W, beta):
    return divided_by(W, beta, sizes(W) ** 2)


def largest_weights(W, beta):
    return divided_by(W, beta, np.abs(W).max(axis=(0, 2, 3)))


def one_norm_for_all(W, beta):
    return divided_by(W, beta, np.full(len(beta), np.linalg.norm(W)))


def each_kernel_alone(W, beta):
    size = np.linalg.norm(W, axis=(2, 3), keepdims=True)
    return W / np.where(size == 0, 1, size), normalize(W, beta)[1]


def filters_normalized(W, beta):
    size = np.sqrt(np.sum(W**2, axis=(1, 2, 3), keepdims=True))
    return W / np.where(size == 0, 1, size), normalize(W, beta)[1]


def coefficient_of_no_weights_left(W, beta):
    return normalize(W, beta)[0], beta * np.where(sizes(W) == 0, 1, sizes(W))


def divided_by_zero(W, beta):
    return W / sizes(W)[:, None, None], beta * sizes(W)


def objective(W, beta, X, Y, lam):
    return with_penalty(W, beta, X, Y, lam * np.abs(beta).sum())


def with_penalty(W, beta, X, Y, penalty, share=None):
    """`share` is what the squared error is multiplied by."""
    squared = np.sum((Y - np.tensordot(beta, channel_responses(W, X), axes=1)) ** 2)
    return float(squared * (1 / (2 * len(X)) if share is None else share) + penalty)


def half_forgotten(W, beta, X, Y, lam):
    return with_penalty(W, beta, X, Y, lam * np.abs(beta).sum(), 1 / len(X))


def samples_forgotten(W, beta, X, Y, lam):
    return with_penalty(W, beta, X, Y, lam * np.abs(beta).sum(), 1 / 2)


def mean_over_all_entries(W, beta, X, Y, lam):
    return with_penalty(W, beta, X, Y, lam * np.abs(beta).sum(), 1 / (2 * Y.size))


def norm_not_squared(W, beta, X, Y, lam):
    squared = 2 * len(X) * with_penalty(W, beta, X, Y, 0)
    return float(np.sqrt(squared) / (2 * len(X)) + lam * np.abs(beta).sum())


def signed_penalty(W, beta, X, Y, lam):
    return with_penalty(W, beta, X, Y, lam * beta.sum())


def squared_penalty(W, beta, X, Y, lam):
    return with_penalty(W, beta, X, Y, lam * np.sum(beta**2))


def coefficients_counted(W, beta, X, Y, lam):
    return with_penalty(W, beta, X, Y, lam * np.count_nonzero(beta))


def penalty_forgotten(W, beta, X, Y, lam):
    return with_penalty(W, beta, X, Y, 0)


def penalty_divided_too(W, beta, X, Y, lam):
    return with_penalty(W, beta, X, Y, lam * np.abs(beta).sum() / (2 * len(X)))


def coefficients_not_used(W, beta, X, Y, lam):
    return with_penalty(W, np.ones(len(beta)), X, Y, lam * np.abs(beta).sum())


def penalty_of_normalized_weights(W, beta, X, Y, lam):
    """What the objective is after `normalize`: another value."""
    return objective(*normalize(W, beta), X, Y, lam)


def update_beta(Z, Y, beta, i, lam):
    correlation, curvature = one_dimension(Z, Y, beta, i)
    return replaced(beta, i, soft(correlation, lam) / curvature if curvature else 0.0)


def one_dimension(Z, Y, beta, i):
    """Slope at zero (with the sign changed) and curvature of the squared error along beta_i."""
    left = Y - np.tensordot(replaced(beta, i, 0.0), Z, axes=1)
    return np.vdot(Z[i], left) / len(Y), np.sum(Z[i] ** 2) / len(Y)


def replaced(beta, i, value):
    return np.where(np.arange(len(beta)) == i, value, beta)


def soft(x, lam):
    return np.sign(x) * max(abs(x) - lam, 0.0)


def penalty_not_felt(Z, Y, beta, i, lam):
    return update_beta(Z, Y, beta, i, 0.0)


def channel_left_in_the_residual(Z, Y, beta, i, lam):
    residual = Y - np.tensordot(beta, Z, axes=1)
    curvature = one_dimension(Z, Y, beta, i)[1]
    slope = np.vdot(Z[i], residual) / len(Y)
    return replaced(beta, i, soft(slope, lam) / curvature if curvature else 0.0)


def other_channels_ignored(Z, Y, beta, i, lam):
    return replaced(beta, i, update_beta(Z, Y, np.zeros(len(beta)), i, lam)[i])


def not_divided(Z, Y, beta, i, lam):
    return replaced(beta, i, soft(one_dimension(Z, Y, beta, i)[0], lam))


def divided_by_the_norm(Z, Y, beta, i, lam):
    correlation, curvature = one_dimension(Z, Y, beta, i)
    return replaced(beta, i, soft(correlation, lam) / np.sqrt(curvature) if curvature else 0.0)


def lam_without_the_samples(Z, Y, beta, i, lam):
    """As if the squared error were divided by 2, not by 2N."""
    return update_beta(Z, Y, beta, i, lam / len(Y))


def lam_of_the_mean_over_entries(Z, Y, beta, i, lam):
    """As if the squared error were divided by 2 N n: what scikit-learn would do."""
    return update_beta(Z, Y, beta, i, lam * Y.shape[1])


def lam_without_the_half(Z, Y, beta, i, lam):
    return update_beta(Z, Y, beta, i, lam / 2)


def threshold_after_the_division(Z, Y, beta, i, lam):
    return replaced(beta, i, soft(penalty_not_felt(Z, Y, beta, i, lam)[i], lam))


def hard_threshold(Z, Y, beta, i, lam):
    correlation, _ = one_dimension(Z, Y, beta, i)
    return replaced(beta, i, penalty_not_felt(Z, Y, beta, i, lam)[i] * (abs(correlation) > lam))


def ridge_instead_of_lasso(Z, Y, beta, i, lam):
    correlation, curvature = one_dimension(Z, Y, beta, i)
    return replaced(beta, i, correlation / (curvature + lam))


def sign_lost(Z, Y, beta, i, lam):
    return replaced(beta, i, abs(update_beta(Z, Y, beta, i, lam)[i]))


def never_negative(Z, Y, beta, i, lam):
    return replaced(beta, i, max(update_beta(Z, Y, beta, i, lam)[i], 0.0))


def all_at_once(Z, Y, beta, i, lam):
    return np.array([update_beta(Z, Y, beta, j, lam)[j] for j in range(len(beta))])


def number_alone(Z, Y, beta, i, lam):
    return float(update_beta(Z, Y, beta, i, lam)[i])


def nothing_divided_by_nothing(Z, Y, beta, i, lam):
    correlation, curvature = one_dimension(Z, Y, beta, i)
    return replaced(beta, i, soft(correlation, lam) / curvature)


def grow_lam(Z, Y, lam, factor, n_kept):
    return steps(Z, Y, lam, factor, n_kept)[-1]


def steps(Z, Y, lam, factor, n_kept):
    return path(Z, Y, lam, lambda lam: lam * factor, lambda left: left <= n_kept)


def path(Z, Y, lam, grown, enough):
    """Solutions and their lam, until `enough` says so or no channel is left."""
    found = [(lasso(Z, Y, lam), lam)]
    while not enough(np.count_nonzero(found[-1][0])) and found[-1][0].any():
        lam = grown(lam)
        found.append((lasso(Z, Y, lam), lam))
    return found


def lasso(Z, Y, lam):
    """The minimum over beta, through the products of the responses.

    Once the signs are known, it is where the slopes are zero: solved for, so that no digit depends
    on when the sweeps end.
    """
    columns = Z.reshape(len(Z), -1)
    gram, products = columns @ columns.T / len(Y), columns @ Y.ravel() / len(Y)
    beta, before = np.zeros(len(Z)), np.full(len(Z), np.inf)
    while np.abs(beta - before).max() > 1e-12:
        before = beta.copy()
        for i in range(len(beta)):
            rest = products[i] - gram[i] @ beta + gram[i, i] * beta[i]
            beta[i] = soft(rest, lam) / gram[i, i]
    left = np.flatnonzero(beta)
    slopes = products[left] - lam * np.sign(beta[left])
    exact = np.zeros(len(Z))
    exact[left] = np.linalg.solve(gram[np.ix_(left, left)], slopes)
    return exact


def fewer_than_asked_for(Z, Y, lam, factor, n_kept):
    return path(Z, Y, lam, lambda lam: lam * factor, lambda left: left < n_kept)[-1]


def exactly_as_many(Z, Y, lam, factor, n_kept):
    return path(Z, Y, lam, lambda lam: lam * factor, lambda left: left == n_kept)[-1]


def channels_removed_counted(Z, Y, lam, factor, n_kept):
    return path(Z, Y, lam, lambda lam: lam * factor, lambda left: len(Z) - left >= n_kept)[-1]


def factor_added(Z, Y, lam, factor, n_kept):
    return path(Z, Y, lam, lambda lam: lam + factor, lambda left: left <= n_kept)[-1]


def grown_before_the_first(Z, Y, lam, factor, n_kept):
    return grow_lam(Z, Y, lam * factor, factor, n_kept)


def grown_once_too_often(Z, Y, lam, factor, n_kept):
    beta, lam = grow_lam(Z, Y, lam, factor, n_kept)
    return beta, lam * factor


def last_with_more(Z, Y, lam, factor, n_kept):
    """One step before the end."""
    return steps(Z, Y, lam, factor, n_kept)[-2:][0]


def first_lam_cut_to_the_largest(Z, Y, lam, factor, n_kept):
    beta = lasso(Z, Y, lam)
    beta[np.argsort(-np.abs(beta), kind="stable")[n_kept:]] = 0
    return beta, lam


def one_sweep_a_lam(Z, Y, lam, factor, n_kept):
    beta = np.zeros(len(Z))
    while True:
        for i in range(len(Z)):
            beta = update_beta(Z, Y, beta, i, lam)
        if np.count_nonzero(beta) <= n_kept:
            return beta, lam
        lam *= factor


def gone_for_good(Z, Y, lam, factor, n_kept):
    """A coefficient that a sweep has made zero is not tried again, though it may come back."""
    beta, left = np.zeros(len(Z)), np.arange(len(Z))
    while True:
        moved = np.inf
        while moved > 1e-10:
            before = beta
            for i in left:
                beta = update_beta(Z, Y, beta, i, lam)
            left, moved = np.flatnonzero(beta), np.abs(beta - before).max()
        if len(left) <= n_kept:
            return beta, lam
        lam *= factor


def samples_left_out_of_lam(Z, Y, lam, factor, n_kept):
    beta, reached = grow_lam(Z, Y, lam / len(Y), factor, n_kept)
    return beta, reached * len(Y)


def least_squares_at_the_end(Z, Y, lam, factor, n_kept):
    """The shrinkage taken back: the task asks for the lasso's coefficients."""
    beta, lam = grow_lam(Z, Y, lam, factor, n_kept)
    left = beta != 0
    beta[left] = np.linalg.lstsq(Z[left].reshape(left.sum(), -1).T, Y.ravel())[0]
    return beta, lam


def indices_instead_of_coefficients(Z, Y, lam, factor, n_kept):
    beta, lam = grow_lam(Z, Y, lam, factor, n_kept)
    return np.flatnonzero(beta), lam


def positive_ones_counted(Z, Y, lam, factor, n_kept):
    beta = lasso(Z, Y, lam)
    while np.count_nonzero(beta > 0) > n_kept:
        lam *= factor
        beta = lasso(Z, Y, lam)
    return beta, lam


def refit(W, X, Y, kept):
    fitted = np.linalg.lstsq(columns_of(X, W, kept), Y)[0].T
    return spread(W, kept, fitted), error_of(W, X, Y, kept), error_of(fitted, X, Y, kept, W)


def columns_of(X, W, kept):
    return X.reshape(len(X), W.shape[1], -1)[:, kept].reshape(len(X), -1)


def spread(W, kept, fitted):
    """Weights of the channels kept in their places, zero elsewhere."""
    full = np.zeros(W.shape)
    full[:, kept] = fitted.reshape(len(W), len(kept), *W.shape[2:])
    return full


def error_of(weights, X, Y, kept, W=None):
    """`weights` are of all channels, or with `W` of those that are kept."""
    rows = weights[:, kept].reshape(len(weights), -1) if W is None else weights
    columns = columns_of(X, weights if W is None else W, kept)
    # An error of zero must not be noise, which is another on each processor.
    return round(float(np.linalg.norm(Y - columns @ rows.T) / np.linalg.norm(Y)), 12)


def refit_with(W, X, Y, kept, fitted):
    """The answer where other weights, of the channels kept, were fitted."""
    return spread(W, kept, fitted), error_of(W, X, Y, kept), error_of(fitted, X, Y, kept, W)


def old_weights_left_in_the_others(W, X, Y, kept):
    fitted, before, after = refit(W, X, Y, kept)
    gone = np.setdiff1d(np.arange(W.shape[1]), kept)
    fitted[:, gone] = W[:, gone]
    return fitted, before, after


def fitted_to_all_and_cut(W, X, Y, kept):
    all_weights = np.linalg.lstsq(X, Y)[0].T.reshape(W.shape)
    return refit_with(W, X, Y, kept, all_weights[:, kept].reshape(len(W), -1))


def each_channel_fitted_alone(W, X, Y, kept):
    parts = [np.linalg.lstsq(columns_of(X, W, [i]), Y)[0] for i in kept]
    return refit_with(W, X, Y, kept, np.concatenate(parts).T)


def one_factor_a_channel(W, X, Y, kept):
    """ThiNet's smaller least squares."""
    design = channel_responses(W, X)[kept].reshape(len(kept), -1).T
    factors = np.linalg.lstsq(design, Y.ravel())[0]
    scaled = W[:, kept] * factors[:, None, None]
    return refit_with(W, X, Y, kept, scaled.reshape(len(W), -1))


def fitted_to_the_pruned_outputs(W, X, Y, kept):
    """To what the layer puts out by now, not to what it is to put out."""
    target = X @ W.reshape(len(W), -1).T
    return refit_with(W, X, Y, kept, np.linalg.lstsq(columns_of(X, W, kept), target)[0].T)


def means_taken_away(W, X, Y, kept):
    columns = columns_of(X, W, kept)
    fitted = np.linalg.lstsq(columns - columns.mean(axis=0), Y - Y.mean(axis=0))[0].T
    return refit_with(W, X, Y, kept, fitted)


def only_the_channels_kept_returned(W, X, Y, kept):
    fitted, before, after = refit(W, X, Y, kept)
    return fitted[:, kept], before, after


def put_in_the_first_places(W, X, Y, kept):
    fitted, before, after = refit(W, X, Y, kept)
    return spread(W, np.arange(len(kept)), fitted[:, kept]), before, after


def fitted_without_the_kept(W, X, Y, kept):
    gone = np.setdiff1d(np.arange(W.shape[1]), kept)
    return refit(W, X, Y, gone)


def errors_exchanged(W, X, Y, kept):
    fitted, before, after = refit(W, X, Y, kept)
    return fitted, after, before


def errors_of_all_channels(W, X, Y, kept):
    """Before pruning instead of before the fit."""
    fitted, _, after = refit(W, X, Y, kept)
    return fitted, error_of(W, X, Y, np.arange(W.shape[1])), after


def errors_squared(W, X, Y, kept):
    fitted, before, after = refit(W, X, Y, kept)
    return fitted, before**2, after**2


def errors_not_relative(W, X, Y, kept):
    fitted, before, after = refit(W, X, Y, kept)
    return fitted, before * float(np.linalg.norm(Y)), after * float(np.linalg.norm(Y))


def errors_relative_to_what_is_put_out(W, X, Y, kept):
    fitted, before, after = refit(W, X, Y, kept)
    size = np.linalg.norm(columns_of(X, W, kept) @ fitted[:, kept].reshape(len(W), -1).T)
    ratio = float(np.linalg.norm(Y) / size)
    return fitted, before * ratio, after * ratio


def fit_by_the_normal_equations(W, X, Y, kept):
    """Without an answer where there are fewer samples than weights."""
    columns = columns_of(X, W, kept)
    return refit_with(W, X, Y, kept, np.linalg.solve(columns.T @ columns, columns.T @ Y).T)


def removal_order(Z, n_removed):
    return greedy(Z, n_removed, lambda gone, j: np.sum(Z[[*gone, j]].sum(axis=0) ** 2))


def greedy(Z, n_removed, cost):
    """Add the channel of the least cost, of equal ones the first."""
    gone = []
    for _ in range(n_removed):
        left = [j for j in range(len(Z)) if j not in gone]
        gone.append(min(left, key=lambda j: cost(gone, j)))
    return np.array(gone, dtype=np.int64)


def each_by_its_own_response(Z, n_removed):
    return greedy(Z, n_removed, lambda gone, j: np.sum(Z[j] ** 2))


def sizes_instead_of_squares(Z, n_removed):
    return greedy(Z, n_removed, lambda gone, j: np.abs(Z[[*gone, j]].sum(axis=0)).sum())


def signed_sums(Z, n_removed):
    return greedy(Z, n_removed, lambda gone, j: np.abs(Z[[*gone, j]].sum()))


def removed_subtracted(Z, n_removed):
    return greedy(Z, n_removed, lambda gone, j: np.sum((Z[j] - Z[gone].sum(axis=0)) ** 2))


def last_removed_alone(Z, n_removed):
    return greedy(Z, n_removed, lambda gone, j: np.sum(Z[[*gone[-1:], j]].sum(axis=0) ** 2))


def largest_removed(Z, n_removed):
    return greedy(Z, n_removed, lambda gone, j: -np.sum(Z[[*gone, j]].sum(axis=0) ** 2))


def later_where_two_tie(Z, n_removed):
    return len(Z) - 1 - removal_order(Z[::-1], n_removed)


def in_rising_order(Z, n_removed):
    return np.sort(removal_order(Z, n_removed))


def kept_returned(Z, n_removed):
    return np.setdiff1d(np.arange(len(Z)), removal_order(Z, n_removed))


def number_taken_as_kept(Z, n_removed):
    return removal_order(Z, len(Z) - n_removed)


def counted_from_1(Z, n_removed):
    return removal_order(Z, n_removed) + 1


def places_among_those_left(Z, n_removed):
    """What argmin says of a list that gets shorter."""
    left, found = list(range(len(Z))), []
    for channel in removal_order(Z, n_removed).tolist():
        found.append(left.index(channel))
        left.remove(channel)
    return np.array(found, dtype=np.int64)


def best_set(Z, n_removed):
    """All sets tried: not what a greedy step finds, and too many for a real layer."""
    if len(Z) > 8:
        return removal_order(Z, n_removed)
    sets = itertools.combinations(range(len(Z)), n_removed)
    best = min(sets, key=lambda chosen: np.sum(Z[list(chosen)].sum(axis=0) ** 2))
    return np.array(best, dtype=np.int64)


def same_channel_again(Z, n_removed):
    """Channels that are gone already are not left out of the search."""
    gone = []
    for _ in range(n_removed):
        gone.append(int(np.argmin([np.sum(Z[[*gone, j]].sum(axis=0) ** 2) for j in range(len(Z))])))
    return np.array(gone, dtype=np.int64)


def removed_costs(before, layer, places_before, places, n_kept):
    return costs_of(before, layer, places_before, places, layer[1] - n_kept)


def costs_of(before, layer, places_before, places, n_removed, per_filter=3, reader_biases=0):
    """`per_filter` counts the bias and the two numbers of the batch norm."""
    made = n_removed * int(np.prod(before[1:]))
    read = n_removed * int(layer[0] * np.prod(layer[2:]))
    return np.array(
        [
            [made + per_filter * n_removed, made * places_before],
            [read + reader_biases, read * places],
        ]
    )


def layer_before_forgotten(before, layer, places_before, places, n_kept):
    return removed_costs(before, layer, places_before, places, n_kept) * np.array([[0], [1]])


def this_layer_forgotten(before, layer, places_before, places, n_kept):
    return removed_costs(before, layer, places_before, places, n_kept) * np.array([[1], [0]])


def what_is_left(before, layer, places_before, places, n_kept):
    return costs_of(before, layer, places_before, places, n_kept)


def filters_of_this_layer_removed(before, layer, places_before, places, n_kept):
    """As if the layer lost filters, not channels."""
    costs = removed_costs(before, layer, places_before, places, n_kept)
    gone = (layer[1] - n_kept) * int(np.prod(layer[1:]))
    costs[1] = gone + layer[1] - n_kept, gone * places
    return costs


def batch_norm_forgotten(before, layer, places_before, places, n_kept):
    return costs_of(before, layer, places_before, places, layer[1] - n_kept, per_filter=1)


def bias_forgotten(before, layer, places_before, places, n_kept):
    return costs_of(before, layer, places_before, places, layer[1] - n_kept, per_filter=2)


def running_statistics_counted(before, layer, places_before, places, n_kept):
    return costs_of(before, layer, places_before, places, layer[1] - n_kept, per_filter=5)


def biases_of_this_layer_removed(before, layer, places_before, places, n_kept):
    n_removed = layer[1] - n_kept
    return costs_of(before, layer, places_before, places, n_removed, reader_biases=n_removed)


def places_exchanged(before, layer, places_before, places, n_kept):
    return removed_costs(before, layer, places, places_before, n_kept)


def one_number_of_places(before, layer, places_before, places, n_kept):
    return removed_costs(before, layer, places, places, n_kept)


def biases_taken_as_multiply_adds(before, layer, places_before, places, n_kept):
    costs = removed_costs(before, layer, places_before, places, n_kept)
    return np.column_stack([costs[:, 0], costs[:, 0] * [places_before, places]])


def kernels_not_squared(before, layer, places_before, places, n_kept):
    return removed_costs(before[:3], layer[:3], places_before, places, n_kept)


def one_filter_of_the_reader(before, layer, places_before, places, n_kept):
    """Each filter reads the channel, not one of them."""
    return removed_costs(before, np.append(1, layer[1:]), places_before, places, n_kept)


def layers_beside_each_other(before, layer, places_before, places, n_kept):
    return removed_costs(before, layer, places_before, places, n_kept).T


def steepest_channel(W, X, Y, class_gradient, strength, chosen):
    gradient = slope_of_the_error(W, X, Y) + strength * class_gradient
    return answered(squares(gradient), chosen)


def slope_of_the_error(W, X, Y):
    residual = Y - X @ W.reshape(len(W), -1).T
    return -(residual.T @ X).reshape(W.shape) / len(X)


def squares(gradient):
    return np.sum(gradient**2, axis=(0, 2, 3))


def answered(steepness, chosen):
    """The first of the largest among the channels not chosen, -1 where there is none."""
    left = np.setdiff1d(np.arange(len(steepness)), chosen)
    return steepness, int(left[np.argmax(steepness[left])]) if len(left) else -1


def sign_of_the_error_turned(W, X, Y, class_gradient, strength, chosen):
    gradient = strength * class_gradient - slope_of_the_error(W, X, Y)
    return answered(squares(gradient), chosen)


def samples_not_divided_by(W, X, Y, class_gradient, strength, chosen):
    gradient = len(X) * slope_of_the_error(W, X, Y) + strength * class_gradient
    return answered(squares(gradient), chosen)


def factor_two_left(W, X, Y, class_gradient, strength, chosen):
    gradient = 2 * slope_of_the_error(W, X, Y) + strength * class_gradient
    return answered(squares(gradient), chosen)


def outputs_instead_of_residual(W, X, Y, class_gradient, strength, chosen):
    return steepest_channel(np.zeros(W.shape), X, Y, class_gradient, strength, chosen)


def classes_ignored(W, X, Y, class_gradient, strength, chosen):
    return steepest_channel(W, X, Y, class_gradient, 0.0, chosen)


def outputs_ignored(W, X, Y, class_gradient, strength, chosen):
    return answered(squares(strength * class_gradient), chosen)


def strength_forgotten(W, X, Y, class_gradient, strength, chosen):
    return steepest_channel(W, X, Y, class_gradient, 1.0, chosen)


def strength_on_the_wrong_term(W, X, Y, class_gradient, strength, chosen):
    return answered(squares(strength * slope_of_the_error(W, X, Y) + class_gradient), chosen)


def norms_added_up(W, X, Y, class_gradient, strength, chosen):
    """The norm of a sum is not the sum of norms."""
    apart = squares(slope_of_the_error(W, X, Y)) + squares(strength * class_gradient)
    return answered(apart, chosen)


def norms_not_squared(W, X, Y, class_gradient, strength, chosen):
    steepness, channel = steepest_channel(W, X, Y, class_gradient, strength, chosen)
    return np.sqrt(steepness), channel


def norms_of_the_filters(W, X, Y, class_gradient, strength, chosen):
    gradient = slope_of_the_error(W, X, Y) + strength * class_gradient
    return answered(np.sum(gradient**2, axis=(1, 2, 3)), chosen[chosen < len(W)])


def chosen_again(W, X, Y, class_gradient, strength, chosen):
    steepness, _ = steepest_channel(W, X, Y, class_gradient, strength, chosen)
    return answered(steepness, chosen[:0])


def flattest_chosen(W, X, Y, class_gradient, strength, chosen):
    steepness, _ = steepest_channel(W, X, Y, class_gradient, strength, chosen)
    return steepness, answered(-steepness, chosen)[1]


def chosen_set_to_zero(W, X, Y, class_gradient, strength, chosen):
    steepness, channel = steepest_channel(W, X, Y, class_gradient, strength, chosen)
    steepness[chosen] = 0
    return steepness, channel


def first_where_all_are_chosen(W, X, Y, class_gradient, strength, chosen):
    steepness, channel = steepest_channel(W, X, Y, class_gradient, strength, chosen)
    return steepness, max(channel, 0)


def last_of_equal_ones(W, X, Y, class_gradient, strength, chosen):
    steepness, channel = steepest_channel(W, X, Y, class_gradient, strength, chosen)
    equal = np.setdiff1d(np.flatnonzero(steepness == steepness[channel]), chosen)
    return steepness, int(equal[-1]) if len(equal) else -1


def place_among_the_others(W, X, Y, class_gradient, strength, chosen):
    steepness, channel = steepest_channel(W, X, Y, class_gradient, strength, chosen)
    return steepness, channel - int(np.sum(chosen < channel))


def whole_numbers(rng, shape, largest=4):
    """Both signs, no zero."""
    return rng.integers(1, largest + 1, size=shape) * rng.choice([-1.0, 1.0], size=shape)


def draw_layer(rng, shape=None, n_samples=None):
    """W, X: more than one filter, channel and sample, and a kernel that is no square."""
    if shape is None:
        shape = int(rng.integers(2, 4)), int(rng.integers(2, 4)), 2, int(rng.integers(1, 4))
    n_samples = n_samples or int(rng.integers(2, 4))
    return {
        "W": whole_numbers(rng, shape),
        "X": whole_numbers(rng, (n_samples, shape[1] * shape[2] * shape[3])),
    }


def draw_weights(rng, shape=None, empty=None):
    """Mostly, one channel without weights."""
    if shape is None:
        shape = int(rng.integers(2, 4)), int(rng.integers(2, 5)), 1, int(rng.integers(1, 3))
    W, channels = whole_numbers(rng, shape), shape[1]
    if rng.random() < 0.6 if empty is None else empty:
        W[:, int(rng.integers(channels))] = 0
    return {"W": W, "beta": whole_numbers(rng, channels) / 2}


def draw_objective(rng, shape=None, n_samples=None, lam=None):
    drawn = draw_layer(rng, shape, n_samples)
    filters, channels = drawn["W"].shape[:2]
    beta = whole_numbers(rng, channels) / 4
    beta[int(rng.integers(channels))] *= float(rng.integers(0, 2))
    return drawn | {
        "beta": beta,
        "Y": whole_numbers(rng, (len(drawn["X"]), filters), 9),
        "lam": float(rng.integers(1, 9)) / 2 if lam is None else lam,
    }


def draw_update(rng, shape=None, kind=None):
    """Entries that become positive, negative, zero, and one whose response is zero."""
    shape = shape or (int(rng.integers(2, 5)), int(rng.integers(2, 4)), 2)
    kind = kind or rng.choice(["large", "large", "small", "empty"])
    i = int(rng.integers(shape[0]))
    Z, beta = whole_numbers(rng, shape), whole_numbers(rng, shape[0]) / 2
    if kind == "empty":
        Z[i] = 0
    share = 2.0 if kind == "small" else float(rng.choice([0.25, 0.5]))
    Y = np.tensordot(beta, Z, axes=1) * rng.choice([-2, 1]) + whole_numbers(rng, shape[1:])
    correlation = abs(one_dimension(Z, Y, beta, i)[0])
    lam = float(np.ceil(4 * share * correlation) / 4)
    return {"Z": Z, "Y": Y, "beta": beta, "i": i, "lam": max(lam, 0.25)}


def draw_path(rng, shape=None, n_kept=None, margin=1e-3):
    """Until no coefficient is close to the border between zero and not, at any lam.

    Sometimes, enough channels leave at the first lam.
    """
    shape = shape or (int(rng.integers(4, 6)), int(rng.integers(3, 5)), 2)
    while True:
        Z = whole_numbers(rng, shape)
        beta = whole_numbers(rng, shape[0])
        Y = np.tensordot(beta, Z, axes=1) + whole_numbers(rng, shape[1:], 2)
        drawn = {
            "Z": Z,
            "Y": Y,
            "lam": float(rng.choice([0.5, 1.0, 1.5, 8.0])),
            "factor": float(rng.choice([1.5, 2.0, 3.0])),
            "n_kept": n_kept or int(rng.integers(1, shape[0])),
        }
        if n_kept is None and rng.random() < 0.25:
            drawn["n_kept"] = np.count_nonzero(lasso(Z, Y, drawn["lam"]))
        if np.linalg.cond(Z.reshape(len(Z), -1)) < 20 and far_from_the_border(drawn, margin):
            return drawn


def path_on_which_one_comes_back(rng):
    while True:
        drawn = draw_path(rng)
        if not np.allclose(grow_lam(**drawn)[0], gone_for_good(**drawn)[0], atol=1e-3):
            return drawn


def draw_any_path(rng):
    return draw_path(rng) if rng.random() < 0.7 else path_on_which_one_comes_back(rng)


def far_from_the_border(drawn, margin):
    Z, Y = drawn["Z"], drawn["Y"]
    for beta, lam in steps(**drawn):
        residual = Y - np.tensordot(beta, Z, axes=1)
        slopes = np.abs(np.tensordot(Z, residual, axes=2)) / len(Y)
        if np.any((beta != 0) & (np.abs(beta) < margin)):
            return False
        if np.any((beta == 0) & (slopes > lam * (1 - margin))):
            return False
    return bool(beta.any())


def path_that_ends_at_once(rng):
    drawn = draw_path(rng)
    return drawn | {"n_kept": len(drawn["Z"])}


def path_that_jumps(rng):
    """From more than asked for to fewer."""
    while True:
        drawn = draw_path(rng)
        found = steps(**drawn)
        if len(found) > 1 and np.count_nonzero(found[-1][0]) < drawn["n_kept"]:
            return drawn


def draw_fit(rng, shape=None, n_samples=None, n_kept=None):
    """Inputs that the layers before have changed, so that Y is not X W^T; at times, few samples."""
    shape = shape or (2, int(rng.integers(3, 5)), 1, int(rng.integers(1, 3)))
    columns = shape[1] * shape[2] * shape[3]
    n_samples = n_samples or int(rng.choice([2, columns + 2, columns + 4]))
    W = whole_numbers(rng, shape, 3)
    X = whole_numbers(rng, (n_samples, columns), 3) + 1
    shared = rng.integers(-2, 3, size=(n_samples, 1))
    Y = (X + shared) @ W.reshape(len(W), -1).T + rng.integers(-2, 3, size=(n_samples, shape[0]))
    n_kept = n_kept or int(rng.integers(2, shape[1]))
    kept = np.sort(rng.permutation(shape[1])[:n_kept])
    return {"W": W, "X": X + shared * rng.integers(0, 2, size=columns), "Y": Y, "kept": kept}


def draw_greedy(rng, shape=None, n_removed=None):
    """Whole numbers, so that ties are exact; responses that cancel, responses that are alike."""
    shape = shape or (int(rng.integers(5, 7)), int(rng.integers(1, 3)), 2)
    Z = whole_numbers(rng, shape)
    a, b, *_ = rng.permutation(len(Z))
    if rng.random() < 0.5:
        Z[a] = -Z[b] + rng.integers(-1, 2, size=Z[b].shape)
    else:
        Z[a] = Z[b]
    return {"Z": Z, "n_removed": n_removed or int(rng.integers(3, len(Z)))}


def equal_responses(rng):
    return {"Z": np.ones((5, 2, 3)), "n_removed": 3}


def draw_costs(rng):
    channels = int(rng.integers(4, 33))
    places = int(rng.choice([4, 16, 64]))
    k_before, k = (int(rng.choice([2, 3, 5])) for _ in range(2))
    return {
        "before": np.array([channels, int(rng.integers(2, 17)), k_before, k_before]),
        "layer": np.array([int(rng.integers(2, 33)), channels, k, k]),
        "places_before": 4 * places,
        "places": places,
        "n_kept": int(rng.integers(1, channels)),
    }


def linear_layer_behind_a_flatten(rng):
    """A kernel as large as the image, at one place."""
    before, layer = np.array([50, 20, 5, 5]), np.array([500, 50, 4, 4])
    places = {"places_before": 64, "places": 1}
    return {"before": before, "layer": layer, **places, "n_kept": int(rng.integers(10, 40))}


def draw_gradient(rng, shape=None, n_samples=None, n_chosen=None):
    """Numbers that are exact in binary, so that two equal channels tie exactly."""
    shape = shape or (int(rng.integers(2, 4)), int(rng.integers(4, 6)), 1, int(rng.integers(1, 3)))
    channels, size = shape[1], shape[2] * shape[3]
    n_samples = n_samples or int(rng.choice([2, 4]))
    n_chosen = int(rng.integers(0, channels + 1)) if n_chosen is None else n_chosen
    order = rng.permutation(channels)
    chosen = np.sort(order[:n_chosen])
    W = np.zeros(shape)
    W[:, chosen] = whole_numbers(rng, (shape[0], n_chosen, *shape[2:])) / 2
    X = whole_numbers(rng, (n_samples, channels * size))
    class_gradient = whole_numbers(rng, shape) / 2
    if n_chosen < channels - 1 and rng.random() < 0.5:
        # The two last are alike, and larger than most.
        blocks = X.reshape(n_samples, channels, size)
        blocks[:, order[-2]] *= 2
        blocks[:, order[-1]] = blocks[:, order[-2]]
        class_gradient[:, order[-1]] = class_gradient[:, order[-2]]
    return {
        "W": W,
        "X": X,
        "Y": whole_numbers(rng, (n_samples, shape[0]), 8),
        "class_gradient": class_gradient,
        "strength": float(rng.choice([0.5, 2.0, 4.0])),
        "chosen": chosen,
    }


def equal_channels(rng):
    drawn = draw_gradient(rng, n_chosen=0)
    ones = {name: np.ones_like(drawn[name]) for name in ("X", "class_gradient")}
    return drawn | ones


def all_chosen(rng):
    return draw_gradient(rng, shape=(2, 4, 1, 1), n_chosen=4)


CHECKS = [
    Check(
        channel_responses,
        points=1,
        draw=draw_layer,
        hint="channel i has k_h * k_w columns of X beside each other, and the weights W[:, i], in "
        "the same order. Z[i] has a row for each sample and a column for each filter. Do the Z[i] "
        "sum to X times the matrix of all weights?",
        wrong={
            "sum over channels": sum_over_channels,
            "samples first": samples_first,
            "filters before samples": filters_before_samples,
            "columns ordered by place": columns_ordered_by_place,
            "kernels flipped": kernels_flipped,
            "kernels transposed": kernels_transposed,
            "kernels misread": kernels_misread,
            "one column for each channel": one_column_a_channel,
            "kernels summed": kernels_summed,
            "divided by the samples": divided_by_samples,
        },
        edges=(
            lambda rng: draw_layer(rng, (2, 3, 3, 2), n_samples=1),
            lambda rng: draw_layer(rng, (1, 4, 2, 2)),
            lambda rng: draw_layer(rng, (3, 1, 2, 2)),
            lambda rng: draw_layer(rng, (16, 32, 3, 3), n_samples=50),
        ),
    ),
    Check(
        normalize,
        points=1,
        draw=draw_weights,
        hint="one norm for each channel: the root of the sum of squares over all filters and the "
        "kernel. beta_i W_i must stay what it was. What is the norm of a channel without weights?",
        wrong={
            "coefficients left": coefficients_left,
            "coefficients divided": coefficients_divided,
            "coefficients replaced": coefficients_replaced,
            "weights left": weights_left,
            "l1 norms": l1_norms,
            "squared norms": squared_norms,
            "largest weights": largest_weights,
            "one norm for all channels": one_norm_for_all,
            "each kernel alone": each_kernel_alone,
            "filters normalized": filters_normalized,
            "coefficient of no weights left": coefficient_of_no_weights_left,
            "divided by zero": divided_by_zero,
        },
        edges=(
            lambda rng: {"W": np.zeros((2, 3, 2, 2)), "beta": np.ones(3)},
            lambda rng: draw_weights(rng, (1, 1, 1, 1), empty=False),
            lambda rng: draw_weights(rng, (4, 4, 2, 3), empty=True),
            lambda rng: draw_weights(rng, (32, 64, 3, 3)),
            lambda rng: {"W": np.full((2, 3, 1, 1), 1e-9), "beta": np.array([1e9, -1e9, 0.0])},
        ),
    ),
    Check(
        objective,
        points=1,
        draw=draw_objective,
        hint="the squared error is summed over all entries, then divided by 2N, where N is the "
        "number of samples alone. The penalty is not divided, and the signs of beta do not count.",
        wrong={
            "half forgotten": half_forgotten,
            "samples forgotten": samples_forgotten,
            "mean over all entries": mean_over_all_entries,
            "norm not squared": norm_not_squared,
            "signed penalty": signed_penalty,
            "squared penalty": squared_penalty,
            "coefficients counted": coefficients_counted,
            "penalty forgotten": penalty_forgotten,
            "penalty divided too": penalty_divided_too,
            "coefficients not used": coefficients_not_used,
            "penalty of normalized weights": penalty_of_normalized_weights,
        },
        edges=(
            lambda rng: draw_objective(rng, lam=0.0),
            lambda rng: draw_objective(rng, n_samples=1),
            lambda rng: draw_objective(rng, (1, 3, 1, 1)) | {"beta": np.zeros(3)},
            lambda rng: draw_objective(rng, (16, 32, 3, 3), n_samples=50),
        ),
    ),
    Check(
        update_beta,
        points=2,
        draw=draw_update,
        hint="what is left of Y without all other channels, but with channel i still in it? Take "
        "its product with Z[i], divided by N; the soft threshold takes lam off that product, "
        "before it is divided by ||Z_i||^2 / N. What if Z[i] is all zero? Return a new array.",
        wrong={
            "penalty not felt": penalty_not_felt,
            "channel left in the residual": channel_left_in_the_residual,
            "other channels ignored": other_channels_ignored,
            "not divided": not_divided,
            "divided by the norm": divided_by_the_norm,
            "lam without the samples": lam_without_the_samples,
            "lam of the mean over all entries": lam_of_the_mean_over_entries,
            "lam without the half": lam_without_the_half,
            "threshold after the division": threshold_after_the_division,
            "hard threshold": hard_threshold,
            "ridge instead of lasso": ridge_instead_of_lasso,
            "sign lost": sign_lost,
            "never negative": never_negative,
            "all coefficients at once": all_at_once,
            "the number alone": number_alone,
            "nothing divided by nothing": nothing_divided_by_nothing,
        },
        edges=(
            lambda rng: draw_update(rng, kind="empty"),
            lambda rng: draw_update(rng, kind="small"),
            lambda rng: draw_update(rng, (1, 3, 2), kind="large"),
            lambda rng: draw_update(rng, kind="large") | {"lam": 0.0},
            lambda rng: draw_update(rng, (16, 50, 8), kind="large"),
        ),
    ),
    Check(
        grow_lam,
        points=2,
        draw=draw_any_path,
        hint="solve at the first lam, before it grows. Sweep until no coefficient moves, then "
        "count those that are not zero, of either sign; one that became zero may come back, so try "
        "all in each sweep. At most n_kept: fewer may be left. The lam to return is the one that "
        "the last beta belongs to.",
        wrong={
            "fewer than asked for": fewer_than_asked_for,
            "exactly as many": exactly_as_many,
            "channels removed counted": channels_removed_counted,
            "factor added": factor_added,
            "grown before the first": grown_before_the_first,
            "grown once too often": grown_once_too_often,
            "last with more": last_with_more,
            "first lam, cut to the largest": first_lam_cut_to_the_largest,
            "one sweep for each lam": one_sweep_a_lam,
            "gone for good": gone_for_good,
            "samples left out of lam": samples_left_out_of_lam,
            "least squares at the end": least_squares_at_the_end,
            "indices instead of coefficients": indices_instead_of_coefficients,
            "positive ones counted": positive_ones_counted,
        },
        edges=(
            path_that_ends_at_once,
            path_that_jumps,
            path_on_which_one_comes_back,
            lambda rng: draw_path(rng, n_kept=1),
            lambda rng: draw_path(rng, (2, 4, 1)),
            lambda rng: draw_path(rng, (16, 40, 4), n_kept=4, margin=1e-4),
        ),
        atol=1e-6,
    ),
    Check(
        refit,
        points=2,
        draw=draw_fit,
        hint="least squares with the columns of the channels that stay alone, and with Y, whatever "
        "the layer puts out by now. A kernel has more than one column. Then put each channel back "
        "into its place among zeros. Both errors are relative to the norm of Y.",
        wrong={
            "old weights left in the others": old_weights_left_in_the_others,
            "fitted to all channels and cut": fitted_to_all_and_cut,
            "each channel fitted alone": each_channel_fitted_alone,
            "one factor for each channel": one_factor_a_channel,
            "fitted to the pruned outputs": fitted_to_the_pruned_outputs,
            "means taken away": means_taken_away,
            "only the channels kept returned": only_the_channels_kept_returned,
            "put in the first places": put_in_the_first_places,
            "fitted without the kept": fitted_without_the_kept,
            "fit by the normal equations": fit_by_the_normal_equations,
            "errors exchanged": errors_exchanged,
            "error of all channels": errors_of_all_channels,
            "errors squared": errors_squared,
            "errors not relative": errors_not_relative,
            "errors relative to what is put out": errors_relative_to_what_is_put_out,
        },
        edges=(
            lambda rng: draw_fit(rng, (2, 3, 1, 2), n_samples=2, n_kept=2),
            lambda rng: draw_fit(rng, (2, 4, 1, 1), n_kept=4),
            lambda rng: draw_fit(rng, (1, 3, 2, 2), n_kept=1),
            lambda rng: draw_fit(rng, (8, 16, 3, 3), n_samples=200, n_kept=6),
        ),
    ),
    Check(
        removal_order,
        points=2,
        draw=draw_greedy,
        hint="what is missing from the outputs is the sum of all that has been removed, and the "
        "next channel is added to it before the squares are taken. Channels that are gone are not "
        "tried again; of equal ones the first goes. Return them in the order in which they go.",
        wrong={
            "each by its own response": each_by_its_own_response,
            "sizes instead of squares": sizes_instead_of_squares,
            "signed sums": signed_sums,
            "removed subtracted": removed_subtracted,
            "last removed alone": last_removed_alone,
            "largest removed": largest_removed,
            "the later where two tie": later_where_two_tie,
            "in rising order": in_rising_order,
            "kept returned": kept_returned,
            "number taken as kept": number_taken_as_kept,
            "counted from 1": counted_from_1,
            "places among those left": places_among_those_left,
            "best set": best_set,
            "same channel again": same_channel_again,
        },
        edges=(
            lambda rng: draw_greedy(rng, n_removed=1),
            lambda rng: draw_greedy(rng, (4, 1, 2), n_removed=4),
            equal_responses,
            lambda rng: draw_greedy(rng, (24, 50, 4), n_removed=16),
        ),
    ),
    Check(
        removed_costs,
        points=1,
        draw=draw_costs,
        hint="the layer before loses whole filters, each with a bias and two numbers of the batch "
        "norm; this layer loses weights in each of its filters, and no bias. A weight is used once "
        "for each place of the outputs of its own layer.",
        wrong={
            "layer before forgotten": layer_before_forgotten,
            "this layer forgotten": this_layer_forgotten,
            "what is left": what_is_left,
            "filters of this layer removed": filters_of_this_layer_removed,
            "batch norm forgotten": batch_norm_forgotten,
            "bias forgotten": bias_forgotten,
            "running statistics counted": running_statistics_counted,
            "biases of this layer removed": biases_of_this_layer_removed,
            "places exchanged": places_exchanged,
            "one number of places for both": one_number_of_places,
            "biases taken as multiply-adds": biases_taken_as_multiply_adds,
            "kernels not squared": kernels_not_squared,
            "one filter of the reader": one_filter_of_the_reader,
            "layers beside each other": layers_beside_each_other,
        },
        edges=(
            linear_layer_behind_a_flatten,
            lambda rng: linear_layer_behind_a_flatten(rng) | {"n_kept": 50},
            lambda rng: draw_costs(rng) | {"n_kept": 1},
        ),
        atol=0,
    ),
    Check(
        steepest_channel,
        points=2,
        draw=draw_gradient,
        hint="the gradient of the first term is minus the product of residual and X, over N; add "
        "strength times class_gradient to it, then square and sum over filters and kernel. Those "
        "chosen keep their norm, but cannot be the answer. And if all are chosen?",
        wrong={
            "sign of the error turned": sign_of_the_error_turned,
            "not divided by the samples": samples_not_divided_by,
            "factor two left": factor_two_left,
            "outputs instead of the residual": outputs_instead_of_residual,
            "classes ignored": classes_ignored,
            "outputs ignored": outputs_ignored,
            "strength forgotten": strength_forgotten,
            "strength on the wrong term": strength_on_the_wrong_term,
            "norms added up": norms_added_up,
            "norms not squared": norms_not_squared,
            "norms of the filters": norms_of_the_filters,
            "chosen again": chosen_again,
            "flattest chosen": flattest_chosen,
            "those chosen set to zero": chosen_set_to_zero,
            "the first where all are chosen": first_where_all_are_chosen,
            "the last of equal ones": last_of_equal_ones,
            "place among the others": place_among_the_others,
        },
        edges=(
            all_chosen,
            equal_channels,
            lambda rng: draw_gradient(rng, (1, 1, 1, 1), n_chosen=0),
            lambda rng: draw_gradient(rng, (8, 16, 3, 3), n_samples=64, n_chosen=5),
        ),
    ),
]
