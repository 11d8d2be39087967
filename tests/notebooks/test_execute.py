"""`notebooks run`: stores outputs, keeps nothing that changes from run to run."""

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from sparsecourse.cli.notebooks import WIDGET_VIEW, execute_in_place


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
