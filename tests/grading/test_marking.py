"""Points and reasons, from answers that anybody may have made up."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparsecourse.grading import wire
from sparsecourse.grading.checks import HIDDEN_CASES, Check, certified
from sparsecourse.grading.marking import EXCEPTIONS, Key
from sparsecourse.grading.results import Mark
from sparsecourse.grading.scoring import ENDS, Answers, Returned

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # busy machines
POINTS = 3
EDGES = 2
CASES = HIDDEN_CASES + EDGES
HINT = "at the factor"


def scale(x, factor):
    return factor * x


def key(seed: int = 1, function=scale) -> Key:
    edges = (
        lambda rng: {"x": np.zeros(3), "factor": rng.normal()},
        lambda rng: {"x": 1e6 * rng.normal(size=1), "factor": rng.normal()},
    )
    draw = lambda rng: {"x": rng.normal(size=4), "factor": rng.normal()}  # noqa: E731
    return Key.draw(Check(function, POINTS, draw, HINT, {}, edges), seed)


KEY = key()
RIGHT = {
    number: Returned(wire.decode(wire.encode(scale(**inputs))))
    for number, inputs in enumerate(KEY.inputs)
}


def mark(returned: dict[int, Returned] = RIGHT, end: str = "done", seconds: float = 10.0):
    return KEY.mark(Answers({"scale": returned}, {"scale": end}), seconds)


def test_all_right_is_all_points_and_no_reason():
    assert mark() == Mark(POINTS, POINTS)


def test_the_same_seed_draws_the_same_and_another_draws_others():
    assert str(key(1).cases) == str(KEY.cases)
    assert str(key(2).cases) != str(KEY.cases)


def test_cases_are_what_the_inputs_are():
    for case, inputs in zip(KEY.cases, KEY.inputs, strict=True):
        assert case.keys() == inputs.keys() == {"x", "factor"}
        np.testing.assert_array_equal(wire.decode(case["x"]), inputs["x"])
        assert wire.decode(case["factor"]) == inputs["factor"]


@pytest.mark.parametrize("value", [True, "text", {"a": 1}, np.zeros(10**6), np.array([True])])
def test_a_check_that_draws_what_cannot_be_sent_is_refused(value):
    check = Check(lambda x: 1.0, POINTS, lambda rng: {"x": value}, HINT, {})
    with pytest.raises(ValueError, match="x cannot be sent into a sandbox"):
        Key.draw(check, 1).cases  # noqa: B018


@pytest.mark.parametrize("number", [0, HIDDEN_CASES - 1, HIDDEN_CASES, CASES - 1])
def test_one_wrong_answer_or_none_takes_all_points(number):
    wrong = RIGHT | {number: Returned(RIGHT[number].value + 1)}
    none = {n: answer for n, answer in RIGHT.items() if n != number}
    for returned in (wrong, none):
        assert mark(returned).points == 0
        assert mark(returned).maximum == POINTS
        assert mark(returned).failure


@pytest.mark.parametrize("end", [*ENDS - {"done"}, "late"])
def test_right_answers_count_for_nothing_unless_the_process_came_to_its_end(end):
    assert mark(RIGHT, end).points == 0


def test_reasons_count_ordinary_and_awkward_inputs():
    def failure(*numbers: int) -> str:
        return mark(RIGHT | {n: Returned(RIGHT[n].value + 1) for n in numbers}).failure

    ends = f"it returned a wrong value. Look first: {HINT}"
    assert failure(2) == f"Not right on 1 of {HIDDEN_CASES} ordinary inputs: {ends}"
    awkward = f"{EDGES} awkward ones (zeros, ties, edge shapes, ...)"
    assert failure(HIDDEN_CASES) == f"Not right on 1 of {awkward}: {ends}"
    both = f"3 of {HIDDEN_CASES} ordinary inputs and 2 of {awkward}"
    assert failure(0, 1, 2, HIDDEN_CASES, HIDDEN_CASES + 1) == f"Not right on {both}: {ends}"


def test_the_first_of_several_mistakes_is_named():
    returned = RIGHT | {0: Returned(None), 1: Returned(raised="KeyError")}
    assert "it returned None, among other things" in mark(returned).failure


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("missing", "It is not defined"),
        ("time", "It was stopped: it took more than 2.5 seconds"),
        ("died", "Its process ended before it returned"),
        ("no process", "It could not be called"),
        ("late", "your notebook as a whole took too long"),
        ("done", "Its process ended before it returned"),  # says so, and told nothing
    ],
)
def test_what_gave_no_answer_is_told_why(end, said):
    failure = mark({}, end, seconds=2.5).failure
    assert said in failure
    assert (HINT in failure) == (end != "missing")


def test_a_function_that_is_not_written_yet_is_no_mistake():
    returned = dict.fromkeys(range(CASES), Returned(raised="NotImplementedError"))
    assert mark(returned).failure == "It is not written yet."


@pytest.mark.parametrize("name", ["ValueError", "LinAlgError", "KeyboardInterrupt"])
def test_known_exceptions_are_named(name):
    assert f"it raised {name}" in mark({0: Returned(raised=name)}).failure


def test_every_exception_that_is_named_is_one_of_pythons_or_numpys():
    for name in EXCEPTIONS - {"LinAlgError", "AxisError"}:
        assert issubclass(getattr(builtins, name), BaseException)


@pytest.mark.parametrize("name", ["", "x was [0.3]", "valueerror", "ValueError\n", "__class__"])
def test_exceptions_that_a_student_named_are_not(name):
    failure = mark({0: Returned(raised=name)}).failure
    assert "it raised an exception of your own" in failure
    assert not name or name not in failure


def test_only_arguments_that_there_are_are_named():
    assert "it changed its argument x." in mark({0: Returned(changed="x")}).failure
    assert "it changed its argument." in mark({0: Returned(changed="x was 0.3")}).failure


ANSWERS = st.builds(
    Returned,
    value=st.none()
    | st.floats()
    | st.integers(-(10**300), 10**300)
    | st.just(wire.Other("object"))
    | st.lists(st.floats() | st.none(), max_size=3)
    | st.lists(st.lists(st.floats(), max_size=2), max_size=3)
    | st.sampled_from([np.array(np.nan), np.full(4, 1.7e308), np.zeros((0, 3)), RIGHT[0].value]),
    raised=st.none() | st.text(max_size=200) | st.sampled_from(["ValueError"]),
    changed=st.none() | st.text(max_size=200) | st.sampled_from(["x"]),
)
SAYABLE = set(map(chr, range(32, 127)))


@relaxed
@given(st.dictionaries(st.integers(0, CASES - 1), ANSWERS), st.sampled_from([*ENDS, "late"]))
def test_no_answer_upsets_the_judge_or_is_repeated(returned, end):
    got = mark(returned, end)
    assert got.points == 0
    assert len(got.failure) < 300
    assert set(got.failure) <= SAYABLE
    for answer in returned.values():
        for text in (answer.raised, answer.changed):
            if text and len(text) > 3 and text not in EXCEPTIONS:
                assert text not in got.failure


def test_no_reason_tells_a_hidden_number():
    wrong = {n: Returned(answer.value + 1e-3) for n, answer in RIGHT.items()}
    for returned in (wrong, {n: Returned(np.zeros(2)) for n in RIGHT}, {}):
        failure = mark(returned).failure
        for inputs in KEY.inputs[:HIDDEN_CASES]:
            for number in (*inputs["x"], inputs["factor"]):
                assert f"{number:.3g}" not in failure


@pytest.mark.parametrize(
    "value",
    [np.full(3, 1e308), np.full(3, -1e200), [1e308, -1e308, 0], 10**400, None, wire.Other("set")],
)
def test_a_certificate_of_huge_numbers_is_none(value):
    inputs = {"X": np.eye(3), "y": np.ones(3), "lam": 0.1}
    for name in ("lasso", "nonnegative_lasso"):
        assert certified(name, 1e-6, inputs)(value) is not None
