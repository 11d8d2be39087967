"""Norms by their definitions; every threshold against a search for the minimum it claims to be."""

import numpy as np
import pytest

from sparsecourse.reference import norms

PENALTIES = {
    norms.soft_threshold: np.abs,
    norms.hard_threshold: lambda x: (x != 0).astype(float),
    norms.half_threshold: lambda x: np.sqrt(np.abs(x)),
}


@pytest.mark.parametrize(
    ("p", "length"), [(1, 7), (2, 5), (np.inf, 4), (0.5, (3**0.5 + 4**0.5) ** 2)]
)
def test_lp_norm_of_a_vector_known_by_heart(p, length):
    assert norms.lp_norm([3, -4, 0], p) == pytest.approx(length, rel=1e-14)


@pytest.mark.parametrize("p", [0.5, 1, 2, 3, np.inf])
def test_lp_norm_is_homogeneous_also_where_powers_would_overflow(p):
    x = np.array([1.0, -2.0, 0.5])
    for scale in (1e-200, 1.0, 1e200):
        assert norms.lp_norm(scale * x, p) == pytest.approx(scale * norms.lp_norm(x, p), rel=1e-12)


def test_lp_norms_fall_as_p_grows():
    x = np.random.default_rng(0).normal(size=20)
    lengths = [norms.lp_norm(x, p) for p in (0.5, 1, 2, 4, np.inf)]
    assert (np.diff(lengths) < 0).all()


def test_a_detour_is_shorter_than_the_straight_way_for_p_below_one():
    assert norms.lp_norm([1, 1], 0.5) > norms.lp_norm([1, 0], 0.5) + norms.lp_norm([0, 1], 0.5)
    assert norms.lp_norm([1, 1], 1) == norms.lp_norm([1, 0], 1) + norms.lp_norm([0, 1], 1)


def test_l0_norm_counts_and_ignores_the_size():
    assert norms.l0_norm([0, 1e-300, -5, 0]) == 2
    assert norms.l0_norm(np.zeros((2, 2))) == 0


@pytest.mark.parametrize("p", [0.25, 0.5, 1, 2, np.inf])
def test_unit_circle_has_radius_one(p):
    points = norms.unit_circle(p, 16)
    assert points.shape == (16, 2)
    np.testing.assert_allclose([norms.lp_norm(point, p) for point in points], 1, rtol=1e-12)
    np.testing.assert_allclose(points[0], [1, 0], atol=1e-15)


@pytest.mark.parametrize("threshold", PENALTIES, ids=lambda f: f.__name__)
def test_threshold_is_the_minimum_that_a_search_finds(threshold):
    penalty = PENALTIES[threshold]
    rng = np.random.default_rng(0)
    for _ in range(200):
        w, lam = rng.normal() * 3, rng.uniform(0, 3)
        candidates = np.append(np.linspace(-abs(w), abs(w), 4001), [0.0, w])
        objective = 0.5 * (candidates - w) ** 2 + lam * penalty(candidates)
        x = threshold(w, lam)
        reached = 0.5 * (x - w) ** 2 + lam * penalty(x)
        assert reached <= objective.min() + 1e-12


@pytest.mark.parametrize(
    ("threshold", "limit"),
    [
        (norms.soft_threshold, lambda lam: lam),
        (norms.hard_threshold, lambda lam: np.sqrt(2 * lam)),
        (norms.half_threshold, lambda lam: 1.5 * lam ** (2 / 3)),
    ],
    ids=["soft", "hard", "half"],
)
def test_threshold_is_exactly_zero_up_to_its_limit_and_not_beyond(threshold, limit):
    for lam in (0.1, 1.0, 7.0):
        assert threshold(limit(lam) * (1 - 1e-9), lam) == 0
        assert threshold(-limit(lam) * (1 + 1e-9), lam) < 0
        assert threshold(0.0, lam) == 0


def test_only_the_soft_threshold_is_continuous():
    def jump(threshold, limit):
        return float(threshold(limit * (1 + 1e-9), 1.0))

    assert jump(norms.soft_threshold, 1.0) == pytest.approx(0, abs=1e-8)
    assert jump(norms.hard_threshold, 2**0.5) == pytest.approx(2**0.5, rel=1e-6)
    assert jump(norms.half_threshold, 1.5) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("threshold", [*PENALTIES, norms.group_soft_threshold])
def test_without_penalty_nothing_changes(threshold):
    w = np.array([0.0, -2.0, 1e-5, 3.0])
    np.testing.assert_allclose(threshold(w, 0.0), w, rtol=1e-15)


def test_a_group_of_one_gets_the_soft_threshold():
    w = np.random.default_rng(0).normal(size=(50, 1))
    np.testing.assert_allclose(
        norms.group_soft_threshold(w, 0.7), norms.soft_threshold(w, 0.7), rtol=1e-14
    )


def test_a_group_keeps_its_direction_and_loses_lam_of_its_length():
    w = np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    x = norms.group_soft_threshold(w, 1.0)
    np.testing.assert_allclose(x, [[2.4, 3.2], [0, 0], [0, 0]], rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: norms.lp_norm([1.0], 0), "p must be > 0, got 0"),
        (lambda: norms.lp_norm([], 2), "x must not be empty"),
        (lambda: norms.lp_norm([np.nan], 2), "x must be finite"),
        (lambda: norms.soft_threshold([1.0], -0.1), "lam must be >= 0, got -0.1"),
        (lambda: norms.half_threshold([1.0], np.nan), "lam must be finite"),
        (lambda: norms.hard_threshold(["a"], 1), "w must be an array of real numbers"),
        (lambda: norms.group_soft_threshold(3.0, 1), "w must be 1-D"),
        (lambda: norms.unit_circle(2, 0), "n_points must be >= 1"),
        (lambda: norms.unit_circle(-1, 4), "p must be > 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
