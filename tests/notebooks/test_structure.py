"""Every lecture, solution and exercise as stored: complete, clean, linked. Nothing is executed.

A new lecture joins by existing.
"""

import re
from pathlib import Path

import nbformat
import pytest

from sparsecourse.cli.requirements import ROOT

LECTURES = sorted(ROOT.glob("lectures/*.ipynb"))
SOLUTIONS = sorted(ROOT.glob("solutions/*/*.ipynb"))
EXERCISES = sorted(ROOT.glob("exercises/*/*.ipynb"))
EXECUTED = LECTURES + SOLUTIONS
LINES_OF_CODE = 15
SECONDS_AT_MOST = 100


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def outputs_of(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def statements(source):
    """Lines that a reader has to follow: neither blank nor a comment."""
    return [line for line in source.splitlines() if line.strip() and line.strip()[0] != "#"]


every = pytest.mark.parametrize("path", EXECUTED + EXERCISES, ids=name_of)
executed = pytest.mark.parametrize("path", EXECUTED, ids=name_of)
lecture = pytest.mark.parametrize("path", LECTURES, ids=name_of)


def test_there_are_notebooks():
    assert LECTURES
    assert SOLUTIONS
    assert EXERCISES


@every
def test_is_valid_nbformat(path):
    notebook = read(path)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(ids) == len(set(ids))


@executed
def test_was_executed_once_from_top_to_bottom(path):
    counts = [cell.execution_count for cell in code_cells(read(path))]
    assert counts == list(range(1, len(counts) + 1))


@executed
def test_stores_neither_errors_nor_stderr(path):
    for output in outputs_of(read(path)):
        assert output.output_type != "error", output.get("evalue")
        assert output.get("name") != "stderr", output.text


@executed
def test_outputs_name_no_file_of_this_machine(path):
    stored = "\n".join(map(str, outputs_of(read(path))))
    private = re.search(r"(?<![\w.:/])/(?:home|Users|root|tmp|work|opt|usr)/\w|[A-Z]:\\\\", stored)
    assert private is None, private


@executed
def test_every_image_is_described_in_words(path):
    for output in outputs_of(read(path)):
        if "image/png" in output.get("data", {}):
            alt = output.metadata.get("image/png", {}).get("alt", "")
            assert len(alt.split()) >= 8, f"an image with the description {alt!r}"
            assert output.data["text/plain"] == alt


@executed
def test_no_image_is_stored_without_the_helper(path):
    for output in outputs_of(read(path)):
        kinds = set(output.get("data", {}))
        assert not kinds & {"image/jpeg", "image/svg+xml"}
        assert "application/vnd.jupyter.widget-view+json" not in kinds


@executed
def test_code_cells_are_short(path):
    for cell in code_cells(read(path)):
        assert len(statements(cell.source)) <= LINES_OF_CODE, cell.source


@every
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(read(path))):
        if not target.startswith(("https://", "http://", "#")):
            file = path.parent / target.partition("#")[0]
            assert file.exists(), f"{target} does not exist"


@lecture
def test_lecture_has_all_its_parts(path):
    notebook = read(path)
    text = text_of(notebook)
    code = "\n".join(cell.source for cell in code_cells(notebook))
    first = notebook.cells[0].source
    assert re.match(rf"# {path.name[:2]} \w", first), "the title is the number and the topic"
    objectives = re.findall(r"^- .*\*\*\w+", first, re.MULTILINE)
    assert 3 <= len(objectives) <= 5, "three to five verbs say what the reader will be able to do"
    assert re.search(r"You need: .+ Time: \d+ minutes", first)
    assert re.search(r"widgets\.(?!quiz\b)\w+\(", code), "no widget"
    assert "widgets.quiz(" in code, "no quiz"
    assert "claim(" in code, "no claim"
    summary = re.search(r"^## Summary\n\n((?:\d\. .+\n)+)", text, re.MULTILINE)
    assert summary, "no summary"
    assert len(summary[1].splitlines()) == 5, "the summary has five lines"
    assert "### References" in text


@lecture
def test_lecture_names_its_exercise(path):
    if path.name[:2] >= "02":
        exercise = f"../exercises/{path.stem}/{path.name}"
        assert exercise in text_of(read(path))
        assert (ROOT / "solutions" / path.stem / path.name).is_file()


@executed
def test_run_time_is_recorded_and_bearable(path):
    assert 1 <= read(path).metadata.sparsecourse.seconds <= SECONDS_AT_MOST


@pytest.mark.parametrize("path", SOLUTIONS, ids=name_of)
def test_exercise_ends_with_a_check_of_all_answers_that_costs_and_earns_nothing(path):
    cell = read(path).cells[-1]
    assert cell.source == "check_my_answers(globals())"
    assert cell.metadata.nbgrader.locked
    assert not cell.metadata.nbgrader.grade
    assert not cell.metadata.nbgrader.solution


@pytest.mark.parametrize("path", SOLUTIONS, ids=name_of)
def test_solution_has_a_released_exercise_and_checks(path):
    topic = path.stem
    assert path.parent.name == topic
    assert (path.parent / "checks.py").is_file()
    assert (ROOT / "exercises" / topic / path.name).is_file()
    assert (ROOT / "lectures" / path.name).is_file()
