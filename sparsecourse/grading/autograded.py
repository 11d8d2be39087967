"""The notebook that a person grades: a submission in the exercise's own order, with its marks."""

from __future__ import annotations

import copy
import json
import textwrap
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from sparsecourse.grading import harmless
from sparsecourse.grading.exercise import Exercise
from sparsecourse.grading.results import Cell, Mark, Result

MISSING = "This cell is missing in the submission."
OWN = "## Cells of the student's own"
NOTES = "## What happened while the cells ran"
MAX_OWN_CHARACTERS = 100_000  # of cells that nobody asked for


def build(exercise: Exercise, result: Result) -> NotebookNode:
    """Put a submission's answers into the released notebook.

    Locked cells are those of the exercise, whatever the student made of them. Cells that check a
    function say what it earned. The student's own cells come last. No output is the student's.

    Parameters
    ----------
    exercise : Exercise
    result : Result

    Returns
    -------
    notebook : NotebookNode
    """
    notebook = copy.deepcopy(exercise.released)
    notebook.metadata["sparsecourse"] = {"digest": result.digest}
    functions = {grade_id: name for name, grade_id in exercise.grade_ids.items()}
    for cell in notebook.cells:
        about = cell.metadata.get("nbgrader", {})
        if about.get("solution"):
            _fill_in(cell, answer(result, about.grade_id))
        elif about.get("grade_id") in functions:
            mark = result.marks[functions[about.grade_id]]
            cell.outputs = [_verdict(mark)]
    asked = {
        cell.metadata.nbgrader.grade_id for cell in notebook.cells if "nbgrader" in cell.metadata
    }
    notebook.cells += _own_cells([cell for cell in result.cells if cell.grade_id not in asked])
    if result.notes:
        notes = [harmless.markdown(f"- {note}", {}) for note in result.notes]
        notebook.cells.append(_markdown("\n".join([NOTES, "", *notes])))
    for number, cell in enumerate(notebook.cells[len(exercise.released.cells) :]):
        cell.id = f"own-{number}"  # a random one would change the file each time
    return notebook


def answer(result: Result, grade_id: str) -> list[Cell]:
    """The cells of a submission that say they are this answer: one, unless a student copied it."""
    return [cell for cell in result.cells if cell.grade_id == grade_id]


def write(path: Path, notebook: NotebookNode) -> None:
    """Store it, whole or not at all, and as nbgrader does so that nobody edits it by accident."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    partial.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    partial.chmod(0o444)
    partial.replace(path)


def digest(path: Path) -> str | None:
    """Which submission the notebook at `path` shows; None if there is none that says so."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["metadata"]["sparsecourse"]["digest"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _fill_in(cell: NotebookNode, parts: list[Cell]) -> None:
    sources = [part.source for part in parts]
    if cell.cell_type == "code":
        cell.source = harmless.cut("\n\n".join(sources)) if parts else f"# {MISSING}"
        return
    if not parts:
        cell.source = f"*{MISSING}*"
        return
    images: harmless.Images = {}
    for part in parts:
        images |= harmless.pictures(part.images)
    cell.source = harmless.markdown("\n\n".join(sources), images)
    if images:
        cell.attachments = images


def _verdict(mark: Mark) -> NotebookNode:
    """An output that formgrader shows under the cell, and JupyterLab in red if points were lost."""
    points = f"{mark.points} of {mark.maximum} points"
    text = points if mark.failure is None else f"{points}: {mark.failure}"
    stream = "stdout" if mark.points == mark.maximum else "stderr"
    return nbformat.v4.new_output("stream", name=stream, text=textwrap.fill(text, 72) + "\n")


def _own_cells(cells: list[Cell]) -> list[NotebookNode]:
    if not cells:
        return []
    made = [_markdown(OWN)]
    characters = 0
    for cell in cells:
        characters += min(len(cell.source), harmless.MAX_CHARACTERS)
        if characters > MAX_OWN_CHARACTERS:
            made.append(_markdown("*There is more, too much to be shown here.*"))
            break
        if cell.kind == "code":
            made.append(nbformat.v4.new_code_cell(harmless.cut(cell.source)))
            continue
        images = harmless.pictures(cell.images)
        made.append(_markdown(harmless.markdown(cell.source, images)))
        if images:
            made[-1].attachments = images
    return made


def _markdown(source: str) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(source)
