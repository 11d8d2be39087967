"""Channel selection by certificates: duality gaps, lower bounds, brute force, exact recovery."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Lasso, LinearRegression
from torch.nn.functional import conv2d

from sparsecourse.reference import channel_selection, group_lasso, lasso
from sparsecourse.reference.convolution import im2col

SELECT = {
    "lasso": lambda W, X, Y, k: channel_selection.select_lasso(W, X, Y, k).kept,
    "alternating": lambda W, X, Y, k: channel_selection.select_alternating(W, X, Y, k).kept,
    "thinet": lambda W, X, Y, k: channel_selection.select_thinet(W, X, k),
    "l1": lambda W, X, Y, k: channel_selection.select_l1(W, k),
    "random": lambda W, X, Y, k: channel_selection.select_random(W, k, seed=3),
    "gradient": lambda W, X, Y, k: by_gradient(W, X, Y, k),
}


def layer(seed=0, filters=5, channels=6, k=2, n=60, noise=0.0):
    """W, correlated inputs of different sizes, and outputs."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(filters, channels, k, k)) * rng.uniform(0.5, 2, size=(channels, 1, 1))
    inputs = channels * k * k
    X = rng.normal(size=(n, inputs)) @ (np.eye(inputs) + 0.3 * rng.normal(size=(inputs, inputs)))
    return W, X, X @ W.reshape(filters, -1).T + noise * rng.normal(size=(n, filters))


def by_gradient(W, X, Y, n_kept):
    """The greedy selection of the reconstruction error alone."""
    chosen = []
    for _ in range(n_kept):
        now = np.zeros_like(W)
        if len(chosen):
            now[:, chosen] = channel_selection.reconstruct(W, X, Y, chosen)
        residual = X @ now.reshape(len(W), -1).T - Y
        gradient = (residual.T @ X).reshape(W.shape) / len(X)
        chosen = channel_selection.select_gradient(gradient, chosen, 1)
    return chosen


def block(X, W, kept):
    size = W[0, 0].size
    return np.concatenate([X[:, i * size : (i + 1) * size] for i in kept], axis=1)


def refit_error(W, X, Y, kept):
    """By another solver."""
    columns = block(X, W, kept)
    return np.linalg.norm(Y - columns @ np.linalg.lstsq(columns, Y)[0]) / np.linalg.norm(Y)


def group_lasso_minimum(W, X, Y, lam):
    """The minimum of ||Y - sum_i X_i U_i^T||^2 / (2N) + lam sum_i ||U_i||_F over all U."""
    filters, channels = W.shape[:2]
    design = np.kron(X, np.eye(filters))
    groups = np.arange(design.shape[1]).reshape(channels, -1).tolist()
    solution = group_lasso.coordinate_descent(
        design, Y.ravel(), groups, lam / filters, tol=1e-11, max_iter=20_000
    )
    return filters * group_lasso.objective(design, Y.ravel(), solution.coef, groups, lam / filters)


def test_responses_are_convolutions_with_all_other_channels_zero():
    rng = np.random.default_rng(0)
    images, W = rng.normal(size=(3, 4, 7, 6)), rng.normal(size=(5, 4, 3, 2))
    X = im2col(images, (3, 2)).transpose(0, 2, 1).reshape(-1, 4 * 3 * 2)
    Z = channel_selection.channel_responses(W, X)
    for i in range(4):
        alone = np.zeros_like(images)
        alone[:, i] = images[:, i]
        expected = conv2d(torch.as_tensor(alone), torch.as_tensor(W)).numpy()
        np.testing.assert_allclose(Z[i], expected.transpose(0, 2, 3, 1).reshape(-1, 5), atol=1e-12)
    np.testing.assert_allclose(Z.sum(axis=0), X @ W.reshape(5, -1).T, atol=1e-12)


def test_a_fully_connected_layer_reads_channels_as_large_as_the_image():
    rng = np.random.default_rng(0)
    images, W = rng.normal(size=(9, 4, 3, 3)), rng.normal(size=(5, 36))
    Z = channel_selection.channel_responses(W.reshape(5, 4, 3, 3), images.reshape(9, -1))
    np.testing.assert_allclose(Z[2], images[:, 2].reshape(9, 9) @ W[:, 18:27].T, atol=1e-12)


def test_objective_by_hand():
    W, X = np.array([[[[2.0]], [[1.0]]]]), np.array([[1.0, 3.0], [0.0, -1.0]])
    # Z_1 = (2, 0), Z_2 = (3, -1); Y - Z_1 + 2 Z_2 = (1 - 2 + 6, 1 - 2) = (5, -1)
    value = channel_selection.objective(W, [1, -2], X, [[1.0], [1.0]], 0.5)
    assert value == pytest.approx(26 / 4 + 0.5 * 3)


def test_normalising_keeps_the_product_and_leaves_no_other_size():
    W, _, _ = layer()
    W[:, 2] = 0
    beta = np.array([1.0, -2, 3, 0, 5, 6])
    V, scaled = channel_selection.normalize(W, beta)
    np.testing.assert_allclose(V * scaled[:, None, None], W * beta[:, None, None], atol=1e-14)
    sizes = [np.linalg.norm(V[:, i]) for i in range(6)]
    np.testing.assert_allclose(sizes, [1, 1, 0, 1, 1, 1])
    np.testing.assert_array_equal(np.sign(scaled), [1, -1, 0, 0, 1, 1])


@pytest.mark.parametrize("lam", [0.1, 3.0, 30.0])
def test_beta_is_certified_by_the_duality_gap_and_optimality_conditions(lam):
    W, X, Y = layer(noise=1.0)
    solution = channel_selection.solve_beta(W, X, Y, lam, tol=1e-12)
    columns = np.stack([(X_i @ W_i.T).ravel() for X_i, W_i in parts(W, X)], axis=1)
    assert solution.gap <= 1e-12
    assert lasso.duality_gap(columns, Y.ravel(), solution.coef, lam / 5) <= 1e-12
    slope = columns.T @ (Y.ravel() - columns @ solution.coef) / len(X)
    assert (np.abs(slope) <= lam * (1 + 1e-5)).all()
    on = solution.coef != 0
    np.testing.assert_allclose(slope[on], lam * np.sign(solution.coef[on]), rtol=1e-5)
    peer = Lasso(alpha=lam / 5, fit_intercept=False, tol=1e-12, max_iter=100_000)
    expected = peer.fit(columns, Y.ravel()).coef_
    np.testing.assert_allclose(solution.coef, expected, atol=1e-5)


def parts(W, X):
    size = W[0, 0].size
    return [
        (X[:, i * size : (i + 1) * size], W[:, i].reshape(len(W), -1)) for i in range(W.shape[1])
    ]


def test_lam_to_infinity_leaves_no_channel_and_lam_to_zero_the_least_squares_factors():
    W, X, Y = layer(noise=1.0)
    largest = max(abs(np.sum(Y * (X_i @ W_i.T))) for X_i, W_i in parts(W, X)) / len(X)
    assert not channel_selection.solve_beta(W, X, Y, largest * 1.001).coef.any()
    assert channel_selection.solve_beta(W, X, Y, largest * 0.999).coef.any()
    beta = channel_selection.solve_beta(W, X, Y, 1e-7, tol=1e-13).coef
    rescaled = channel_selection.rescale(W, X, Y, range(6))
    np.testing.assert_allclose(W * beta[:, None, None], rescaled, rtol=1e-4)


def test_the_papers_step_for_the_weights_is_least_squares():
    W, X, Y = layer(noise=1.0)
    beta = np.array([0.5, 0, -2, 1, 0, 0.1])
    V, scaled = channel_selection.solve_weights(W, beta, X, Y, lam=0)
    fitted = np.einsum("nck,fck,c->nf", X.reshape(60, 6, 4), V.reshape(5, 6, 4), scaled)
    kept = [0, 2, 3, 5]
    error = np.linalg.norm(Y - fitted) / np.linalg.norm(Y)
    assert error == pytest.approx(refit_error(W, X, Y, kept), rel=1e-9)
    np.testing.assert_allclose([np.linalg.norm(V[:, i]) for i in range(6)], 1)
    np.testing.assert_array_equal(np.sign(scaled), np.sign(beta))
    np.testing.assert_allclose(V[:, 1], W[:, 1] / np.linalg.norm(W[:, 1]))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 30), st.sampled_from([3, 60]))
def test_the_objective_of_the_alternation_never_rises(seed, lam, n):
    W, X, Y = layer(seed, channels=4, n=n, noise=0.5)
    history = channel_selection.alternate(W, X, Y, lam, 6).history
    assert len(history) == 13
    assert (np.diff(history) <= 1e-10 * history[0]).all()


@pytest.mark.parametrize("lam", [3.0, 12.0, 25.0])
def test_the_group_lasso_is_a_lower_bound_of_the_alternation(lam):
    W, X, Y = layer(noise=1.0)
    history = channel_selection.alternate(W, X, Y, lam, 20).history
    assert history[-1] >= group_lasso_minimum(W, X, Y, lam) * (1 - 1e-9)


def test_history_is_the_objective_of_what_comes_back():
    W, X, Y = layer(noise=1.0)
    V, beta, history = channel_selection.alternate(W, X, Y, 4.0, 3)
    assert history[-1] == pytest.approx(channel_selection.objective(V, beta, X, Y, 4.0), rel=1e-12)
    np.testing.assert_allclose([np.linalg.norm(V[:, i]) for i in range(6)], 1)
    start = channel_selection.objective(W, np.ones(6), X, Y, 0)
    sizes = sum(np.linalg.norm(W[:, i]) for i in range(6))
    assert history[0] == pytest.approx(start + 4 * sizes, rel=1e-12)


def test_the_alternation_reaches_the_group_lasso_while_no_channel_leaves():
    W, X, Y = layer(noise=1.0)
    history = channel_selection.alternate(W, X, Y, 2.0, 200, tol=1e-12).history
    assert history[1] > 1.05 * history[-1]  # the lasso alone does not
    assert history[-1] == pytest.approx(group_lasso_minimum(W, X, Y, 2.0), rel=1e-7)


def test_the_step_of_the_paper_raises_the_objective_where_the_penalised_one_does_not():
    """The lasso shrinks beta; least squares undoes it, and the penalty is that of before."""
    W, X, Y = layer()
    V, _ = channel_selection.normalize(W, np.ones(6))
    beta = channel_selection.solve_beta(V, X, Y, 5.0).coef
    values = [
        channel_selection.objective(*channel_selection.solve_weights(V, beta, X, Y, lam), X, Y, 5.0)
        for lam in (0, 5.0)
    ]
    before = channel_selection.objective(V, beta, X, Y, 5.0)
    assert values[0] > 1.1 * before
    assert values[1] < 0.95 * before


@pytest.mark.parametrize("n_kept", [1, 2, 3, 4, 5])
def test_lasso_selection_keeps_as_many_as_asked_for_at_a_lam_that_does(n_kept):
    for seed in range(4):
        W, X, Y = layer(seed, noise=1.0)
        kept, beta, lam, n_nonzero = channel_selection.select_lasso(W, X, Y, n_kept)
        assert len(kept) == n_kept == n_nonzero
        V, _ = channel_selection.normalize(W, np.ones(6))
        again = channel_selection.solve_beta(V, X, Y, lam, tol=1e-10).coef
        np.testing.assert_array_equal(np.flatnonzero(again), kept)
        np.testing.assert_allclose(beta, again, atol=1e-3)


def test_where_the_path_jumps_the_largest_are_kept_and_it_is_said():
    """Orthogonal channels of one strength leave together; beta differs by rounding alone."""
    X = np.eye(4)
    W = np.ones((1, 4, 1, 1))
    chosen = channel_selection.select_lasso(W, X, np.ones((4, 1)), 2)
    assert (len(chosen.kept), np.count_nonzero(chosen.beta), chosen.n_nonzero) == (2, 2, 4)
    assert chosen.lam == pytest.approx(0.25, rel=1e-3)  # <Z_i, Y> / N


def test_fewer_channels_come_back_where_the_others_add_nothing():
    W, X, Y = layer()
    W[:, 4] = 0
    chosen = channel_selection.select_lasso(W, X, Y, 6)
    np.testing.assert_array_equal(chosen.kept, [0, 1, 2, 3, 5])
    assert chosen.n_nonzero == 5


@pytest.mark.parametrize("n_kept", [1, 3, 5])
def test_growing_lam_leaves_as_many_as_asked_for_and_history_falls_at_each_lam(n_kept):
    for seed in range(3):
        W, X, Y = layer(seed, noise=0.5)
        chosen = channel_selection.select_alternating(W, X, Y, n_kept)
        assert len(chosen.kept) == n_kept == np.count_nonzero(chosen.beta) <= chosen.n_nonzero
        assert chosen.lam == chosen.lams[-1]
        assert (np.diff(chosen.lams) >= 0).all()
        same = np.diff(chosen.lams) == 0
        assert same.any()
        assert not same.all()
        assert (np.diff(chosen.history)[same] <= 1e-10 * chosen.history[0]).all()
        if chosen.n_nonzero == n_kept:
            value = channel_selection.objective(chosen.W, chosen.beta, X, Y, chosen.lam)
            assert value == pytest.approx(chosen.history[-1], rel=1e-10)


def test_where_no_channel_has_to_go_lam_does_not_grow():
    W, X, Y = layer()
    chosen = channel_selection.select_alternating(W, X, Y, 6)
    np.testing.assert_array_equal(chosen.kept, range(6))
    assert (chosen.lam, chosen.n_nonzero, len(chosen.history)) == (0, 6, 0)


@pytest.mark.parametrize("method", SELECT)
def test_no_selection_is_better_than_the_best_subset(method):
    for seed in range(3):
        W, X, Y = layer(seed, channels=7)
        for n_kept in (2, 5):
            kept = SELECT[method](W, X, Y, n_kept)
            error = channel_selection.output_error(
                channel_selection.reconstruct(W, X, Y, kept), X, Y, kept
            )
            assert error == pytest.approx(refit_error(W, X, Y, kept), rel=1e-9)
            best = min(refit_error(W, X, Y, some) for some in combinations(range(7), n_kept))
            assert error >= best * (1 - 1e-9)


def test_selection_by_outputs_beats_weights_and_chance_where_large_weights_meet_small_inputs():
    W, X, Y = layer(channels=8, n=200)
    sizes = np.geomspace(30, 0.03, 8)
    X = X * np.repeat(sizes, 4)
    W = W / np.sqrt(sizes)[:, None, None]
    Y = X @ W.reshape(5, -1).T
    for n_kept in (2, 4, 6):
        errors = {name: refit_error(W, X, Y, SELECT[name](W, X, Y, n_kept)) for name in SELECT}
        for name in ("lasso", "alternating", "thinet", "gradient"):
            assert errors[name] < min(errors["l1"], errors["random"]), (name, n_kept)


def test_each_step_of_thinet_is_the_best_of_all():
    W, X, _ = layer(channels=7)
    Z = channel_selection.channel_responses(W, X)
    removed = []
    for n_kept in range(6, 0, -1):
        left = [j for j in range(7) if j not in removed]
        removed.append(min(left, key=lambda j: np.sum(Z[[*removed, j]].sum(axis=0) ** 2)))
        expected = [j for j in range(7) if j not in removed]
        np.testing.assert_array_equal(channel_selection.select_thinet(W, X, n_kept), expected)


def test_thinet_lets_a_channel_go_that_takes_back_what_another_did():
    W = np.ones((1, 3, 1, 1))
    X = np.array([[1.0, -1.2, 0.0], [1.0, -1.2, 1.5]])  # ||Z||^2 = 2, 2.88, 2.25
    np.testing.assert_array_equal(channel_selection.select_thinet(W, X, 2), [1, 2])
    np.testing.assert_array_equal(channel_selection.select_thinet(W, X, 1), [2])


def test_thinet_is_greedy():
    """Two channels cancel, but a smaller one that goes first stays gone."""
    W = np.ones((1, 3, 1, 1))
    X = np.array([[5.0, -5.0, 1.0]])
    np.testing.assert_array_equal(channel_selection.select_thinet(W, X, 2), [0, 1])
    assert channel_selection.select_thinet(W, X, 1) != [2]


def test_of_two_equal_channels_one_is_enough_after_reconstruction_alone():
    W, X, _ = layer(n=200)
    X = X.reshape(200, 6, 4)
    X[:, 5] = X[:, 1]
    X = X.reshape(200, 24)
    W[:, 5] = W[:, 1] = 0.2 * W[:, 1]
    Y = X @ W.reshape(5, -1).T
    for name in ("lasso", "l1", "gradient"):
        kept = SELECT[name](W, X, Y, 5)
        assert len({1, 5} & set(kept)) == 1, name
        for fit in (channel_selection.reconstruct, channel_selection.rescale):
            error = channel_selection.output_error(fit(W, X, Y, kept), X, Y, kept)
            assert error < 1e-12
        assert channel_selection.output_error(W[:, kept], X, Y, kept) > 0.01


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.permutations(range(5)))
def test_names_of_channels_do_not_matter(seed, order):
    W, X, Y = layer(seed, channels=5, noise=0.5)
    shuffled = W[:, order], block(X, W, order), Y
    for name in ("lasso", "alternating", "thinet", "l1", "gradient"):
        kept = SELECT[name](*shuffled, 3)
        np.testing.assert_array_equal(np.sort(np.array(order)[kept]), SELECT[name](W, X, Y, 3))


def test_reconstruction_is_better_than_rescaling_and_that_than_nothing():
    W, X, Y = layer()
    kept = [4, 0, 3]
    errors = [
        channel_selection.output_error(weights, X, Y, kept)
        for weights in (
            channel_selection.reconstruct(W, X, Y, kept),
            channel_selection.rescale(W, X, Y, kept),
            W[:, kept],
        )
    ]
    assert errors[0] < errors[1] < errors[2]
    factors = channel_selection.rescale(W, X, Y, kept) / W[:, kept]
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:1, :, :1, :1], factors.shape))
    Z = channel_selection.channel_responses(W, X)[kept].reshape(3, -1).T
    np.testing.assert_allclose(factors[0, :, 0, 0], np.linalg.lstsq(Z, Y.ravel())[0])


def test_with_few_samples_the_shortest_weights_reconstruct_them_exactly():
    W, X, Y = layer(n=6, noise=1.0)
    weights = channel_selection.reconstruct(W, X, Y, [2, 5])
    assert channel_selection.output_error(weights, X, Y, [2, 5]) < 1e-12
    expected = np.linalg.pinv(block(X, W, [2, 5])) @ Y
    np.testing.assert_allclose(weights.reshape(5, -1).T, expected, atol=1e-10)


def test_less_the_means_it_is_the_regression_with_a_bias():
    W, X, Y = layer(noise=1.0)
    X, Y = X + 3, Y - 5
    model = LinearRegression().fit(block(X, W, [1, 2]), Y)
    weights = channel_selection.reconstruct(W, X - X.mean(axis=0), Y - Y.mean(axis=0), [1, 2])
    np.testing.assert_allclose(weights.reshape(5, -1), model.coef_, atol=1e-10)


def test_output_error_by_hand():
    X, Y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[3.0], [4.0]])
    assert channel_selection.output_error([[[[1.0]]]], X, Y, [1]) == pytest.approx(1 / 5)
    assert channel_selection.output_error([[[[0.0]]]], X, Y, [0]) == 1
    assert channel_selection.output_error([[[[1.0]], [[0.0]]]], X, Y, [1, 0]) == pytest.approx(0.2)


def test_l1_and_gradient_by_hand():
    W = np.array([[[[1.0, -3.0]], [[2.0, 2.5]], [[0.0, -4.0]]]])
    np.testing.assert_array_equal(channel_selection.select_l1(W, 1), [1])  # 4, 4.5, 4
    np.testing.assert_array_equal(channel_selection.select_l1(W, 2), [0, 1])  # the earlier
    np.testing.assert_array_equal(channel_selection.select_gradient(W, [], 1), [2])  # 10, 10.25, 16
    np.testing.assert_array_equal(channel_selection.select_gradient(W, [2], 1), [1, 2])
    np.testing.assert_array_equal(channel_selection.select_gradient(0 * W, [0], 2), [0, 1, 2])


def test_the_gradient_finds_the_channels_that_the_outputs_are_made_of():
    W, X, _ = layer(channels=8, n=300)
    W[:, [0, 2, 3, 5, 7]] = 0
    Y = X @ W.reshape(5, -1).T
    np.testing.assert_array_equal(by_gradient(W, X, Y, 3), [1, 4, 6])


def test_chance_chooses_each_channel_equally_often():
    W = np.ones((1, 5, 1, 1))
    chosen = np.array([channel_selection.select_random(W, 2, seed) for seed in range(1000)])
    assert (chosen[:, 0] < chosen[:, 1]).all()
    counts = np.bincount(chosen.ravel(), minlength=5)
    assert (np.abs(counts - 400) < 5 * np.sqrt(1000 * 0.4 * 0.6)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, W, X, Y: c.channel_responses(W[0], X), "W must be 4-D"),
        (lambda c, W, X, Y: c.channel_responses(W, X[:, 1:]), "X must have 12 columns to match W"),
        (lambda c, W, X, Y: c.objective(W, [1, 2], X, Y, 1), r"beta must have shape \(3,\)"),
        (lambda c, W, X, Y: c.objective(W, [1, 2, 3], X, Y, -1), "lam must be >= 0"),
        (lambda c, W, X, Y: c.solve_beta(W, X, Y, 0), "lam must be > 0"),
        (lambda c, W, X, Y: c.solve_beta(W, X, Y.T, 1), r"Y must have shape \(9, 2\), a row"),
        (lambda c, W, X, Y: c.solve_weights(W, [1, 2, 3], X, Y, -1), "lam must be >= 0"),
        (lambda c, W, X, Y: c.alternate(W, X, Y, 1, -1), "n_steps must be a whole number >= 0"),
        (lambda c, W, X, Y: c.select_lasso(W, X, Y, 0), "n_kept must be between 1 and 3"),
        (lambda c, W, X, Y: c.select_lasso(W, X, 0 * Y, 1), "orthogonal to the responses"),
        (lambda c, W, X, Y: c.select_lasso(W, X, Y, 1, tol=0), "tol must be > 0"),
        (lambda c, W, X, Y: c.select_alternating(W, X, Y, 4), "n_kept must be between 1 and 3"),
        (lambda c, W, X, Y: c.select_thinet(W, X, 4), "between 1 and 3, .* got 4"),
        (lambda c, W, X, Y: c.select_l1(W, 1.5), "n_kept must be a whole number"),
        (lambda c, W, X, Y: c.select_random(W, 1, -1), "seed must be a whole number"),
        (lambda c, W, X, Y: c.select_gradient(W, [0, 0], 1), "each channel once at most"),
        (lambda c, W, X, Y: c.select_gradient(W, [0], 3), "between 1 and 2, the channels not"),
        (lambda c, W, X, Y: c.reconstruct(W, X, Y, []), "kept must name at least one"),
        (lambda c, W, X, Y: c.reconstruct(W, X, Y, [3]), "of 0 to 2, got"),
        (lambda c, W, X, Y: c.reconstruct(W, X, Y, [-1]), "of 0 to 2, got"),
        (lambda c, W, X, Y: c.rescale(W, X, Y, [0.5]), "kept must list channels"),
        (lambda c, W, X, Y: c.output_error(W, X, Y, [0, 1]), "kept must name 3 channels"),
        (lambda c, W, X, Y: c.output_error(W, X, 0 * Y, [0, 1, 2]), "Y must not be zero"),
        (lambda c, W, X, Y: c.output_error(W, X[:, 1:], Y, [0]), "X must have a multiple of 4"),
    ],
)
def test_bad_input_is_named(call, message):
    W, X, Y = layer(filters=2, channels=3, n=9)
    with pytest.raises(ValueError, match=message):
        call(channel_selection, W, X, Y)
