from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.ndimage import zoom

from sparsecourse.data import load
from sparsecourse.data.digits import COPIES


@pytest.fixture(scope="module")
def small():
    return load("digits")


@pytest.fixture(scope="module")
def large():
    return load("digits", shape=(1, 28, 28))


def test_digits_are_native_without_a_shape(small):
    assert small.source == "scikit-learn"
    assert [len(part.y) for part in (small.train, small.validation, small.test)] == [1077, 360, 360]
    assert small.train.X.shape == (1077, 1, 8, 8)
    assert small.train.X.dtype == np.float32
    assert small.train.y.dtype == np.int64
    assert (small.all.X.min(), small.all.X.max()) == (0, 1)
    np.testing.assert_array_equal(
        np.bincount(small.all.y), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    )
    np.testing.assert_array_equal(load("digits", shape=(1, 8, 8)).train.X, small.train.X)


def test_enlarged_digits_keep_the_split(small, large):
    np.testing.assert_array_equal(large.validation.y, small.validation.y)
    np.testing.assert_array_equal(large.test.y, small.test.y)
    np.testing.assert_array_equal(large.train.y, np.tile(small.train.y, COPIES + 1))


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_enlarging_is_that_of_zoom(small, large, part):
    # An independent path: scipy's zoom of the whole stack at once.
    old, new = getattr(small, part).X[:, 0], getattr(large, part).X[:, 0]
    zoomed = zoom(old.astype(float), (1, 3.5, 3.5), grid_mode=True, mode="grid-constant")
    np.testing.assert_allclose(new[: len(old)], zoomed.clip(0, 1), atol=1e-6)


def test_copies_are_deformed_but_still_their_digit(small, large):
    n = len(small.train.y)
    originals = large.train.X[:n].reshape(n, -1)
    originals = originals / np.linalg.norm(originals, axis=1, keepdims=True)
    for copy in range(1, COPIES + 1):
        copies = large.train.X[copy * n : (copy + 1) * n].reshape(n, -1)
        copies = copies / np.linalg.norm(copies, axis=1, keepdims=True)
        likeness = copies @ originals.T
        assert np.median(np.diag(likeness)) > 0.8
        assert np.diag(likeness).max() < 0.9999
        # The nearest original shows the same digit far more often than chance (0.1) would.
        assert (small.train.y[likeness.argmax(axis=1)] == small.train.y).mean() > 0.85


def test_images_stay_in_the_unit_interval_and_fill_all_channels():
    colour = load("digits", shape=(3, 32, 32))
    assert colour.train.X.shape == (8616, 3, 32, 32)
    assert colour.all.X.min() >= 0
    assert colour.all.X.max() <= 1
    np.testing.assert_array_equal(colour.train.X[:, 0], colour.train.X[:, 2])


def test_enlarged_digits_are_the_same_every_time_and_quick(large):
    start = time.process_time()
    again = load("digits", shape=(1, 28, 28))
    assert time.process_time() - start < 6  # about 1.3 s
    np.testing.assert_array_equal(again.all.X, large.all.X)


@pytest.mark.parametrize("shape", [28, (28, 28), (2, 28, 28), (1, 4, 28), (1, 28.0, 28), ("1",)])
def test_shapes_that_are_none_are_refused(shape):
    with pytest.raises(ValueError, match=r"shape=.*expected \(channels, height, width\)"):
        load("digits", shape=shape)
