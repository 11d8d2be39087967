"""A made-up class, graded by both: the same submissions, and points that can be checked."""

import shutil

import pytest

from sparsecourse.bench import classroom, grading
from sparsecourse.cli.requirements import ROOT

TOPIC = "04_ridge_and_lasso"


@pytest.fixture(scope="module")
def made():
    return classroom.make(ROOT, TOPIC, 20, seed=5)


def test_a_class_is_drawn_again_from_its_seed(made):
    assert classroom.make(ROOT, TOPIC, 20, seed=5) == made
    assert classroom.make(ROOT, TOPIC, 20, seed=6) != made
    assert {one.kind for one in made} == set(classroom.KINDS)


def test_both_grade_the_whole_class(made, tmp_path, skip_or_fail):
    if shutil.which("bwrap") is None:
        skip_or_fail("no bubblewrap: install it (apt install bubblewrap) to run the grading tests")
    rates = {}
    for name in ("ours", "nbgrader"):
        (tmp_path / name).mkdir()
    rates["ours"] = grading.ours(made, TOPIC, tmp_path / "ours", workers=2)
    rates["nbgrader"] = grading.nbgraders(made, ROOT, TOPIC, tmp_path / "nbgrader", workers=2)
    for rate in rates.values():
        assert rate.submissions == 20
        assert rate.a_minute == pytest.approx(1200 / rate.seconds)
        assert all(10 < megabytes < 1000 for megabytes in rate.memory)
    # One that exits costs a student of nbgrader's every point of the notebook.
    assert rates["ours"].failed == 0
    assert rates["nbgrader"].failed <= sum(one.kind == "exits" for one in made)
    print({name: f"{rate.a_minute:.0f} a minute" for name, rate in rates.items()})


def test_points_that_were_not_deserved_are_counted(made, tmp_path, skip_or_fail):
    if shutil.which("bwrap") is None:
        skip_or_fail("no bubblewrap: install it (apt install bubblewrap) to run the grading tests")
    right = next(one for one in made if one.kind == "right")
    claimed = classroom.Made(
        right.student, right.kind, right.notebook, dict.fromkeys(right.points, 1)
    )
    assert grading.ours([claimed], TOPIC, tmp_path, workers=1).failed == 1
