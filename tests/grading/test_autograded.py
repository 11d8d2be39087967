"""The notebook that a person grades: the exercise's cells, the student's answers, the marks."""

import dataclasses
import stat

import nbformat
import pytest

from sparsecourse.grading import autograded
from sparsecourse.grading.results import Cell
from tests.grading import handed_in
from tests.grading.test_harmless import PICTURE

CODE = "def fit_with_intercept(X, y):\n    return 0.0, X[0]"


@pytest.fixture(scope="module")
def asked():
    return handed_in.exercise()


def built(asked, cells, **about):
    notebook = autograded.build(asked, handed_in.result(asked, cells=cells, **about))
    nbformat.validate(notebook)
    return {cell.id: cell for cell in notebook.cells}


def test_the_exercises_own_order_with_the_students_answers(asked):
    cells = handed_in.cells_of(asked, intercept=CODE, proof=handed_in.PROOF)
    shown = built(asked, cells[::-1])
    assert list(shown) == [cell.id for cell in asked.released.cells]
    assert shown["intercept"].source == CODE
    assert "0\\lt 1" in shown["proof"].source


def test_what_a_student_did_to_locked_cells_is_undone(asked):
    edited = {"title": "# A", "imports": "import os", "intercept-check": "pass"}
    shown = built(asked, handed_in.cells_of(asked, **edited))
    released = {cell.id: cell for cell in asked.released.cells}
    for name in edited:
        assert shown[name].source == released[name].source
        assert shown[name].metadata == released[name].metadata


def test_each_check_says_what_it_earned_and_why(asked):
    shown = built(asked, [], wrong=("best_degree",))
    [right], [wrong] = shown["intercept-check"].outputs, shown["degree-check"].outputs
    assert right.text == "2 of 2 points\n"
    assert " ".join(wrong.text.split()) == f"0 of 3 points: {handed_in.HINT}"
    assert max(map(len, wrong.text.splitlines())) <= 72
    assert (right.name, wrong.name) == ("stdout", "stderr")


def test_a_missing_cell_is_said_to_be_missing(asked):
    cells = [c for c in handed_in.cells_of(asked) if c.grade_id not in ("intercept", "proof")]
    shown = built(asked, cells)
    assert shown["intercept"].source == f"# {autograded.MISSING}"
    assert shown["proof"].source == f"*{autograded.MISSING}*"


def test_all_copies_of_an_answer_are_shown(asked):
    twice = [Cell("code", "first = 1", "intercept"), Cell("code", "second = 2", "intercept")]
    assert built(asked, twice)["intercept"].source == "first = 1\n\nsecond = 2"


def test_the_students_own_cells_come_last_under_a_heading(asked):
    own = [
        Cell("code", "import math"),
        Cell("markdown", "See <b>this</b> ![it](attachment:a.png)", None, PICTURE),
        Cell("code", "x = 1", "an id of the student's own"),
    ]
    shown = list(built(asked, own[:1] + handed_in.cells_of(asked) + own[1:]).values())
    heading, code, text, named = shown[len(asked.released.cells) :]
    assert heading.source == autograded.OWN
    assert (code.source, code.outputs, named.source) == ("import math", [], "x = 1")
    assert text.source == "See &lt;b>this&lt;/b> ![it](attachment:a.png)"
    assert text.attachments == PICTURE
    assert all("nbgrader" not in cell.metadata for cell in (heading, code, text, named))


def test_own_cells_beyond_all_measure_are_cut(asked):
    shown = built(asked, [Cell("markdown", "x" * 15_000)] * 1000)
    assert sum(len(cell.source) for cell in shown.values()) < 200_000
    assert "too much to be shown" in list(shown.values())[-1].source


def test_pictures_pasted_into_an_answer_stay(asked):
    cells = [Cell("markdown", "![it](attachment:a.png)", "proof", PICTURE)]
    proof = built(asked, cells)["proof"]
    assert (proof.source, proof.attachments) == ("![it](attachment:a.png)", PICTURE)


def test_notes_of_the_run_are_told(asked):
    shown = list(built(asked, [], notes=("A cell raised <b>.", "Another was stopped.")).values())
    assert shown[-1].source.splitlines()[2:] == [
        "- A cell raised &lt;b>.",
        "- Another was stopped.",
    ]


def test_the_file_tells_its_submission_and_is_not_edited_by_accident(asked, tmp_path):
    path = tmp_path / "ada" / "exercise.ipynb"
    assert autograded.digest(path) is None
    for digest in ("first", "second"):
        result = handed_in.result(asked, digest=digest)
        autograded.write(path, autograded.build(asked, result))
        assert autograded.digest(path) == digest
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    path.chmod(0o644)
    path.write_text("[broken")
    assert autograded.digest(path) is None


def test_the_same_result_gives_the_same_file(asked):
    own = [*handed_in.cells_of(asked), Cell("code", "x = 1")]
    result = handed_in.result(asked, cells=own, notes=("A note.",))
    again = dataclasses.replace(result)
    assert autograded.build(asked, result) == autograded.build(asked, again)


def test_the_exercise_itself_is_not_touched(asked):
    before = nbformat.writes(asked.released)
    built(asked, handed_in.cells_of(asked, proof="mine"), wrong=("best_degree",))
    assert nbformat.writes(asked.released) == before
