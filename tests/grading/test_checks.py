"""Every check of every exercise: the reference earns full points, each named mistake loses them."""

import re
import sys

import nbformat
import numpy as np
import pytest
import torch

from sparsecourse.cli.requirements import ROOT
from sparsecourse.grading.checks import Check, compare, describe_failure, equal_to, load_checks

EXERCISES = {
    path.parent.name: load_checks(path.parent)
    for path in sorted(ROOT.glob("solutions/*/checks.py"))
}
CHECKS = [
    pytest.param(check, id=f"{topic}.{check.name}")
    for topic, checks in EXERCISES.items()
    for check in checks
]
SEEDS = [1, 2, 3]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("seed", SEEDS)
def test_reference_earns_full_points(check, seed):
    assert check.first_failure(check.function, check.hidden_inputs(seed)) is None
    assert check.first_failure(check.function, check.visible_inputs()) is None


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("seed", SEEDS)
def test_each_named_mistake_loses_points_and_is_seen_by_the_student(check, seed):
    assert len(check.wrong) >= 2
    for name, function in check.wrong.items():
        assert check.first_failure(function, check.hidden_inputs(seed)), f"not scored: {name}"
        assert check.first_failure(function, check.visible_inputs()), f"not shown: {name}"


@pytest.mark.parametrize("check", CHECKS)
def test_hidden_cases_are_others_than_the_visible(check):
    def texts(cases):
        return {str(case) for case in cases}

    assert not texts(check.visible_inputs()) & texts(check.hidden_inputs(1))
    assert texts(check.hidden_inputs(1)) != texts(check.hidden_inputs(2))
    assert texts(check.hidden_inputs(1)) == texts(check.hidden_inputs(1))


@pytest.mark.parametrize("topic", EXERCISES)
def test_points_are_those_of_the_notebook(topic):
    notebook = nbformat.read(ROOT / "solutions" / topic / f"{topic}.ipynb", as_version=4)
    points = {}
    for cell in notebook.cells:
        if cell.source.startswith("self_check("):
            points[cell.source[len("self_check(") : -1]] = cell.metadata.nbgrader.points
    assert points == {check.name: check.points for check in EXERCISES[topic]}


@pytest.mark.parametrize(
    ("got", "expected", "said"),
    [
        (np.array([1.0, 2.0]), np.array([1.0, 2.0 + 1e-9]), None),
        (3, 3, None),
        ((1.0, np.ones(2)), (1.0, np.ones(2)), None),
        ([1, 2], np.array([1.0, 2.0]), None),
        (None, np.ones(2), "is a return missing"),
        (np.ones((2, 1)), np.ones(2), r"shape \(2,\), got \(2, 1\)"),
        (np.array([1.0, np.nan]), np.ones(2), "holds nan"),
        (np.array([1.0, 1.1]), np.ones(2), r"entry \[1\] of the result is 1.1, expected 1"),
        (2, 3, "the result is 2, expected 3"),
        (np.ones(2), (1.0, np.ones(2)), "a tuple of 2, got ndarray"),
        ((1.0, 2.0, 3.0), (1.0, 2.0), "a tuple of 2, got a tuple of 3"),
        ((1.0, np.zeros(2)), (1.0, np.ones(2)), r"entry \[0\] of part 1"),
        ("1.0", 1.0, "made of real numbers, got str"),
        (True, 1.0, "made of real numbers, got bool"),
        (1.0 + 1e-3j, 1.0, "made of real numbers, got complex"),
        (np.ma.array([1.0, 2.0], mask=[0, 1]), np.array([1.0, 2.0]), "got MaskedArray"),
        (np.array([1.0, None]), np.ones(2), "of object"),
        ([[1.0], [1.0, 2.0]], np.ones(2), "a list that is none"),
        (10**400, 1.0, "of object"),
        (torch.ones(2, requires_grad=True), np.ones(2), "a Tensor that is none"),
        ([1.0, np.ones(2)], (1.0, np.ones(2)), None),
        (1.0 + 1e-4, 1.0, r"is 1\.0001, expected 1"),
        (3.0, 3, "must be an int, got float"),
        (np.int64(3), 3, None),
        (np.float32(0.5), 0.5, None),
    ],
)
def test_compare_says_what_differs(got, expected, said):
    failure = compare(got, expected, rtol=1e-6, atol=1e-8)
    if said is None:
        assert failure is None
    else:
        assert re.search(said, failure.what), failure


def test_a_check_that_expects_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="must expect finite numbers"):
        compare(5.0, np.inf, 1e-6, 1e-8)


def test_arguments_with_nan_are_not_taken_for_changed():
    inputs = {"x": np.array([np.nan])}
    assert describe_failure(lambda x: 1.0, inputs, equal_to(1.0, 1e-6, 1e-8)) is None


def test_a_function_that_writes_into_its_argument_is_told():
    def doubled(x):
        x *= 2
        return x

    failure = describe_failure(doubled, {"x": np.ones(2)}, equal_to(np.full(2, 2.0), 1e-6, 1e-8))
    assert failure.what == "it changed its argument x: work on a copy"


def test_a_function_that_raises_is_told_what():
    failure = describe_failure(lambda x: 1 / x, {"x": 0}, equal_to(1.0, 1e-6, 1e-8))
    assert failure.what == "it raised ZeroDivisionError: division by zero"


def test_a_function_that_exits_is_told():
    failure = describe_failure(lambda x: sys.exit("bye"), {"x": 0}, equal_to(1.0, 1e-6, 1e-8))
    assert failure.what == "it raised SystemExit: bye"


def test_renamed_arguments_are_told():
    failure = describe_failure(lambda z: z, {"x": 0}, equal_to(1.0, 1e-6, 1e-8))
    assert failure.what.endswith("(keep the names of the arguments)")


def test_a_folder_without_checks_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"checks\.py"):
        load_checks(tmp_path)


def test_a_check_takes_its_name_from_its_function():
    def halve(x):
        return x / 2

    assert Check(halve, 1, lambda rng: {"x": rng.normal()}, "", {}).name == "halve"


def test_an_unknown_certificate_is_named():
    with pytest.raises(ValueError, match=r"certificate must be one of lasso, .*, got 'ridge'"):
        Check(lambda X: X, 1, lambda rng: {}, "", {}, certificate="ridge")
