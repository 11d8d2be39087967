"""An instructor reads a proof in formgrader, in JupyterLab, and gives points for it."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from sparsecourse.cli.requirements import ROOT
from sparsecourse.grading.gradebook import Entry, Gradebook
from tests.browser.conftest import running_lab
from tests.grading import handed_in
from tests.grading.handed_in import TOPIC

PROOF = """\
If $X^\\top X v = 0$, then $\\lVert Xv \\rVert^2 = 0$, so $v = 0$ and $0<\\det X^\\top X$.

<img src="https://elsewhere.example/pixel.png" onerror="this.remove()">
![](https://elsewhere.example/pixel.png)

# degree-check
"""


@pytest.fixture
def asked():
    return handed_in.exercise()


@pytest.fixture
def graded(tmp_path, asked):
    """A folder as `grade` leaves it: one function wrong, and a proof to be read."""
    cells = handed_in.cells_of(asked, proof=PROOF)
    with Gradebook(tmp_path / "grading") as gradebook:
        gradebook.prepare(ROOT, asked)
        gradebook.record(asked, handed_in.result(asked, cells=cells, wrong=("best_degree",)))
    return gradebook.folder


def saved(page, what):
    """To be entered before something is changed in formgrader; ends when the server has it."""
    return page.expect_response(
        lambda answer: f"/formgrader/api/{what}/" in answer.url and answer.request.method == "PUT"
    )


def test_an_instructor_reads_a_proof_and_gives_points(
    page, clean_variables, tmp_path, asked, graded
):
    with running_lab(tmp_path, clean_variables, "--grading", str(graded)) as url:
        page.goto(url)
        page.get_by_role("menuitem", name="Nbgrader", exact=True).click()
        page.get_by_role("menuitem", name="Formgrader", exact=True).click()
        formgrader = page.frame_locator("iframe")
        formgrader.get_by_role("link", name="Manual Grading").click()
        formgrader.locator("#main-table").get_by_role("link", name=TOPIC).click()
        formgrader.locator("#main-table").get_by_role("link", name=TOPIC).click()
        formgrader.get_by_role("link", name="Submission #1", exact=True).click()

        # A wrong function: what is wrong stands below the student's code and below its check.
        told = f"best_degree: {handed_in.HINT}"
        expect(formgrader.locator("#degree-comment")).to_have_attribute("placeholder", told)
        expect(formgrader.get_by_text("0 of 3 points: Not right on 3 of 12")).to_be_visible()
        expect(formgrader.get_by_text("2 of 2 points")).to_be_visible()

        # The proof, with its formulas drawn, and nothing that loads or runs.
        score, comment = formgrader.locator("#proof"), formgrader.locator("#proof-comment")
        cell = formgrader.locator(".nbgrader_cell", has=score)
        expect(cell.locator(".MathJax")).to_have_count(4)
        expect(cell).to_contain_text('<img src="https://elsewhere.example/pixel.png"')
        expect(cell.locator("img")).to_have_count(0)
        expect(formgrader.locator("[id=degree-check]")).to_have_count(1)
        expect(score).to_have_class("score tabbable needs_manual_grade")

        # By keyboard, as formgrader's help says: score, extra credit, comment.
        score.focus()
        page.keyboard.type("2.5")
        with saved(page, "grade"):
            page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        expect(comment).to_be_focused()
        page.keyboard.type("Why is it the **only** one?")
        screenshots = Path(os.environ.get("SPARSECOURSE_SCREENSHOTS", tmp_path))
        page.screenshot(path=screenshots / "formgrader.png")
        with saved(page, "comment"):
            page.keyboard.press("Escape")

        # A click on the submission's name opens it in JupyterLab, which draws the formulas.
        formgrader.get_by_role("link", name="Submission #1", exact=True).click()
        opened = page.locator(".jp-Notebook .jp-MarkdownCell", has_text="elsewhere.example")
        expect(opened.locator("mjx-container")).to_have_count(4)
        expect(opened.locator("img")).to_have_count(0)
        opened.scroll_into_view_if_needed()
        page.screenshot(path=screenshots / "formgrader_notebook.png")

        with Gradebook(graded, read_only=True) as gradebook:
            assert gradebook.entry(asked, "ada") == Entry(
                points={
                    "fit_with_intercept": 2,
                    "weighted_least_squares": 3,
                    "closest_solution": 3,
                    "best_degree": 0,
                    "proof": 2.5,
                },
                waiting=[],
                comments={"proof": "Why is it the **only** one?"},
                penalty=0,
            )
        assert "Traceback" not in (tmp_path / "server.log").read_text()
