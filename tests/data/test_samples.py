from __future__ import annotations

import numpy as np
import pytest

from sparsecourse.data.samples import Dataset, Samples, divide

N = 20


def numbered(**changes):
    return Samples(np.arange(N, dtype=float)[:, np.newaxis], np.arange(N), **changes)


def test_parts_share_no_sample_leave_none_out_and_keep_the_order():
    parts = divide(numbered(), (12, 5, 3))
    assert [len(part.y) for part in parts] == [12, 5, 3]
    assert sorted(np.concatenate([part.y for part in parts])) == list(range(N))
    for part in parts:
        assert (np.diff(part.y) > 0).all()
        np.testing.assert_array_equal(part.X[:, 0], part.y)


def test_parts_are_the_same_on_every_machine():
    # RandomState's stream is frozen by NumPy's policy, so this may be stated.
    _, validation, test = divide(numbered(), (12, 5, 3))
    assert test.y.tolist() == [1, 18, 19]
    assert validation.y.tolist() == [6, 8, 10, 13, 17]


def test_published_test_part_stays_the_test_part():
    is_test = np.arange(N) % 4 == 1
    train, validation, test = divide(numbered(is_test=is_test), (10, 5, 5))
    assert test.y.tolist() == [1, 5, 9, 13, 17]
    assert len(train.y) == 10
    assert sorted([*train.y, *validation.y, *test.y]) == list(range(N))


def test_pixels_become_float32_between_0_and_1():
    pixels = np.array([0, 51, 255] * 4, dtype=np.uint8).reshape(12, 1, 1, 1)
    for part in divide(Samples(pixels, np.zeros(12, int)), (8, 2, 2)):
        assert part.X.dtype == np.float32
        assert set(part.X.ravel().tolist()) <= {0.0, np.float32(0.2).item(), 1.0}


def test_samples_that_do_not_fit_the_catalogue_are_refused():
    with pytest.raises(ValueError, match=r"\(13, 5, 3\).*expects \(12, 5, 3\)"):
        divide(Samples(np.zeros((21, 1)), np.zeros(21)), (12, 5, 3))


def test_all_is_the_three_parts_in_order():
    train, validation, test = divide(numbered(), (12, 5, 3))
    whole = Dataset("name", "source", train, validation, test, (), ()).all
    assert whole.y.tolist() == [*train.y, *validation.y, *test.y]
    np.testing.assert_array_equal(whole.X[:, 0], whole.y)


def test_split_prints_its_shapes_and_not_its_numbers():
    train, _, _ = divide(numbered(), (12, 5, 3))
    assert repr(train) == "Split(X: (12, 1) float64, y: (12,) int64)"
