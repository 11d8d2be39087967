"""`notebooks run`: stores outputs, keeps nothing that changes from run to run."""

import os
import subprocess
import sys

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from sparsecourse.cli.notebooks import CANONICAL_VARIABLES, WIDGET_VIEW, execute_in_place
from sparsecourse.cli.requirements import ROOT


def write(path, *sources):
    cells = [new_markdown_cell("# Text"), *map(new_code_cell, sources)]
    nbformat.write(new_notebook(cells=cells, metadata={"authors": ["x"]}), path)


def test_outputs_and_run_time_are_stored(tmp_path):
    path = tmp_path / "n.ipynb"
    write(path, "print(6 * 7)", "import ipywidgets; ipywidgets.IntSlider()")
    seconds = execute_in_place(path)
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[1].outputs[0].text == "42\n"
    assert [cell.execution_count for cell in notebook.cells[1:]] == [1, 2]
    assert notebook.metadata.sparsecourse.seconds == max(1, round(seconds))
    assert set(notebook.metadata) == {"kernelspec", "language_info", "sparsecourse"}
    assert WIDGET_VIEW not in notebook.cells[2].outputs[0].data
    assert all("execution" not in cell.metadata for cell in notebook.cells)
    assert [file.name for file in tmp_path.iterdir()] == ["n.ipynb"]


def test_a_notebook_that_fails_is_left_as_it_was(tmp_path):
    path = tmp_path / "n.ipynb"
    write(path, "1 / 0")
    before = path.read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute_in_place(path)
    assert path.read_bytes() == before


def test_the_command_runs_with_the_variables_of_stored_outputs(tmp_path):
    path = tmp_path / "n.ipynb"
    write(path, "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['PYTHONHASHSEED'])")
    variables = {name: v for name, v in os.environ.items() if name not in CANONICAL_VARIABLES}
    command = [sys.executable, "-m", "sparsecourse", "notebooks", "run", str(path)]
    subprocess.run(command, cwd=ROOT, env=variables, check=True, capture_output=True)
    assert nbformat.read(path, as_version=4).cells[1].outputs[0].text == "1 0\n"


def test_printed_text_is_stored_in_one_piece(tmp_path):
    path = tmp_path / "n.ipynb"
    pause = "sys.stdout.flush(); time.sleep(0.4)"  # long enough to be sent on its own
    write(path, f"import sys, time; print(1); {pause}; print(2); print(3, file=sys.stderr)")
    execute_in_place(path)
    outputs = nbformat.read(path, as_version=4).cells[1].outputs
    assert [(output.name, output.text) for output in outputs] == [
        ("stdout", "1\n2\n"),
        ("stderr", "3\n"),
    ]
