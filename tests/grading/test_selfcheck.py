"""What a student sees: a tick, or the input, the output, the expectation and a hint."""

import json

import numpy as np
import pytest

from sparsecourse.cli.requirements import ROOT
from sparsecourse.grading import self_check
from sparsecourse.grading.cases import decode, encode, rounded
from sparsecourse.grading.checks import load_checks
from sparsecourse.grading.selfcheck import WrongAnswer

TOPICS = sorted(path.parent.name for path in ROOT.glob("solutions/*/checks.py"))


@pytest.fixture
def exercise(tmp_path, monkeypatch):
    """A folder as a student has it: an exercise that asks for the double of x."""
    cases = {
        "double": {
            "hint": "two times",
            "rtol": 1e-6,
            "atol": 1e-8,
            "cases": [
                {
                    "inputs": {"x": encode(np.array([1.0, 2.0]))},
                    "expected": encode(np.array([2.0, 4.0])),
                },
                {"inputs": {"x": encode(np.array([3.0]))}, "expected": encode(np.array([6.0]))},
            ],
        }
    }
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    monkeypatch.chdir(tmp_path)


def named(name, function):
    function.__name__ = name
    return function


@pytest.mark.usefixtures("exercise")
def test_a_right_answer_gets_a_tick(capsys):
    self_check(named("double", lambda x: 2 * x))
    assert capsys.readouterr().out == "✓ double: right on all 2 cases shown to you.\n"


@pytest.mark.usefixtures("exercise")
def test_a_wrong_answer_is_told_input_expectation_and_hint():
    with pytest.raises(WrongAnswer) as caught:
        self_check(named("double", lambda x: x + 2))
    message = str(caught.value)
    assert "case 1 of 2: entry [0] of the result is 3, expected 2" in message
    assert "x = [1., 2.]" in message
    assert "your result: [3., 4.]" in message
    assert "expected:    [2., 4.]" in message
    assert "Look first: two times" in message
    assert caught.value._render_traceback_() == message.splitlines()


def test_a_short_array_is_shown_whole(tmp_path, monkeypatch):
    x = np.arange(30.0)
    case = {"inputs": {"x": encode(x)}, "expected": encode(2 * x)}
    check = {"hint": "", "rtol": 1e-6, "atol": 1e-8, "cases": [case]}
    (tmp_path / "cases.json").write_text(json.dumps({"double": check}))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WrongAnswer) as caught:
        self_check(named("double", lambda x: x))
    assert "..." not in str(caught.value)
    assert "17., 18., 19." in str(caught.value)


@pytest.mark.usefixtures("exercise")
def test_what_is_not_written_yet_is_not_called_wrong():
    def double(x):
        raise NotImplementedError

    with pytest.raises(NotImplementedError, match="double is not written yet"):
        self_check(double)


@pytest.mark.usefixtures("exercise")
def test_a_function_under_another_name_is_told_the_right_ones():
    with pytest.raises(ValueError, match="no function 'triple' is asked for here, only: double"):
        self_check(named("triple", lambda x: 3 * x))


@pytest.mark.usefixtures("exercise")
def test_what_is_no_function_is_told():
    with pytest.raises(ValueError, match="pass the function itself, without brackets"):
        self_check(3)


def test_missing_cases_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"cases\.json is not beside this notebook"):
        self_check(named("double", lambda x: 2 * x))


@pytest.mark.parametrize("topic", TOPICS)
def test_released_cases_accept_the_reference_and_show_every_mistake(topic, monkeypatch):
    monkeypatch.chdir(ROOT / "exercises" / topic)
    for check in load_checks(ROOT / "solutions" / topic):
        self_check(check.function)
        for mistake in check.wrong.values():
            with pytest.raises(WrongAnswer, match="Look first"):
                self_check(named(check.name, lambda *a, f=mistake, **k: f(*a, **k)))


@pytest.mark.parametrize(
    "value",
    [np.arange(6.0).reshape(2, 3), np.array([1, 2]), np.array([True]), 3, 2.5, (1, np.zeros(2))],
)
def test_decode_is_the_inverse_of_encode(value):
    again = decode(json.loads(json.dumps(encode(value))))
    assert type(again) is type(value)
    assert str(again) == str(value)


def test_rounding_keeps_ten_digits():
    assert rounded(1 / 3) == 0.3333333333
    assert rounded({"a": (np.array([2 / 3]), 7)})["a"][0][0] == 0.6666666667


def test_an_optimisation_shows_its_certificate_and_no_expected_result(
    tmp_path, monkeypatch, capsys
):
    inputs = {"X": np.eye(2), "y": np.array([2.0, 0.1]), "lam": 0.2}
    case = {"inputs": {name: encode(value) for name, value in inputs.items()}}
    check = {"hint": "more sweeps", "certificate": "lasso", "gap": 1e-6, "cases": [case]}
    (tmp_path / "cases.json").write_text(json.dumps({"fit": check}))
    monkeypatch.chdir(tmp_path)
    self_check(named("fit", lambda X, y, lam: np.array([1.6, 0.0])))
    assert "✓ fit" in capsys.readouterr().out
    with pytest.raises(WrongAnswer) as caught:
        self_check(named("fit", lambda X, y, lam: y))
    message = str(caught.value)
    assert "the duality gap of your result is" in message
    assert "expected" not in message
    assert "Look first: more sweeps" in message
