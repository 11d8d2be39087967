"""The threshold on a histogram, which is drawn in the browser: keys, pointer, colours."""

import re

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.notebook_page import DRAGGABLE, NotebookPage, drag, press

TRAIN = """\
import torch
from sparsecourse import widgets
from sparsecourse.data import load
from sparsecourse.nets import lenet_300_100
from sparsecourse.training import fit
digits = load("digits", shape=(1, 28, 28))
model = lenet_300_100()
_ = fit(model, digits.train, epochs=1, progress=False)
"""
SHOW = "widgets.weight_threshold(model, digits.validation)"
LARGEST = 3
KEYS = {  # in this order, from 1 on
    "ArrowRight": "1.05",
    "ArrowUp": "1.10",
    "ArrowLeft": "1.05",
    "ArrowDown": "1.00",
    "PageUp": "1.50",
    "PageDown": "1.00",
    "End": "3.00",
    "Home": "0.00",
}


@pytest.fixture
def explorer(lab, page):
    """The widget in a notebook, below a network that was trained for it."""
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, (TRAIN, SHOW))))
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, lab.folder / "threshold.ipynb")
    opened = NotebookPage(page, lab.address_of("threshold.ipynb"))
    opened.run_all()
    (explorer,) = opened.explorers()
    yield explorer
    assert opened.errors() == []


def expect_threshold(explorer, c):
    """In the browser at once, and soon in Python, which writes the sentence."""
    expect(explorer.locator(DRAGGABLE)).to_have_attribute("aria-valuenow", f"{float(c):g}")
    expect(explorer.get_by_role("status")).to_contain_text(f"c = {c}: ")


def contrast(colour, ground):
    """Ratio of luminances as WCAG 2 defines it, of two colours as the browser writes them."""

    def luminance(colour):
        levels = [int(level) / 255 for level in re.findall(r"\d+", colour)[:3]]
        red, green, blue = (
            level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4
            for level in levels
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted([luminance(colour), luminance(ground)])
    return (high + 0.05) / (low + 0.05)


def test_threshold_is_moved_with_keys_and_pointer_and_is_legible_in_the_dark(explorer, page):
    control = explorer.locator(DRAGGABLE)
    expect(control).to_have_attribute("role", "slider")
    for key, c in KEYS.items():
        control.press(key)
        expect_threshold(explorer, c)
        expect(control).to_be_focused()
        expect(control).to_have_attribute("aria-valuetext", f"{c} standard deviations")

    drag(explorer, control)
    box = control.bounding_box()

    def go_to(c):
        """Of the 760 units in width, 720 are the axis."""
        share = 0.5 + 0.5 * c / LARGEST * 720 / 760
        page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)

    # The left line mirrors the right one, stops at zero, and follows only while it is held.
    go_to(-1)
    page.mouse.down()
    expect_threshold(explorer, "1.00")
    go_to(-0.5)
    expect_threshold(explorer, "0.50")
    go_to(0.4)
    expect_threshold(explorer, "0.00")
    go_to(-2)
    page.mouse.up()
    expect_threshold(explorer, "2.00")
    go_to(-1)
    page.mouse.down(button="right")
    page.mouse.up(button="right")
    page.keyboard.press("Escape")
    expect_threshold(explorer, "2.00")

    # The grey bars end at the two lines.
    grey, *lines = control.evaluate(
        """svg => [svg.querySelectorAll("path")[1], ...svg.querySelectorAll("circle")]
            .map(part => part.getBoundingClientRect()).map(box => [box.left, box.right])"""
    )
    assert grey == pytest.approx([sum(line) / 2 for line in lines], abs=1.5)

    expect(control).to_contain_text("c = 2.00 standard deviations of each layer")
    press(explorer.locator("select"))
    expect(explorer.get_by_role("status")).to_contain_text("fc1, c = 2.00: ")
    expect(control).to_contain_text(re.compile(r"c = 2\.00: \|w\| ≤ 0\.\d+ is pruned"))

    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        page.get_by_role("menuitem", name="Settings", exact=True).click()
        page.locator(".lm-Menu").get_by_text("Theme", exact=True).click()
        page.get_by_text(theme, exact=True).click()
        expect(page.locator("body")).to_have_attribute("data-jp-theme-name", theme)
        text, ground, *bars = control.evaluate(
            """svg => [
                getComputedStyle(svg.querySelector("text")).fill,
                getComputedStyle(svg.closest(".jp-Notebook")).backgroundColor,
                ...[...svg.querySelectorAll("path")].slice(0, 2).map(p => getComputedStyle(p).fill),
            ]"""
        )
        assert contrast(text, ground) >= 7
        assert all(contrast(bar, ground) >= 2.7 for bar in bars)
