"""A student runs the last cell of an exercise and reads how far it got."""

from itertools import count

import nbformat
from playwright.sync_api import expect

from tests.browser.notebook_page import NotebookPage

EXERCISE = "exercises/02_linear_regression/02_linear_regression.ipynb"


def test_a_student_checks_all_answers_in_the_last_cell(lab, page):
    cells = nbformat.read(lab.folder / EXERCISE, as_version=4).cells
    names = [cell.id for cell in cells if cell.cell_type == "code"]
    notebook = NotebookPage(page, lab.address_of(EXERCISE))
    on_the_page = page.locator(".jp-Notebook .jp-CodeCell")
    expect(on_the_page).to_have_count(len(names))
    numbers = count(1)

    def run(name):
        cell = on_the_page.nth(names.index(name))
        cell.locator(".cm-content").click()
        cell.press("Control+Enter")
        expect(cell.locator(".jp-InputPrompt")).to_have_text(f"[{next(numbers)}]:")
        return cell.locator(".jp-OutputArea-output")

    run("imports")
    run("intercept")
    expect(run("intercept-check")).to_contain_text("fit_with_intercept is not written yet")
    table = run("all-checks")
    expect(table).to_contain_text("· fit_with_intercept      0 of 2  not written yet")
    expect(table).to_contain_text("· best_degree             0 of 3  not defined")
    expect(table).to_contain_text("0 of 11 points on the cases shown to you")

    on_the_page.nth(names.index("intercept")).locator(".cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text("def fit_with_intercept(X, y): return y.mean(), 0 * X[0]")
    run("intercept")
    expect(run("all-checks")).to_contain_text("✗ fit_with_intercept      0 of 2  case 1 of 6: part")
    assert [text for text in notebook.errors() if "NotImplementedError" not in text] == []
