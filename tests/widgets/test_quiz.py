"""Quizzes: every question has feedback for every choice; a choice, then Check, then the verdict."""

import re
import tomllib

import pytest

from sparsecourse.cli.requirements import ROOT
from sparsecourse.widgets.quiz import FOLDER, Quiz, quiz

QUESTIONS = [
    (path.stem, name)
    for path in sorted(FOLDER.glob("*.toml"))
    for name in tomllib.loads(path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("lecture", "name"), QUESTIONS)
def test_every_choice_gets_its_feedback(lecture, name):
    question = quiz(lecture, name)
    assert question.button.disabled, "nothing chosen yet, nothing to check"
    verdicts = []
    for i, choice in enumerate(question.choices):
        question.radio.value = i
        assert not question.button.disabled
        assert question.feedback.value == "", "the old verdict goes when the choice changes"
        question.button.click()
        verdicts.append("✓" in question.feedback.value)
        assert ("✓" in question.feedback.value) == choice.get("right", False)
        assert len(choice["feedback"].split()) >= 5
    assert sum(verdicts) == 1


@pytest.mark.parametrize(("lecture", "name"), QUESTIONS)
def test_lecture_asks_it_once_and_cell_does_not_give_it_away(lecture, name):
    text = (ROOT / "lectures" / f"{lecture}.ipynb").read_text(encoding="utf-8")
    assert len(re.findall(rf'quiz\(\\"{lecture}\\", \\"{name}\\"\)', text)) == 1


def test_right_answers_are_not_always_in_the_same_place():
    places = {
        [choice.get("right", False) for choice in quiz(*question).choices].index(True)
        for question in QUESTIONS
    }
    assert len(places) > 1


@pytest.mark.parametrize("right", [[], [True], [False, False], [True, True]])
def test_a_question_without_one_right_answer_is_refused(right):
    choices = [{"text": "a", "feedback": "b", "right": r} for r in right]
    with pytest.raises(ValueError, match="exactly one right"):
        Quiz("why?", choices)


def test_unknown_names_are_answered_with_the_known():
    with pytest.raises(ValueError, match="02_linear_regression"):
        quiz("99", "x")
    with pytest.raises(ValueError, match="underdetermined"):
        quiz("02_linear_regression", "x")


def test_a_page_without_a_kernel_gets_the_question_as_text():
    data = quiz("02_linear_regression", "underdetermined")._repr_mimebundle_()
    assert "○ Infinitely many" in data["text/markdown"]
    assert "Right" not in data["text/markdown"]
