"""One generator of arguments for each public function of functional/ that has a namesake in
reference/: a hypothesis strategy for the arguments, and the tolerance that the claim needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from sparsecourse.reference import (
    channel_selection,
    convolution,
    group_lasso,
    lasso,
    pruning,
    sparse_matrix,
    weight_groups,
)

GAP = 1e-10  # to which solvers are run before their objectives are compared


@dataclass(frozen=True)
class Case:
    """`arguments` draws what both functions are called with, NumPy arrays for arrays."""

    arguments: st.SearchStrategy[tuple]
    rtol: float = 1e-10
    # What to compare, where results are not unique or badly conditioned: (result, arguments).
    observe: Callable[[np.ndarray, tuple], Any] = lambda result, arguments: result


seeds = st.integers(0, 2**32 - 1)
INDEX_BITS, VALUE_BITS = st.integers(1, 16), st.integers(1, 64)


def matrix(rng, n_samples: int, n_features: int, rank: int, condition: float = 100) -> np.ndarray:
    """A matrix of exactly this rank (to rounding) and condition number on its range."""
    U, _ = np.linalg.qr(rng.normal(size=(n_samples, rank)))
    V, _ = np.linalg.qr(rng.normal(size=(n_features, rank)))
    return U * np.geomspace(1, 1 / condition, rank) @ V.T


@st.composite
def full_rank(draw):
    """X, y with independent columns; y a vector or several targets."""
    rng = np.random.default_rng(draw(seeds))
    p = draw(st.integers(1, 8))
    n = draw(st.integers(p, 30))
    targets = draw(st.sampled_from([(), (1,), (3,)]))
    return matrix(rng, n, p, rank=p), rng.normal(size=(n, *targets))


@st.composite
def any_rank(draw):
    """X, y, rcond of any shape, N < p and dependent columns included."""
    rng = np.random.default_rng(draw(seeds))
    n, p = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    rank = draw(st.integers(1, min(n, p)))
    targets = draw(st.sampled_from([(), (2,)]))
    # The threshold lies between the least singular value, 1e-2, and rounding, 1e-15.
    return matrix(rng, n, p, rank), rng.normal(size=(n, *targets)), 1e-8


@st.composite
def descent(draw):
    X, y, _ = draw(any_rank())
    return X, y, draw(st.integers(0, 30)), draw(st.sampled_from([None, 0.1]))


@st.composite
def conditioned(draw):
    """Any shape and rank; dependent columns have condition number infinity."""
    rng = np.random.default_rng(draw(seeds))
    n, p = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    X = matrix(rng, n, p, rank=min(n, p))
    if draw(st.booleans()):
        X[:, -1] = 0  # exactly dependent, whatever the rounding
    return (X,)


@st.composite
def points_and_degree(draw):
    rng = np.random.default_rng(draw(seeds))
    return rng.uniform(-2, 2, size=draw(st.integers(1, 20))), draw(st.integers(0, 8))


@st.composite
def quadratic_and_steps(draw):
    """A function that NumPy and PyTorch compute alike, a nominal point, a step or one each."""
    rng = np.random.default_rng(draw(seeds))
    p = draw(st.integers(1, 6))
    step = draw(st.sampled_from([0.5, rng.uniform(0.1, 1, size=p)]))
    return (lambda x: (x**2).sum(-1) + x[..., 0]), rng.normal(size=p), step


@st.composite
def numbers(draw, groups=False):
    """Numbers around the threshold, zeros and large ones among them; one lam or one for each."""
    rng = np.random.default_rng(draw(seeds))
    shape = draw(st.sampled_from([(1,), (7,), (3, 4), (2, 3, 5)]))
    w = rng.normal(size=shape) * draw(st.sampled_from([1e-3, 1.0, 1e6]))
    w[rng.random(size=shape) < 0.2] = 0
    size = np.abs(w).max() + 1e-3
    lam_shape = draw(st.sampled_from([(), shape[:-1] if groups else shape]))
    return w, size * rng.uniform(0, 1.2, size=lam_shape)


@st.composite
def vector_and_exponent(draw):
    w, _ = draw(numbers())
    return w, draw(st.sampled_from([0.25, 0.5, 1, 1.5, 2, 4, np.inf]))


@st.composite
def ridge_problem(draw, many_lams=False, least_lam=0.0):
    """Any shape and rank; lam from weak to strong."""
    X, y, _ = draw(any_rank())
    rng = np.random.default_rng(draw(seeds))
    if many_lams:
        return X, y, np.append(rng.uniform(0, 3, size=draw(st.integers(1, 4))), 0.0)
    return X, y, least_lam + float(draw(st.sampled_from([0.0, 0.01, 1.0, 100.0])))


@st.composite
def at_most_k(draw, most_features=8):
    """Any shape and rank, and the number of coefficients that may differ from zero."""
    rng = np.random.default_rng(draw(seeds))
    n, p = draw(st.integers(1, 20)), draw(st.integers(1, most_features))
    X = matrix(rng, n, p, rank=draw(st.integers(1, min(n, p))))
    return X, rng.normal(size=n), draw(st.integers(0, p))


@st.composite
def vector_and_number_kept(draw):
    """Ties and zeros among the entries, and few or many of them."""
    rng = np.random.default_rng(draw(seeds))
    w = rng.integers(-3, 4, size=draw(st.sampled_from([1, 5, 200]))).astype(float)
    return w, draw(st.integers(0, len(w)))


@st.composite
def weights_to_prune(draw, layers=False):
    """Weights with ties and zeros or without, in one layer or several, and the share to keep."""
    rng = np.random.default_rng(draw(seeds))
    shapes = draw(st.lists(st.sampled_from([(1,), (7,), (5, 8), (3, 2, 4, 4)]), min_size=1))
    weights = [rng.normal(size=shape) for shape in shapes]
    if draw(st.booleans()):
        weights = [w.round() for w in weights]
    return weights if layers else weights[0], draw(st.floats(0, 1))


@st.composite
def steps_and_schedule(draw):
    """Steps before, in and after the schedule."""
    initial, final = sorted(draw(st.tuples(st.floats(0, 1), st.floats(0, 1))))
    start, updates, every = (draw(st.integers(low, 20)) for low in (0, 1, 1))
    return np.arange(start + updates * every + 5), initial, final, start, updates, every


@st.composite
def dropout_and_connections(draw):
    rng = np.random.default_rng(draw(seeds))
    connections = rng.integers(1, 1000, size=draw(st.sampled_from([(), (3,)])))
    left = np.floor(connections * rng.random(size=connections.shape))
    return draw(st.floats(0, 1)), np.asarray(connections, dtype=float), np.asarray(left)


@st.composite
def sparse_weights(draw, *bits):
    """Weights with few zeros or many, then numbers of bits."""
    rng = np.random.default_rng(draw(seeds))
    w = rng.normal(size=draw(st.sampled_from([(1, 1), (40, 20), (4, 3, 5, 5)])))
    w[rng.random(size=w.shape) < draw(st.sampled_from([0.0, 0.5, 0.99, 1.0]))] = 0
    return w, *(draw(of) for of in bits)


@st.composite
def encoded_weights(draw):
    w, index_bits = draw(sparse_weights(INDEX_BITS))
    return *pruning.encode(w, index_bits), w.shape


@st.composite
def matrix_of_blocks(draw):
    """Whole numbers, so that there are ties; zeros alone, in blocks, in rows and in columns."""
    rng = np.random.default_rng(draw(seeds))
    block = draw(st.sampled_from([(1, 1), (1, 4), (2, 3), (4, 1)]))
    grid = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    W = rng.integers(-3, 4, size=(grid[0] * block[0], grid[1] * block[1])).astype(float)
    is_left = rng.random(size=grid) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    W *= np.kron(is_left, np.ones(block))
    W[rng.random(size=len(W)) < 0.2] = 0
    return W, block


@st.composite
def stored_and_operand(draw, store):
    """A matrix in a sparse format, and the vector or matrix that it is multiplied with."""
    W, block = draw(matrix_of_blocks())
    products = draw(st.sampled_from([(), (1,), (3,)]))
    X = np.random.default_rng(draw(seeds)).normal(size=(W.shape[1], *products))
    return *store(W, block), X


@st.composite
def weights_and_some_kept(draw):
    W, _ = draw(matrix_of_blocks())
    mask = np.random.default_rng(draw(seeds)).random(size=W.shape) < 0.3
    mask.flat[0] = True
    return W, mask


@st.composite
def n_of_m(draw):
    (W, (_, m)) = draw(matrix_of_blocks())
    return W, draw(st.integers(0, m)), m


@st.composite
def sizes_of_blocks(draw):
    """One block size for all rows, or one for each; some are longer than the row."""
    W, _ = draw(matrix_of_blocks())
    sizes = np.random.default_rng(draw(seeds)).integers(1, 25, size=len(W))
    return W, sizes if draw(st.booleans()) else int(sizes[0])


@st.composite
def lasso_problem(draw, point=False, solver=True, many_lams=False):
    """Any shape and rank, the last column now and then empty; lam from strong to weak."""
    rng = np.random.default_rng(draw(seeds))
    n, p = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    X = matrix(rng, n, p, rank=draw(st.integers(1, min(n, p))), condition=4)
    X[:, -1] *= draw(st.booleans())
    y = rng.normal(size=n)
    lam = np.abs(X.T @ y).max() / n * draw(st.sampled_from([1.5, 0.7, 0.2, 0.05]))
    if many_lams:
        lam = lam * np.geomspace(1, 0.2, 3)
    if point:
        return X, y, rng.normal(size=p), lam
    return (X, y, lam, GAP, 10**6) if solver else (X, y)


@st.composite
def group_lasso_problem(draw, point=False, solver=True, many_lams=False):
    """As `lasso_problem`, in groups of any size, with weights or without, with an l1 part or not."""
    X, y, lam, *_ = draw(lasso_problem(many_lams=many_lams))
    rng = np.random.default_rng(draw(seeds))
    p = X.shape[1]
    groups = [g.tolist() for g in np.array_split(rng.permutation(p), draw(st.integers(1, p)))]
    weights = draw(st.sampled_from([None, rng.uniform(0.5, 2, size=len(groups))]))
    l1_ratio = draw(st.sampled_from([0.0, 0.4, 1.0]))
    if point:
        return X, y, rng.normal(size=p), groups, lam, weights, l1_ratio
    if not solver:
        return X, y, groups, weights, l1_ratio
    return X, y, groups, lam, weights, l1_ratio, GAP, 10**5


@st.composite
def layer_and_rank(draw, inputs_of_layer=False):
    """A weight matrix, and with it inputs, few or dependent ones too: of enough rank for the rank
    drawn, since above it factors are not unique."""
    rng = np.random.default_rng(draw(seeds))
    filters, inputs = draw(st.integers(1, 10)), draw(st.integers(1, 10))
    of_weights = draw(st.integers(1, min(filters, inputs)))
    W = matrix(rng, filters, inputs, of_weights, condition=10)
    if not inputs_of_layer:
        return W, draw(st.integers(1, of_weights))
    n = draw(st.integers(1, 30))
    of_inputs = draw(st.integers(1, min(n, inputs)))
    X = matrix(rng, n, inputs, of_inputs, condition=10)
    return W, X, draw(st.integers(1, min(of_weights, of_inputs)))


@st.composite
def kernel_and_rank(draw, largest):
    """A kernel of any shape, and a rank up to `largest` of that shape."""
    rng = np.random.default_rng(draw(seeds))
    W = rng.normal(size=[draw(st.integers(1, size)) for size in (6, 5, 3, 3)])
    return W, draw(st.integers(1, largest(*W.shape)))


@st.composite
def convolutional_layer(draw):
    """X, W, bias or none, stride, padding, dilation, groups; settings are numbers or pairs."""

    def setting(low, high):
        number = st.integers(low, high)
        return draw(st.one_of(number, st.tuples(number, number)))

    stride, padding, dilation = setting(1, 3), setting(0, 3), setting(1, 3)
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    sides = zip(kernel, np.broadcast_to(padding, 2), np.broadcast_to(dilation, 2), strict=True)
    size = [
        max(1, int(d * (k - 1) + 1 - 2 * p)) + draw(st.integers(0, 4))  # the kernel fits
        for k, p, d in sides
    ]
    n, groups, channels, filters = (draw(st.integers(1, 3)) for _ in range(4))
    rng = np.random.default_rng(draw(seeds))
    X = rng.normal(size=(n, groups * channels, *size))
    W = rng.normal(size=(groups * filters, channels, *kernel))
    bias = rng.normal(size=len(W)) if draw(st.booleans()) else None
    return X, W, bias, stride, padding, dilation, groups


@st.composite
def patches(draw, columns=False):
    """Images and settings, or columns, the shape of the images that they are of, and settings."""
    X, W, _, *settings, _ = draw(convolutional_layer())
    kernel = W.shape[2:]
    if not columns:
        return X, kernel, *settings
    return convolution.im2col(X, kernel, *settings) ** 2, X.shape, kernel, *settings


@st.composite
def path_and_folds(draw):
    """Any X and y, some lam, and a fit that NumPy and PyTorch compute alike."""
    rng = np.random.default_rng(draw(seeds))
    n, p = draw(st.integers(2, 12)), draw(st.integers(1, 5))
    X, y = rng.normal(size=(n, p)) + 2, rng.normal(size=n) + 3
    lams = rng.uniform(0.1, 2, size=draw(st.integers(1, 4)))
    return X, y, lams, correlations_over_lam, draw(st.integers(2, n)), draw(st.integers(0, 9))


def correlations_over_lam(X, y, lams):
    return (X.T @ y)[None] / lams[:, None] / len(y)


@st.composite
def errors_of_folds(draw):
    """Errors that fall and rise along the path, with folds that agree more or less."""
    rng = np.random.default_rng(draw(seeds))
    folds, lams = draw(st.integers(2, 10)), draw(st.integers(1, 12))
    mean = 5 + (np.arange(lams) - 0.7 * lams) ** 2
    return (mean + draw(st.sampled_from([0.1, 3.0])) * rng.normal(size=(folds, lams)),)


def fitted_values(b, arguments):
    return arguments[0] @ b


def lasso_objective(b, arguments):
    """The objective at each lam and, as the unit that the gap is counted in, that at zero."""
    X, y, lams, *_ = arguments
    values = [
        lasso.objective(X, y, *pair) for pair in zip(np.atleast_2d(b), np.ravel(lams), strict=True)
    ]
    return np.array([*values, y @ y / (2 * len(y))])


def group_lasso_objective(b, arguments):
    """As `lasso_objective`."""
    X, y, groups, lams, *options, _, _ = arguments
    values = [
        group_lasso.objective(X, y, b_i, groups, lam, *options)
        for b_i, lam in zip(np.atleast_2d(b), np.ravel(lams), strict=True)
    ]
    return np.array([*values, y @ y / (2 * len(y))])


@st.composite
def layer_and_outputs(draw):
    """W, X, Y of a layer: its own outputs, or with what it cannot explain; few samples too."""
    rng = np.random.default_rng(draw(seeds))
    filters, channels, height, width = (draw(st.integers(1, size)) for size in (4, 6, 2, 2))
    W = rng.normal(size=(filters, channels, height, width))
    n = draw(st.integers(channels + 1, 40))
    X = rng.normal(size=(n, channels * height * width)) + rng.normal(size=(n, 1))
    return (
        W,
        X,
        X @ W.reshape(filters, -1).T
        + draw(st.sampled_from([0, 1])) * rng.normal(size=(n, filters)),
    )


@st.composite
def layer_and_beta(draw):
    """W, beta, X, Y and lam; some channels have left."""
    W, X, Y = draw(layer_and_outputs())
    beta = np.random.default_rng(draw(seeds)).normal(size=W.shape[1]).round(1)
    return W, beta, X, Y, draw(st.floats(0.01, 10))


@st.composite
def layer_and_number_kept(draw, *parts):
    """These of W, X and Y, and how many channels to keep."""
    layer = dict(zip("WXY", draw(layer_and_outputs()), strict=True))
    return *(layer[part] for part in parts), draw(st.integers(1, layer["W"].shape[1]))


@st.composite
def layer_and_kept(draw, pruned=False):
    """W, of the channels kept alone where that is what is asked for, X, Y, and these channels."""
    W, X, Y = draw(layer_and_outputs())
    kept = draw(st.permutations(range(W.shape[1])))[: draw(st.integers(1, W.shape[1]))]
    return W[:, kept] if pruned else W, X, Y, draw(st.sampled_from([kept, np.array(kept)]))


@st.composite
def gradient_and_chosen(draw):
    rng = np.random.default_rng(draw(seeds))
    gradient = rng.normal(size=(3, draw(st.integers(1, 6)), 2, 2))
    channels = gradient.shape[1]
    chosen = draw(st.permutations(range(channels)))[: draw(st.integers(0, channels - 1))]
    return gradient, chosen, draw(st.integers(1, channels - len(chosen)))


def channel_objective(beta, arguments):
    """The objective and, as the unit that the gap is counted in, that at zero."""
    W, X, Y, lam, _ = arguments
    return [channel_selection.objective(W, b, X, Y, lam) for b in (beta, 0 * beta)]


@st.composite
def weights_and_kind(draw):
    """The weight of a convolution or of a linear layer, with groups that are zero; how to group."""
    rng = np.random.default_rng(draw(seeds))
    ndim = draw(st.sampled_from([2, 4]))
    W = rng.normal(size=tuple(draw(st.integers(1, 4)) for _ in range(ndim)))
    W *= draw(st.sampled_from([1e-3, 1.0, 1e6]))
    W[rng.random(len(W)) < 0.3] = 0
    W[:, rng.random(W.shape[1]) < 0.3] = 0
    return W, draw(st.sampled_from(list(weight_groups.KINDS)))


@st.composite
def weights_kind_and_threshold(draw):
    W, kind = draw(weights_and_kind())
    # From no group to all; a length itself may lie on either side of it, by rounding.
    share = draw(st.sampled_from([0, 0.3, 0.7, 1.1]))
    return W, kind, share * float(weight_groups.group_norms(W, kind).max())


CASES: dict[str, Case] = {
    "convolution.im2col": Case(patches(), rtol=0),
    "convolution.col2im": Case(patches(columns=True), rtol=1e-14),
    "convolution.conv2d": Case(convolutional_layer(), rtol=1e-12),
    "cross_validation.path_errors": Case(path_and_folds()),
    "cross_validation.one_standard_error": Case(errors_of_folds(), rtol=0),
    "lasso.lambda_max": Case(lasso_problem(solver=False), rtol=1e-12),
    "lasso.objective": Case(lasso_problem(point=True), rtol=1e-12),
    "lasso.duality_gap": Case(lasso_problem(point=True), rtol=1e-12),
    "lasso.coordinate_descent": Case(lasso_problem(), observe=lasso_objective),
    "lasso.ista": Case(lasso_problem(), observe=lasso_objective),
    "lasso.fista": Case(lasso_problem(), observe=lasso_objective),
    "lasso.path": Case(lasso_problem(many_lams=True), observe=lasso_objective),
    "group_lasso.lambda_max": Case(group_lasso_problem(solver=False), rtol=1e-12),
    "group_lasso.objective": Case(group_lasso_problem(point=True), rtol=1e-12),
    "group_lasso.duality_gap": Case(group_lasso_problem(point=True), rtol=1e-12),
    "group_lasso.coordinate_descent": Case(group_lasso_problem(), observe=group_lasso_objective),
    "group_lasso.path": Case(group_lasso_problem(many_lams=True), observe=group_lasso_objective),
    "greedy.best_subset": Case(at_most_k(), observe=fitted_values),
    "greedy.omp": Case(at_most_k(most_features=20), observe=fitted_values),
    "greedy.keep_largest": Case(vector_and_number_kept(), rtol=0),
    "greedy.iht": Case(at_most_k(most_features=20), observe=fitted_values),
    "least_squares.solve_normal_equations": Case(full_rank(), rtol=1e-10, observe=fitted_values),
    "least_squares.solve_qr": Case(full_rank(), rtol=1e-10, observe=fitted_values),
    "least_squares.solve_minimum_norm": Case(any_rank(), rtol=1e-10),
    "least_squares.gradient_descent": Case(descent()),
    "least_squares.condition_number": Case(conditioned()),
    "least_squares.polynomial_features": Case(points_and_degree(), rtol=1e-13),
    "least_squares.local_sensitivity": Case(quadratic_and_steps()),
    "low_rank.approximate": Case(layer_and_rank()),
    "low_rank.regress": Case(layer_and_rank(inputs_of_layer=True)),
    "low_rank.spatial_split": Case(kernel_and_rank(lambda f, c, h, w: min(c * h, f * w))),
    "low_rank.channel_split": Case(kernel_and_rank(lambda f, c, h, w: min(f, c * h * w))),
    "norms.lp_norm": Case(vector_and_exponent(), rtol=1e-12),
    "norms.l0_norm": Case(numbers().map(lambda drawn: drawn[:1]), rtol=0),
    "norms.soft_threshold": Case(numbers(), rtol=1e-14),
    "norms.hard_threshold": Case(numbers(), rtol=0),
    "norms.half_threshold": Case(numbers(), rtol=1e-12),
    "norms.group_soft_threshold": Case(numbers(groups=True), rtol=1e-13),
    "pruning.magnitude_mask": Case(weights_to_prune(), rtol=0),
    "pruning.global_magnitude_masks": Case(weights_to_prune(layers=True), rtol=0),
    "pruning.threshold_mask": Case(weights_to_prune(), rtol=0),
    "pruning.cubic_sparsity": Case(steps_and_schedule(), rtol=1e-14),
    "pruning.dropout_ratio": Case(dropout_and_connections(), rtol=1e-14),
    "pruning.compression_rate": Case(
        weights_to_prune(layers=True).map(lambda drawn: drawn[:1]), rtol=1e-15
    ),
    "pruning.encode": Case(sparse_weights(INDEX_BITS), rtol=0),
    "pruning.decode": Case(encoded_weights(), rtol=0),
    "pruning.relative_index_bytes": Case(sparse_weights(INDEX_BITS, VALUE_BITS), rtol=0),
    "pruning.csr_bytes": Case(sparse_weights(st.sampled_from([16, 32]), VALUE_BITS), rtol=0),
    "pruning.bitmask_bytes": Case(sparse_weights(VALUE_BITS), rtol=0),
    "ridge.closed_form": Case(ridge_problem(least_lam=0.01)),
    "ridge.svd_form": Case(ridge_problem()),
    "ridge.path": Case(ridge_problem(many_lams=True)),
    "ridge.degrees_of_freedom": Case(ridge_problem().map(lambda drawn: (drawn[0], drawn[2]))),
    "sparse_matrix.to_csr": Case(matrix_of_blocks().map(lambda drawn: drawn[:1]), rtol=0),
    "sparse_matrix.csr_matmul": Case(stored_and_operand(lambda W, _: sparse_matrix.to_csr(W))),
    "sparse_matrix.to_bsr": Case(matrix_of_blocks(), rtol=0),
    "sparse_matrix.bsr_matmul": Case(stored_and_operand(sparse_matrix.to_bsr)),
    "sparse_matrix.to_bitmask": Case(matrix_of_blocks().map(lambda drawn: drawn[:1]), rtol=0),
    "sparse_matrix.bitmask_matmul": Case(
        stored_and_operand(lambda W, _: sparse_matrix.to_bitmask(W))
    ),
    "sparse_matrix.rows_and_columns": Case(matrix_of_blocks().map(lambda drawn: drawn[:1]), rtol=0),
    "sparse_matrix.rows_and_columns_matmul": Case(
        stored_and_operand(lambda W, _: (*sparse_matrix.rows_and_columns(W), len(W)))
    ),
    "structured_masks.density": Case(matrix_of_blocks().map(lambda drawn: drawn[:1]), rtol=1e-14),
    "structured_masks.block_mask": Case(
        st.tuples(matrix_of_blocks(), st.floats(0, 1)).map(lambda d: (d[0][0], d[1], d[0][1])),
        rtol=0,
    ),
    "structured_masks.n_of_m_mask": Case(n_of_m(), rtol=0),
    "structured_masks.regular_block_sizes": Case(
        st.tuples(matrix_of_blocks(), st.floats(0, 1)).map(lambda d: (d[0][0], d[1])), rtol=0
    ),
    "structured_masks.regular_block_mask": Case(sizes_of_blocks(), rtol=0),
    "structured_masks.retained_weight_difference": Case(weights_and_some_kept(), rtol=1e-14),
    "channel_selection.channel_responses": Case(
        layer_and_outputs().map(lambda drawn: drawn[:2]), rtol=1e-13
    ),
    "channel_selection.objective": Case(layer_and_beta(), rtol=1e-12),
    "channel_selection.normalize": Case(layer_and_beta().map(lambda drawn: drawn[:2]), rtol=1e-14),
    "channel_selection.solve_beta": Case(
        st.tuples(layer_and_outputs(), st.floats(0.01, 10)).map(lambda d: (*d[0], d[1], GAP)),
        observe=channel_objective,
    ),
    "channel_selection.solve_weights": Case(layer_and_beta(), rtol=1e-9),
    # Solutions of the lasso that differ by little lead to steps that do.
    "channel_selection.alternate": Case(
        st.tuples(layer_and_outputs(), st.floats(0.01, 10), st.integers(0, 5)).map(
            lambda d: (*d[0], *d[1:], 1e-13)
        ),
        rtol=1e-5,
    ),
    "channel_selection.select_lasso": Case(
        layer_and_number_kept("W", "X", "Y").map(lambda drawn: (*drawn, 1e-12)), rtol=1e-5
    ),
    "channel_selection.select_alternating": Case(
        layer_and_number_kept("W", "X", "Y").map(lambda drawn: (*drawn, 1e-12)), rtol=1e-5
    ),
    "channel_selection.select_thinet": Case(layer_and_number_kept("W", "X"), rtol=0),
    "channel_selection.select_l1": Case(layer_and_number_kept("W"), rtol=0),
    "channel_selection.select_random": Case(
        st.tuples(layer_and_number_kept("W"), seeds).map(lambda d: (*d[0], d[1])), rtol=0
    ),
    "channel_selection.select_gradient": Case(gradient_and_chosen(), rtol=0),
    "channel_selection.reconstruct": Case(layer_and_kept(), rtol=1e-9),
    "channel_selection.rescale": Case(layer_and_kept(), rtol=1e-9),
    "channel_selection.output_error": Case(
        layer_and_kept(pruned=True), rtol=1e-12, observe=lambda error, _: 1 + error
    ),
    "weight_groups.group_view": Case(weights_and_kind(), rtol=0),
    "weight_groups.group_norms": Case(weights_and_kind(), rtol=1e-13),
    "weight_groups.group_penalty": Case(weights_and_kind(), rtol=1e-13),
    "weight_groups.group_subgradient": Case(weights_and_kind(), rtol=1e-13),
    "weight_groups.proximal_step": Case(weights_kind_and_threshold()),
}
