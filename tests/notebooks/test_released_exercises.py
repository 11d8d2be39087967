"""A released exercise, run as it is: nothing fails but what the student has yet to write."""

import nbformat
import pytest
from nbclient import NotebookClient

from sparsecourse.cli.requirements import ROOT

EXERCISES = sorted(ROOT.glob("exercises/*/*.ipynb"))


@pytest.mark.parametrize("path", EXERCISES, ids=lambda path: path.parent.name)
def test_only_not_implemented_errors_occur_and_no_points_are_earned(path):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=60,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    errors = [output.ename for output in outputs if output.output_type == "error"]
    checks = [cell for cell in notebook.cells if cell.source.startswith("self_check(")]
    assert errors == ["NotImplementedError"] * len(checks)
    assert checks
    assert not [output for output in outputs if output.get("name") == "stderr"]
    table = notebook.cells[-1].outputs[0].text
    assert table.count("not written yet") == len(checks)
    assert "\n0 of " in table


@pytest.mark.parametrize("path", EXERCISES, ids=lambda path: path.parent.name)
def test_nothing_of_the_solution_is_left(path):
    text = path.read_text(encoding="utf-8")
    assert "SOLUTION" not in text
    assert text.count("raise NotImplementedError()") >= text.count("self_check(")
