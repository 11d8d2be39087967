"""Questions with a place to commit to an answer. The texts lie in `quizzes/`, one file a lecture,
so that a lecture's cell does not give the answer away."""

from __future__ import annotations

import html
import tomllib
from pathlib import Path

import ipywidgets as widgets

FOLDER = Path(__file__).with_name("quizzes")


class Quiz(widgets.VBox):
    """One question, radio buttons, a button that checks, and feedback for the choice made.

    Parameters
    ----------
    question : str
        May hold formulas between dollar signs.
    choices : list of dict
        Each with "text" and "feedback" (str) and, for exactly one of them, "right" (true).

    Raises
    ------
    ValueError
        If there are fewer than two choices, or not exactly one right one.
    """

    def __init__(self, question: str, choices: list[dict]) -> None:
        if len(choices) < 2 or sum(choice.get("right", False) for choice in choices) != 1:
            raise ValueError(
                f"choices must be two or more with exactly one right, got {choices} "
                f"for the question {question!r}"
            )
        self.question, self.choices = question, choices
        self.radio = widgets.RadioButtons(
            options=[(choice["text"], i) for i, choice in enumerate(choices)],
            value=None,
            layout={"width": "auto"},
        )
        self.button = widgets.Button(description="Check", disabled=True)
        self.feedback = widgets.HTMLMath()
        self.radio.observe(self._choose, names="value")
        self.button.on_click(self._check)
        title = widgets.HTMLMath(f"<b>Predict first.</b> {question}")
        super().__init__([title, self.radio, self.button, self.feedback])
        self.add_class("sparsecourse-quiz")

    def _choose(self, _change: object) -> None:
        self.button.disabled = False
        self.feedback.value = ""

    def _check(self, _button: object) -> None:
        choice = self.choices[self.radio.value]
        verdict = "✓ Right." if choice.get("right") else "✗ Not so."
        self.feedback.value = (
            f"<p role='status'><b>{verdict}</b> {html.escape(choice['feedback'], quote=False)}</p>"
        )

    def _repr_mimebundle_(self, **kwargs: object) -> dict:
        """Add the question as text, for pages without a kernel."""
        data = super()._repr_mimebundle_(**kwargs)
        lines = [f"**Predict first.** {self.question}", ""]
        lines += [f"○ {choice['text']}  " for choice in self.choices]
        lines += ["", "*Run this cell to answer.*"]
        data["text/markdown"] = "\n".join(lines)
        data["text/plain"] = self.question
        return data


def quiz(lecture: str, name: str) -> Quiz:
    """A question of a lecture.

    Parameters
    ----------
    lecture : str
        Name of a file in `widgets/quizzes/`, without ".toml".
    name : str
        Name of a question in it.

    Returns
    -------
    quiz : Quiz

    Raises
    ------
    ValueError
        If there is no such lecture or question; the message lists those there are.
    """
    path = FOLDER / f"{lecture}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.toml")))
        raise ValueError(f"there are no quizzes for {lecture!r}, only for: {known}")
    questions = tomllib.loads(path.read_text(encoding="utf-8"))
    if name not in questions:
        raise ValueError(f"{lecture} has no quiz {name!r}, only: {', '.join(questions)}")
    return Quiz(**questions[name])
