"""Execute lectures and solutions in place, and store their outputs (for authors)."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sparsecourse.cli import environment

if TYPE_CHECKING:
    from nbformat import NotebookNode

# Stored outputs are those of one configuration: CPU, one thread, the data in SPARSECOURSE_DATA.
CANONICAL_VARIABLES = {
    "CUDA_VISIBLE_DEVICES": "",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "TQDM_DISABLE": "1",  # a stored progress bar would be a dead one
}
CANONICAL_TORCH = "2.13"
CELL_SECONDS_AT_MOST = 300
# Held by a kernel that is gone when the page is read: a page would show "model not found".
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    run_action = actions.add_parser("run", help="execute in a fresh kernel, normalise, store")
    run_action.add_argument("paths", nargs="+", type=Path, metavar="NOTEBOOK")


def run(arguments: argparse.Namespace) -> int:
    environment.enter([], arguments.argv)
    for path in arguments.paths:
        if not path.is_file():
            print(f"{path}: no such notebook")
            return 2
    os.environ.update(CANONICAL_VARIABLES)
    for path in arguments.paths:
        print(f"{path} ...", end=" ", flush=True)
        print(f"{execute_in_place(path):.0f} s")
    return 0


def execute_in_place(path: Path) -> float:
    """Run the notebook at `path` in a fresh kernel and store it with its outputs.

    Returns
    -------
    seconds : float
        Wall time, the start of the kernel included.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails; the file is then left as it was.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    start = time.perf_counter()
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS_AT_MOST,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    seconds = time.perf_counter() - start
    normalise(notebook, seconds)
    partial = path.with_suffix(".partial")
    nbformat.write(notebook, partial)
    partial.replace(path)
    return seconds


def normalise(notebook: NotebookNode, seconds: float) -> None:
    """Remove from an executed notebook what changes from run to run and tells a reader nothing."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "sparsecourse": {"seconds": max(1, round(seconds))},
    }
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if "outputs" in cell:
            cell.outputs = merge_streams(cell.outputs)
        for output in cell.get("outputs", []):
            if "data" in output:
                output.data.pop(WIDGET_VIEW, None)


def merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join pieces of printed text: where they break depends on how busy the machine was."""
    merged: list[NotebookNode] = []
    for output in outputs:
        kind = output.output_type, output.get("name")
        if merged and kind == ("stream", merged[-1].get("name")):
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged
