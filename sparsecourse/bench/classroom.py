"""A class made up: submissions that are right, half right, wrong, unsolved and hostile.

The hostile ones do no lasting harm where they are run without a sandbox, as nbgrader does; and
none waits for a time limit, which would compare limits instead of graders.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from sparsecourse.grading import exercise

WRONG = """
_right_{name} = {name}
def {name}(*args, **named):
    result = _right_{name}(*args, **named)
    if isinstance(result, tuple):
        return tuple(1.01 * np.asarray(part) + 0.01 for part in result)
    return 1.01 * np.asarray(result) + 0.01
"""
HOSTILE = {
    "replaces np.allclose": "np.allclose = np.array_equal = lambda *args, **named: True",
    "transforms every check": (
        "get_ipython().ast_transformers.append(type('T', (), {'visit': lambda self, tree: "
        "type(tree)(body=[], type_ignores=[])})())"
    ),
    "looks for answers in frames": (
        "import gc, sys\nfound = [o for o in gc.get_objects() if isinstance(o, dict)]\n"
        "frame = sys._getframe(1).f_locals"
    ),
    "prints a megabyte": "print('x' * 2**20)",
    "imports the reference": "from sparsecourse.reference import lasso, ridge",
}
EXITS = "\ndef {name}(*args, **named):\n    import os\n    os._exit(0)\n"
KINDS = ["right", "half right", "wrong", "unsolved", "hostile", "exits"]
OF_TWENTY = [6, 6, 3, 1, 3, 1]


@dataclass(frozen=True)
class Made:
    """One made-up submission, and what its functions deserve."""

    student: str
    kind: str
    notebook: str
    points: dict[str, int]


def make(root: Path, topic: str, count: int, seed: int = 0) -> list[Made]:
    """Make `count` submissions of an exercise.

    Parameters
    ----------
    root : Path
        The clone.
    topic : str
        NN_topic.
    count : int
    seed : int

    Returns
    -------
    made : list of Made
    """
    asked = exercise.load(root, topic)
    solution = nbformat.read(root / "solutions" / topic / f"{topic}.ipynb", as_version=4)
    rng = random.Random(seed)
    twenty = [kind for kind, times in zip(KINDS, OF_TWENTY, strict=True) for _ in range(times)]
    kinds = (twenty * (count // 20 + 1))[:count]
    rng.shuffle(kinds)
    return [_made(f"student{i:04d}", kind, asked, solution, rng) for i, kind in enumerate(kinds)]


def _made(
    student: str,
    kind: str,
    asked: exercise.Exercise,
    solution: NotebookNode,
    rng: random.Random,
) -> Made:
    points = {check.name: check.points for check in asked.checks}
    names = list(points)
    if kind == "unsolved":
        return Made(student, kind, nbformat.writes(asked.released), dict.fromkeys(points, 0))
    broken = {
        "half right": rng.sample(names, len(names) // 2),
        "wrong": names,
        "exits": rng.sample(names, 1),
    }.get(kind, [])
    notebook = copy.deepcopy(solution)
    answers = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.metadata.nbgrader.solution
    ]
    for name in broken:
        points[name] = 0
        (cell,) = (cell for cell in answers if f"def {name}(" in cell.source)
        cell.source += (EXITS if kind == "exits" else WRONG).format(name=name)
    if kind == "hostile":
        answers[0].source += "\n" + rng.choice(list(HOSTILE.values()))
    return Made(student, kind, nbformat.writes(notebook), points)
