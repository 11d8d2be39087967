"""What the functions of exercise 06 must do, and mistakes that must be noticed."""

import warnings

import numpy as np

from sparsecourse.grading.checks import Check
from sparsecourse.reference import group_lasso as reference
from sparsecourse.reference.norms import group_soft_threshold, soft_threshold


def members(labels):
    """The columns of each group."""
    return [np.flatnonzero(labels == g) for g in range(int(labels.max()) + 1)]


def by_group(function, v, labels, thresholds):
    """`function` of each group of v and its threshold."""
    x = np.zeros(len(v))
    for g, threshold in zip(members(labels), thresholds, strict=True):
        x[g] = function(v[g], threshold)
    return x


def block_threshold(v, labels, lam, w):
    return by_group(group_soft_threshold, v, labels, lam * w)


def weights_ignored_by_the_threshold(v, labels, lam, w):
    return by_group(group_soft_threshold, v, labels, np.full(len(w), lam))


def each_entry_alone(v, labels, lam, w):
    return by_group(soft_threshold, v, labels, lam * w)


def kept_without_shrinking(v, labels, lam, w):
    return by_group(lambda u, t: u if np.linalg.norm(u) > t else 0 * u, v, labels, lam * w)


def direction_reversed_instead_of_zero(v, labels, lam, w):
    return by_group(lambda u, t: (1 - t / np.linalg.norm(u)) * u, v, labels, lam * w)


def squared_length(v, labels, lam, w):
    return by_group(lambda u, t: max(1 - t / max(u @ u, 1e-12), 0) * u, v, labels, lam * w)


def one_group_of_all(v, labels, lam, w):
    return group_soft_threshold(v, lam * w.mean())


def sparse_group_threshold(v, labels, lam1, lam2):
    inner = soft_threshold(v, lam1)
    return by_group(group_soft_threshold, inner, labels, np.full(len(members(labels)), lam2))


def group_first(v, labels, lam1, lam2):
    outer = by_group(group_soft_threshold, v, labels, np.full(len(members(labels)), lam2))
    return soft_threshold(outer, lam1)


def entries_forgotten(v, labels, lam1, lam2):
    return sparse_group_threshold(v, labels, 0, lam2)


def groups_forgotten(v, labels, lam1, lam2):
    return soft_threshold(v, lam1)


def length_before_the_inner_threshold(v, labels, lam1, lam2):
    """The factor of the block from v itself."""

    def shrink(u, t):
        return max(1 - t / max(np.linalg.norm(u), 1e-12), 0) * soft_threshold(u, lam1)

    return by_group(shrink, v, labels, np.full(len(members(labels)), lam2))


def conv_penalties(W):
    r_filters = sum(np.linalg.norm(piece) for piece in W)
    r_channels = sum(np.linalg.norm(W[:, c]) for c in range(W.shape[1]))
    return float(r_filters), float(r_channels)


def filters_and_channels_exchanged(W):
    return conv_penalties(W)[::-1]


def lengths_squared(W):
    return float((W**2).sum()), float((W**2).sum())


def absolute_values_summed(W):
    return float(np.abs(W).sum()), float(np.abs(W).sum())


def one_length_for_each_kernel(W):
    """Every two-dimensional piece a group, instead of the whole filter."""
    total = float(np.sqrt((W**2).sum(axis=(2, 3))).sum())
    return total, total


def largest_useful_lam(X, y, labels, w):
    return reference.lambda_max(X, y - y.mean(), members(labels), w)


def intercept_forgotten(X, y, labels, w):
    return reference.lambda_max(X, y, members(labels), w)


def columns_centred_but_not_the_target(X, y, labels, w):
    return reference.lambda_max(X - X.mean(axis=0) + 1, y, members(labels), w)


def weights_ignored(X, y, labels, w):
    return reference.lambda_max(X, y - y.mean(), members(labels))


def multiplied_by_the_weights(X, y, labels, w):
    return reference.lambda_max(X, y - y.mean(), members(labels), 1 / w)


def lambda_max_of_the_lasso(X, y, labels, w):
    pull = np.abs(X.T @ (y - y.mean())) / len(y)
    return float((pull / w[labels]).max())


def number_of_samples_forgotten(X, y, labels, w):
    return len(y) * largest_useful_lam(X, y, labels, w)


def solved(X, y, labels, lam, w, l1_ratio=0.0, tol=1e-9, max_iter=20000):
    """By the reference; stopped early where a mistake does so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return reference.coordinate_descent(
            X, y, members(labels), lam, w, l1_ratio, tol, max_iter
        ).coef


def group_lasso(X, y, labels, lam, w):
    return solved(X, y, labels, lam, w)


def weights_left_out(X, y, labels, lam, w):
    return solved(X, y, labels, lam, np.ones(len(w)))


def lasso_instead(X, y, labels, lam, w):
    return solved(X, y, labels, lam, w, l1_ratio=1.0)


def one_sweep_only(X, y, labels, lam, w):
    return solved(X, y, labels, lam, w, max_iter=1)


def samples_not_divided_by(X, y, labels, lam, w):
    return solved(X, y, labels, lam / len(y), w)


def threshold_not_divided_by_the_curvature(X, y, labels, lam, w):
    """A gradient step of length 1 / L, then the threshold at lam w instead of lam w / L."""
    n, b = len(y), np.zeros(X.shape[1])
    for _ in range(300):
        for g, w_g in zip(members(labels), w, strict=True):
            L = np.linalg.norm(X[:, g], ord=2) ** 2 / n
            b[g] = group_soft_threshold(b[g] + X[:, g].T @ (y - X @ b) / (n * L), lam * w_g)
    return b


def blocks_taken_as_orthonormal(X, y, labels, lam, w):
    """The block threshold of X_g'r / n, a few sweeps, where the columns are not orthonormal."""
    n, b = len(y), np.zeros(X.shape[1])
    for _ in range(20):
        for g, w_g in zip(members(labels), w, strict=True):
            residual = y - X @ b + X[:, g] @ b[g]
            b[g] = group_soft_threshold(X[:, g].T @ residual / n, lam * w_g)
    return b


def draw_labels(rng, n_groups=None, largest=3):
    """Groups of 1 to `largest` columns, their columns mixed; the first has two or more."""
    sizes = rng.integers(1, largest + 1, size=n_groups or int(rng.integers(2, 5)))
    sizes[0] = max(sizes[0], 2)
    return rng.permutation(np.repeat(np.arange(len(sizes)), sizes))


def draw_block(rng, n_groups=None, largest=3):
    """The first group is kept, the second is dropped, a third is often zero; weights far from 1."""
    labels = draw_labels(rng, n_groups, largest)
    n_groups = int(labels.max()) + 1
    w = rng.uniform(0.4, 2.5, size=n_groups)
    lam = float(rng.uniform(0.5, 1.5))
    v = rng.normal(size=len(labels)) + np.sign(rng.normal(size=len(labels)))
    for g, factor in ((0, rng.uniform(1.5, 3)), (1, rng.uniform(0.2, 0.8))):
        v[labels == g] *= factor * lam * w[g] / np.linalg.norm(v[labels == g])
    w[0] = max(w[0], 1.2) if w[0] > 1 else min(w[0], 0.8)
    if rng.random() < 0.5:
        v[labels == 2] = 0
    return {"v": v, "labels": labels, "lam": lam, "w": w}


def a_group_of_zeros(rng):
    case = draw_block(rng, n_groups=4)
    case["v"][case["labels"] == 2] = 0
    return case


def no_price(rng):
    return a_group_of_zeros(rng) | {"lam": 0.0}


def large_blocks(rng):
    case = draw_block(rng, n_groups=6, largest=20)
    return case | {"v": 1e6 * case["v"], "lam": 1e6 * case["lam"]}


def draw_sparse(rng, n_groups=None, largest=4):
    """In the first group one entry is large, one a little above lam1; the last is dropped."""
    labels = draw_labels(rng, n_groups, largest)
    lam1, lam2 = float(rng.uniform(0.3, 0.8)), float(rng.uniform(0.4, 1.0))
    v = 1.5 * rng.normal(size=len(labels))
    sign = np.sign(rng.normal(size=2))
    first = np.flatnonzero(labels == 0)
    v[first[:2]] = sign * [lam1 + rng.uniform(2.5, 4), lam1 + rng.uniform(0.7, 1.2)]
    last = labels == labels.max()
    v[last] *= (lam1 + 0.3 * lam2) / np.abs(v[last]).max() / np.sqrt(last.sum())
    return {"v": v, "labels": labels, "lam1": lam1, "lam2": lam2}


def draw_conv(rng, shape=None):
    """Different numbers of filters and channels."""
    if shape is None:
        filters = int(rng.integers(2, 4))
        shape = (filters, filters + int(rng.integers(1, 3)), 2, int(rng.integers(1, 4)))
    return {"W": rng.normal(size=shape)}


def some_filters_zero(rng):
    case = draw_conv(rng, shape=(5, 3, 3, 3))
    case["W"][[0, 3]] = 0
    case["W"][:, 1] = 0
    return case


def draw_top(rng, n_samples=None, n_groups=None):
    """Columns and target away from zero, a group of two or more that matters."""
    labels = draw_labels(rng, n_groups)
    n = n_samples or int(rng.integers(5, 10))
    w = rng.uniform(0.5, 2, size=int(labels.max()) + 1)
    X = rng.normal(size=(n, len(labels))) + rng.uniform(0.5, 1.5, size=len(labels))
    # Both entries of the first group pull, and it is the one that decides.
    first = labels == 0
    y = X[:, first].sum(axis=1)
    X[:, first] += 0.5 * (y - y.mean())[:, None]
    w[0] = rng.uniform(0.2, 0.4)
    return {"X": X, "y": y + 3 + 0.3 * rng.normal(size=n), "labels": labels, "w": w}


def constant_target(rng):
    case = draw_top(rng)
    return case | {"y": np.full(len(case["y"]), 2.0)}


def draw_group_lasso(rng, n_samples=None, n_groups=None, largest=3, share=None):
    """Correlated columns of different sizes; a price at which some groups are in."""
    labels = draw_labels(rng, n_groups, largest)
    n, p = n_samples or int(rng.integers(8, 14)), len(labels)
    X = rng.normal(size=(n, p)) + 0.7 * rng.normal(size=(n, 1))
    X *= rng.choice([0.6, 1.6], size=p)
    w = rng.uniform(0.4, 2.5, size=int(labels.max()) + 1)
    y = X @ (rng.normal(size=p) + np.sign(rng.normal(size=p))) + 0.5 * rng.normal(size=n)
    top = reference.lambda_max(X, y, members(labels), w)
    share = rng.uniform(0.1, 0.4) if share is None else share
    return {"X": X, "y": y, "labels": labels, "lam": float(share * top), "w": w}


def large_numbers(rng):
    case = draw_group_lasso(rng, n_samples=20, n_groups=4)
    return case | {"X": 1e3 * case["X"], "y": 1e4 * case["y"], "lam": 1e7 * case["lam"]}


CHECKS = [
    Check(
        block_threshold,
        points=2,
        draw=draw_block,
        hint="for each group: its length against lam w_g, then one factor for all its entries.",
        wrong={
            "weights ignored": weights_ignored_by_the_threshold,
            "each entry thresholded alone": each_entry_alone,
            "kept without shrinking": kept_without_shrinking,
            "factor may be negative": direction_reversed_instead_of_zero,
            "squared length": squared_length,
            "all entries in one group": one_group_of_all,
        },
        edges=(a_group_of_zeros, no_price, large_blocks),
    ),
    Check(
        sparse_group_threshold,
        points=2,
        draw=draw_sparse,
        hint="first each entry by lam1; then take the length of what is left of the group.",
        wrong={
            "group first, entries afterwards": group_first,
            "lam1 forgotten": entries_forgotten,
            "lam2 forgotten": groups_forgotten,
            "length taken before the inner threshold": length_before_the_inner_threshold,
        },
        edges=(
            lambda rng: draw_sparse(rng) | {"lam1": 0.0},
            lambda rng: draw_sparse(rng) | {"lam2": 0.0},
            lambda rng: draw_sparse(rng) | {"lam1": 10.0},
            lambda rng: draw_sparse(rng, n_groups=8, largest=12),
        ),
    ),
    Check(
        conv_penalties,
        points=2,
        draw=draw_conv,
        hint="which axes are summed over before the root, and which one after it?",
        wrong={
            "filters and channels exchanged": filters_and_channels_exchanged,
            "lengths squared": lengths_squared,
            "absolute values summed": absolute_values_summed,
            "one length for each kernel": one_length_for_each_kernel,
        },
        edges=(
            some_filters_zero,
            lambda rng: draw_conv(rng, shape=(1, 4, 1, 1)),
            lambda rng: draw_conv(rng, shape=(6, 6, 3, 3)),
        ),
    ),
    Check(
        largest_useful_lam,
        points=2,
        draw=draw_top,
        hint="with b = 0 the best b0 is the mean of y; which lam holds the group that pulls most?",
        wrong={
            "intercept forgotten": intercept_forgotten,
            "y not centred": columns_centred_but_not_the_target,
            "weights ignored": weights_ignored,
            "multiplied by the weights": multiplied_by_the_weights,
            "each column alone, as for the lasso": lambda_max_of_the_lasso,
            "n forgotten": number_of_samples_forgotten,
        },
        edges=(
            constant_target,
            lambda rng: draw_top(rng, n_samples=30, n_groups=8),
        ),
    ),
    Check(
        group_lasso,
        points=3,
        draw=draw_group_lasso,
        hint="v = b_g + X_g'r / (n L_g), threshold lam w_g / L_g; is r up to date?",
        wrong={
            "weights ignored": weights_left_out,
            "the lasso instead": lasso_instead,
            "one sweep only": one_sweep_only,
            "n forgotten": samples_not_divided_by,
            "threshold not divided by the curvature": threshold_not_divided_by_the_curvature,
            "blocks taken as orthonormal": blocks_taken_as_orthonormal,
        },
        edges=(
            large_numbers,
            lambda rng: draw_group_lasso(rng, share=1.1),
            lambda rng: draw_group_lasso(rng, n_samples=30, n_groups=6, largest=4),
            lambda rng: draw_group_lasso(rng, n_samples=6, n_groups=5, largest=3),
        ),
        certificate="group_lasso",
    ),
]
