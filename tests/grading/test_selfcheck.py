"""What a student sees: a tick, or the input, the output, the expectation and a hint."""

import json
import sys

import numpy as np
import pytest

from sparsecourse.cli.requirements import ROOT
from sparsecourse.grading import check_my_answers, self_check
from sparsecourse.grading.cases import decode, encode, rounded
from sparsecourse.grading.checks import load_checks
from sparsecourse.grading.selfcheck import WrongAnswer

TOPICS = sorted(path.parent.name for path in ROOT.glob("solutions/*/checks.py"))


def write_cases(folder, functions, manual_points=0):
    text = json.dumps({"manual_points": manual_points, "functions": functions})
    (folder / "cases.json").write_text(text)


@pytest.fixture
def exercise(tmp_path, monkeypatch):
    """A folder as a student has it: an exercise that asks for the double of x."""
    functions = {
        "double": {
            "points": 2,
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
    write_cases(tmp_path, functions)
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
    write_cases(tmp_path, {"double": check})
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
    write_cases(tmp_path, {"fit": check})
    monkeypatch.chdir(tmp_path)
    self_check(named("fit", lambda X, y, lam: np.array([1.6, 0.0])))
    assert "✓ fit" in capsys.readouterr().out
    with pytest.raises(WrongAnswer) as caught:
        self_check(named("fit", lambda X, y, lam: y))
    message = str(caught.value)
    assert "the duality gap of your result is" in message
    assert "expected" not in message
    assert "Look first: more sweeps" in message


@pytest.fixture
def answers_asked_for(tmp_path, monkeypatch):
    """An exercise with four functions, 11 points, and answers in words for 3 more."""
    case = {"inputs": {"x": encode(np.array([1.0, 2.0]))}, "expected": encode(np.array([2.0, 4.0]))}
    check = {"hint": "two times", "rtol": 1e-6, "atol": 1e-8, "cases": [case, case]}
    points = {"double": 2, "twice": 3, "two_times": 3, "sum_with_itself": 3}
    write_cases(tmp_path, {name: check | {"points": p} for name, p in points.items()}, 3)
    monkeypatch.chdir(tmp_path)


def unwritten(x):
    raise NotImplementedError


@pytest.mark.usefixtures("answers_asked_for")
def test_all_answers_are_shown_in_a_table_with_their_points(capsys):
    names = {"double": lambda x: 2 * x, "twice": lambda x: x + 2, "two_times": unwritten}
    check_my_answers(names)
    assert capsys.readouterr().out == (
        "✓ double           2 of 2  right on all 2 cases shown\n"
        "✗ twice            0 of 3  case 1 of 2: entry [0] of the result is 3, expected 2\n"
        "· two_times        0 of 3  not written yet\n"
        "· sum_with_itself  0 of 3  not defined: run the cell that defines it\n"
        "\n"
        "2 of 11 points on the cases shown to you; your score is decided on others.\n"
        "The answers in words (3 of 14 points) are read by a person.\n"
    )


@pytest.mark.usefixtures("exercise")
def test_a_table_does_not_speak_of_answers_in_words_where_there_are_none(capsys):
    check_my_answers({"double": lambda x: 2 * x})
    printed = capsys.readouterr().out
    assert "2 of 2 points" in printed
    assert "words" not in printed


def prints(x):
    print("\N{SNOWMAN} \ud800")
    print("noise", file=sys.stderr)
    return 2 * x


def exits(x):
    sys.exit("bye")


def closes_what_it_prints_to(x):
    sys.stdout.close()
    return 2 * x


def raises_a_long_story(x):
    raise RuntimeError("a first line\n" + "and many more words " * 50)


@pytest.mark.usefixtures("answers_asked_for")
def test_no_function_can_spoil_the_table_for_the_others(capsys):
    functions = {"double": prints, "twice": exits, "two_times": raises_a_long_story}
    check_my_answers(functions | {"sum_with_itself": closes_what_it_prints_to})
    printed, errors = capsys.readouterr()
    lines = printed.splitlines()
    assert lines[0].endswith("2 of 2  right on all 2 cases shown")
    assert lines[1].endswith("0 of 3  case 1 of 2: it raised SystemExit: bye")
    assert "it raised RuntimeError: a first line and many" in lines[2]
    assert lines[2].endswith(" ...")
    assert len(lines[2]) < 130
    assert lines[3].endswith("3 of 3  right on all 2 cases shown")
    assert lines[5].startswith("5 of 11 points")
    assert errors == ""


@pytest.mark.usefixtures("exercise")
def test_a_name_that_holds_no_function_is_told(capsys):
    check_my_answers({"double": np.ones(2)})
    assert "is no function any more, but of type ndarray" in capsys.readouterr().out


@pytest.mark.usefixtures("exercise")
def test_the_table_can_be_stopped():
    def double(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_my_answers({"double": double})


@pytest.mark.usefixtures("exercise")
def test_a_table_of_something_else_than_names_is_refused():
    with pytest.raises(ValueError, match=r"write check_my_answers\(globals\(\)\), not with a func"):
        check_my_answers(unwritten)


@pytest.mark.parametrize("topic", TOPICS)
def test_the_released_table_gives_the_reference_all_points_and_mistakes_none(
    topic, monkeypatch, capsys
):
    monkeypatch.chdir(ROOT / "exercises" / topic)
    checks = load_checks(ROOT / "solutions" / topic)
    points = sum(check.points for check in checks)
    check_my_answers({check.name: check.function for check in checks})
    assert f"\n{points} of {points} points" in capsys.readouterr().out
    check_my_answers({check.name: next(iter(check.wrong.values())) for check in checks})
    printed = capsys.readouterr().out
    assert f"\n0 of {points} points" in printed
    assert printed.count("✗") == len(checks)
