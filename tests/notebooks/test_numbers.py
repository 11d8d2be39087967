"""Lectures show no number that is neither live, nor recorded, nor published.

A number in the text that has a decimal point or a percent sign must be in what the lecture runs or
prints, in a record or a published table that it reads, or in the list below. Records and tables
are read by name, so a lecture that states the figures of others must show where they are from.
"""

import re

import nbformat
import pytest

from sparsecourse import papers
from sparsecourse.cli.requirements import ROOT
from sparsecourse.experiments import record

LECTURES = sorted(ROOT.glob("lectures/*.ipynb"))
# Published, and no table of the package: where from.
ELSEWHERE = {
    ("04_ridge_and_lasso", "0.521"): "The Elements of Statistical Learning, table 3.3",
    ("05_coordinate_descent", "3459.98"): "lars 1.3, its diabetes data",
}
NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?(?![\w]|\.\d)")
STATED = re.compile(r"(?<![\w.,])(?:(\d+(?:\.\d+)?) %|(\d+\.\d+)(?![\w.]|,\d))")
NO_RESULT = re.compile(
    r"\$\$.*?\$\$|\$.*?\$|`[^`]*`|\]\([^)]*\)|^### References.*|(?:figure|table|example) \(?[\d.]+",
    re.DOTALL | re.MULTILINE,
)


def numbers_in(text):
    return {float(found.replace(",", "")) for found in NUMBER.findall(text)}


def recorded(name):
    about = record.load(name)
    return {
        function(row, figure)
        for row in about.rows
        for figure in next(s["rows"][row] for s in about.seeds.values() if row in s["rows"])
        for function in (about.mean, about.deviation)
    }


def known_to(notebook):
    """The numbers in its code and outputs, and in the records and tables that it names."""
    known = set()
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        known |= numbers_in(cell.source)
        for output in cell.outputs:
            data = output.get("data", {})
            known |= numbers_in(output.get("text", "") + data.get("text/plain", ""))
        for name in re.findall(r'"(\w+)"', cell.source):
            if name in papers.tables():
                known |= numbers_in(papers.table(name).frame.to_csv())
            if (record.FOLDER / f"{name}.json").is_file():
                known |= recorded(name)
    return known


def unfounded(notebook):
    known = known_to(notebook)
    known |= {100 * value for value in known}
    known |= {100 - value for value in known}
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for parts in STATED.findall(NO_RESULT.sub(" ", cell.source)):
                text = max(parts)
                decimals = len(text.partition(".")[2])
                if not any(abs(value - float(text)) <= 0.5001 * 10**-decimals for value in known):
                    found.append(text)
    return found


@pytest.mark.parametrize("path", LECTURES, ids=lambda path: path.stem)
def test_every_number_of_the_text_is_live_recorded_or_published(path):
    found = unfounded(nbformat.read(path, as_version=4))
    assert [text for text in found if (path.stem, text) not in ELSEWHERE] == []


def test_the_list_of_figures_from_elsewhere_is_not_longer_than_needed():
    needed = set()
    for path in LECTURES:
        for text in unfounded(nbformat.read(path, as_version=4)):
            needed.add((path.stem, text))
    assert needed >= set(ELSEWHERE)


@pytest.mark.parametrize(
    ("code", "text", "missing"),
    [
        ("error = 0.0123", "The error is 1.23 %, accuracy 98.8 %.", []),
        ("error = 0.0123", "The error is 1.32 %.", ["1.32"]),
        ("x = 1", "It is 12.7 times as fast.", ["12.7"]),
        ("x = 1", "By definition $c = 12.7$; see table 3.3 and `0.47`.", []),
        ('papers.table("han2015_networks")', "Published: 42.78 %.", []),
        ("papers", "Published: 42.78 %.", ["42.78"]),
    ],
)
def test_a_number_without_a_source_is_seen(code, text, missing):
    cells = [nbformat.v4.new_code_cell(code), nbformat.v4.new_markdown_cell(text)]
    assert unfounded(nbformat.v4.new_notebook(cells=cells)) == missing
