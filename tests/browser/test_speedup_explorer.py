"""Measuring from a notebook: progress, Stop, other cells meanwhile, bad input, the saved table,
and the last result after a restart. Everything is reached with the keyboard."""

import csv
import os
import re
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.notebook_page import (
    MINUTES,
    NotebookPage,
    controls_of,
    milliseconds_to_redraw,
    picture_of,
    wait_for_another,
)

SHOW = """\
import os
os.environ["SPARSECOURSE_CACHE"] = {cache!r}
from sparsecourse import widgets
explorer = widgets.speedup_explorer()
explorer
"""
MEANWHILE = "print('measuring' if explorer.is_measuring else 'idle')"


@pytest.fixture
def notebook(lab, page, tmp_path, request):
    """The widget, and below it a cell to run meanwhile."""
    cells = [SHOW.format(cache=str(tmp_path / "cache")), MEANWHILE]
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    name = f"{request.node.name}.ipynb"
    nbformat.write(notebook, lab.folder / name)
    opened = NotebookPage(page, lab.address_of(name))
    opened.run_all()
    yield opened
    assert opened.errors() == []


def choose(explorer, layer, *formats):
    """A layer, and these formats alone."""
    explorer.locator("select").first.select_option(label=layer)
    for box in explorer.get_by_role("checkbox").all():
        name = box.locator("xpath=..").inner_text()
        if box.is_enabled() and box.is_checked() != (name in formats):
            box.press("Space")


def bar_width(explorer):
    return explorer.locator(".progress-bar").evaluate("bar => bar.getBoundingClientRect().width")


def test_a_layer_is_measured_while_other_cells_run(notebook, page, tmp_path):
    (explorer,) = notebook.explorers()
    status = explorer.get_by_role("status")
    measure = explorer.get_by_role("button", name="Measure")
    stop = explorer.get_by_role("button", name="Stop")
    expect(stop).to_be_disabled()
    choose(explorer, "LeNet-5 conv2 (50 x 500, 64 places)", "torch CSR", "smaller GEMM")
    expect(explorer.get_by_text("nothing is measured yet")).to_be_visible()

    before = picture_of(explorer)
    measure.press("Space")
    expect(measure).to_be_disabled()
    expect(status).to_contain_text(re.compile(r"of 16 products measured, about \d+ s left"))
    expect(explorer.locator(".progress")).to_be_visible()
    earlier = bar_width(explorer)
    cell = page.locator(".jp-CodeCell").nth(1)
    cell.locator(".cm-content").press("Control+Enter")
    expect(cell.locator(".jp-InputPrompt")).to_have_text("[3]:")
    expect(cell.locator(".jp-OutputArea-output")).to_have_text("measuring")
    wait_for_another(explorer, before)
    expect(status).to_contain_text("Done: 16 products", timeout=MINUTES)
    assert bar_width(explorer) > earlier > 0
    expect(measure).to_be_enabled()
    found = explorer.locator("li").all_inner_texts()
    assert [line.partition(":")[0] for line in found] == ["torch CSR", "smaller GEMM"]

    folded = explorer.get_by_role("table")
    expect(folded).to_be_hidden()
    explorer.locator("summary").press("Space")
    expect(folded).to_be_visible()
    assert folded.get_by_role("row").count() == 1 + 16
    screenshot(page, explorer, tmp_path, "measured")
    with page.expect_download() as download:
        explorer.get_by_role("link", name="Save the table").press("Enter")
    assert download.value.suggested_filename == "speedups.csv"
    with Path(download.value.path()).open() as file:
        rows = list(csv.DictReader(file))
    assert {row["format"] for row in rows} == {"torch CSR", "smaller GEMM"}
    assert all(float(row["speedup"]) > 0 for row in rows)

    # Stop keeps what was measured until then.
    measure.press("Space")
    expect(status).to_contain_text("products measured, about")
    stop.press("Space")
    expect(status).to_contain_text(
        re.compile(r"Stopped: \d+ of 16 products are measured, and kept")
    )
    expect(stop).to_be_disabled()
    last = explorer.locator("li").all_inner_texts()

    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_text("Restart Kernel and Run All Cells…", exact=True).click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    expect(status).to_contain_text("Your last result is shown, measured on ", timeout=MINUTES)
    (explorer,) = notebook.explorers()
    assert explorer.locator("li").all_inner_texts() == last
    expect(explorer.locator("select").first).to_have_value(re.compile("LeNet-5 conv2"))


def test_every_choice_changes_the_picture(notebook):
    (explorer,) = notebook.explorers()
    assert explorer.get_by_role("checkbox", name="torch CSR").is_checked()
    for control in controls_of(explorer):
        for _ in range(2):
            assert milliseconds_to_redraw(explorer, control) < 10_000
    before = picture_of(explorer)
    explorer.get_by_role("checkbox", name="torch CSR").press("Space")
    wait_for_another(explorer, before)


def test_bad_input_is_answered_with_sentences(notebook, page, tmp_path):
    (explorer,) = notebook.explorers()
    status = explorer.get_by_role("status")
    measure = explorer.get_by_role("button", name="Measure")
    choose(explorer, "own shape", "bitmask")
    fields = explorer.locator("input[type=text]")
    expect(fields).to_have_count(3)
    for text in ("", "0", "-2", "two"):
        fields.nth(1).fill(text)
        measure.press("Space")
        expect(status).to_contain_text(
            f"columns must be a whole number of at least 1, got '{text}'"
        )
    fields.nth(0).fill(str(10**9))
    fields.nth(1).fill(str(10**9))
    measure.press("Space")
    expect(status).to_contain_text("GB while it is measured")
    screenshot(page, explorer, tmp_path, "refused")

    for side in range(3):
        fields.nth(side).fill("40")
    low, high = explorer.get_by_role("slider").all()
    low.press("Home")
    high.press("End")
    expect(explorer.get_by_text(re.compile("^0 %.{1,3}100 %$"))).to_be_visible()
    measure.press("Space")
    expect(status).to_contain_text(
        re.compile(r"Done: \d products.* At 100 % zeros nothing is left"), timeout=MINUTES
    )
    choose(explorer, "own shape")
    measure.press("Space")
    expect(status).to_contain_text("choose at least one format")
    expect(measure).to_be_enabled()


def screenshot(page, explorer, tmp_path, name):
    folder = Path(os.environ.get("SPARSECOURSE_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    explorer.scroll_into_view_if_needed()
    page.screenshot(path=folder / f"speedups_{name}.png")
