"""Each lecture in JupyterLab with Chromium: Run All, every control, what is dragged, every quiz.

Run without any data set but scikit-learn's, so this is also the offline pass.
A new lecture joins by existing.
"""

import os
import statistics
from pathlib import Path

import pytest
from playwright.sync_api import expect

from sparsecourse.cli.requirements import ROOT
from tests.browser.notebook_page import (
    DRAGGABLE,
    NotebookPage,
    controls_of,
    drag,
    milliseconds_to_redraw,
)

LECTURES = sorted(path.name for path in ROOT.glob("lectures/*.ipynb"))
KEY_PRESSES = 5
DRAGGED_IN = {"08_weight_pruning.ipynb"}


@pytest.mark.parametrize("name", LECTURES)
def test_lecture_works_for_a_student(name, lab, page, tmp_path):
    notebook = NotebookPage(page, lab.address_of(f"lectures/{name}"))
    notebook.run_all()
    assert notebook.errors() == []

    explorers, quizzes = notebook.explorers(), notebook.quizzes()
    assert explorers
    assert quizzes
    screenshots = Path(os.environ.get("SPARSECOURSE_SCREENSHOTS", tmp_path))
    screenshots.mkdir(parents=True, exist_ok=True)
    for i, explorer in enumerate(explorers):
        explorer.scroll_into_view_if_needed()
        times = []
        for control in controls_of(explorer):
            times += [milliseconds_to_redraw(explorer, control) for _ in range(KEY_PRESSES)]
        median = statistics.median(times)
        print(f"{name}, explorer {i}: {median:.0f} ms from key press to picture (median)")
        assert median < 2000, "slower than a student waits; expected is well below 200 ms"
        for control in explorer.locator(DRAGGABLE).all():
            drag(explorer, control)
        for button in explorer.get_by_role("button", name="Measure the time").all():
            button.click()
            expect(explorer.get_by_text("Measured on one thread")).to_be_visible(timeout=30_000)
        page.screenshot(path=screenshots / f"{name[:2]}_explorer_{i}.png")
    assert (page.locator(DRAGGABLE).count() > 0) == (name in DRAGGED_IN)

    for quiz in quizzes:
        answer_with_the_keyboard(quiz)
    assert notebook.errors() == []


def answer_with_the_keyboard(quiz):
    """Walk through the choices with Tab and Space; check each; exactly one is right."""
    choices = quiz.locator("input[type=radio]")
    check = quiz.get_by_role("button", name="Check")
    expect(check).to_be_disabled()
    quiz.get_by_text("Predict first.").click()  # JupyterLab moves the focus once, to this cell
    verdicts = []
    for i in range(choices.count()):
        choices.first.focus()
        for passed in range(i):
            choices.nth(passed).press("Tab")
        expect(choices.nth(i)).to_be_focused()
        choices.nth(i).press("Space")
        expect(choices.nth(i)).to_be_checked()
        expect(quiz.get_by_role("status")).to_have_count(0)
        expect(check).to_be_enabled()
        check.press("Enter")
        expect(quiz.get_by_role("status")).to_be_visible()
        verdicts.append(quiz.get_by_role("status").inner_text())
    assert sum(verdict.startswith("✓") for verdict in verdicts) == 1
    assert sum(verdict.startswith("✗") for verdict in verdicts) == len(verdicts) - 1
