"""What is recorded is what nbgrader then shows, exports and keeps; what a person gave, stays."""

import contextlib
import csv
import dataclasses
import functools
import os
import shutil
import signal
import sqlite3
import stat
import statistics
import subprocess
import sys
import time
import warnings

import nbformat
import pytest
from nbgrader import api
from nbgrader.apps import NbGraderAPI
from sqlalchemy import event
from sqlalchemy.engine import Engine

from sparsecourse.cli.requirements import ROOT
from sparsecourse.grading import assignment, autograded, exercise, formgrader, release
from sparsecourse.grading.gradebook import Entry, Gradebook, GradebookError
from tests.grading import handed_in
from tests.grading.handed_in import TOPIC, result
from tests.grading.test_harmless import Page


@pytest.fixture(scope="module", autouse=True)
def one_alembic():
    """For each new database nbgrader asks alembic, in seconds, which version is the newest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "get_alembic_version", functools.cache(api.get_alembic_version))
        yield


@pytest.fixture(scope="module")
def asked():
    return handed_in.exercise()


@pytest.fixture(scope="module")
def prepared(asked, tmp_path_factory):
    """A folder in which nbgrader knows the exercise."""
    folder = tmp_path_factory.mktemp("grading") / "prepared"
    with Gradebook(folder) as gradebook:
        gradebook.prepare(ROOT, asked)
    return folder


@pytest.fixture
def folder(prepared, tmp_path):
    return shutil.copytree(prepared, tmp_path / "grading")


@pytest.fixture
def gradebook(folder):
    with Gradebook(folder) as gradebook:
        yield gradebook


@pytest.fixture
def course(tmp_path):
    """A copy of one exercise, for an instructor to edit."""
    for name in ("solutions", "exercises"):
        shutil.copytree(ROOT / name / TOPIC, tmp_path / name / TOPIC)
    return tmp_path


def edited(course, edit):
    """The exercise of a course after `edit` of its source notebook and a release."""
    path = course / "solutions" / TOPIC / f"{TOPIC}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    edit(notebook.cells)
    nbformat.write(notebook, path)
    release.release(course)
    return exercise.load(course, TOPIC)


def commands_of(gradebook):
    """nbgrader's commands, as formgrader's buttons call them in this folder."""
    return NbGraderAPI(config=formgrader.read_settings(gradebook.folder))


@contextlib.contextmanager
def by_nbgrader(folder):
    """nbgrader's own view of the folder's database."""
    with NbGraderAPI(config=formgrader.read_settings(folder)).gradebook as book:
        yield book


def grade_by_hand(folder, cell, score, comment=None, extra=None):
    """What formgrader does when a person types a score and a comment."""
    with by_nbgrader(folder) as book:
        grade = book.find_grade(cell, TOPIC, TOPIC, "ada")
        grade.manual_score, grade.extra_credit, grade.needs_manual_grade = score, extra, False
        if comment is not None:
            book.find_comment(cell, TOPIC, TOPIC, "ada").manual_comment = comment
        book.db.commit()


# What is recorded


def test_points_of_functions_count_and_a_proof_waits(gradebook, asked):
    gradebook.record(asked, result(asked, wrong=("best_degree",)))
    assert gradebook.entry(asked, "ada") == Entry(
        points={
            "fit_with_intercept": 2,
            "weighted_least_squares": 3,
            "closest_solution": 3,
            "best_degree": 0,
            "proof": 0,
        },
        waiting=["proof"],
        comments={},
        penalty=0,
    )
    assert gradebook.entry(asked, "nobody") is None


def test_an_answer_that_was_left_as_it_was_is_0_and_nobody_reads_it(gradebook, asked):
    gradebook.record(asked, result(asked, cells=handed_in.cells_of(asked)))
    entry = gradebook.entry(asked, "ada")
    assert (entry.points["proof"], entry.waiting) == (0, [])
    assert entry.comments == {"proof": "No response."}
    with by_nbgrader(gradebook.folder) as book:
        comment = book.find_comment("proof", TOPIC, TOPIC, "ada")
        assert comment.auto_comment == "No response."


@pytest.mark.parametrize("proof", ["", " ", "YOUR ANSWER HERE: it is."])
def test_any_other_answer_waits_for_a_person(gradebook, asked, proof):
    gradebook.record(asked, result(asked, cells=handed_in.cells_of(asked, proof=proof)))
    assert gradebook.entry(asked, "ada").waiting == ["proof"]


def test_an_answer_whose_cell_is_gone_is_no_silent_zero(gradebook, asked):
    gradebook.record(asked, result(asked, cells=[]))
    assert gradebook.entry(asked, "ada").waiting == ["proof"]


def test_a_failure_is_told_below_the_function(gradebook, asked):
    gradebook.record(asked, result(asked, wrong=("best_degree",)))
    with by_nbgrader(gradebook.folder) as book:
        comments = {
            comment.name: comment.auto_comment
            for comment in book.find_submission_notebook(TOPIC, TOPIC, "ada").comments
        }
    assert comments.pop("degree") == f"best_degree: {handed_in.HINT}"
    assert set(comments.values()) == {None}


def test_what_could_not_be_graded_leaves_no_zero_and_removes_nothing(gradebook, asked):
    bad = dataclasses.replace(result(asked), ungradable="empty file", marks={}, cells=[])
    gradebook.record(asked, bad)
    assert gradebook.entry(asked, "ada") is None
    assert not (gradebook.folder / "autograded").exists()
    gradebook.record(asked, result(asked))
    before = gradebook.entry(asked, "ada")
    gradebook.record(asked, bad)
    assert gradebook.entry(asked, "ada") == before


# What a person gave


def test_what_a_person_gave_counts_and_waits_no_more(gradebook, asked):
    gradebook.record(asked, result(asked, wrong=("best_degree",)))
    grade_by_hand(gradebook.folder, "proof", 2.5, "Why is it the only one?", extra=1)
    grade_by_hand(gradebook.folder, "degree-check", 1)
    with by_nbgrader(gradebook.folder) as book:
        book.find_comment("degree", TOPIC, TOPIC, "ada").manual_comment = "Nearly."
        book.db.commit()
    entry = gradebook.entry(asked, "ada")
    assert (entry.points["proof"], entry.points["best_degree"], entry.waiting) == (3.5, 1, [])
    assert entry.comments == {"proof": "Why is it the only one?", "best_degree": "Nearly."}


def test_the_same_submission_again_keeps_it_and_does_not_ask_again(gradebook, asked):
    gradebook.record(asked, result(asked))
    grade_by_hand(gradebook.folder, "proof", 2, "Good.")
    before = gradebook.entry(asked, "ada")
    gradebook.record(asked, result(asked))
    assert gradebook.entry(asked, "ada") == before
    assert before.waiting == []


def test_another_submission_keeps_it_and_asks_for_a_review(gradebook, asked):
    gradebook.record(asked, result(asked))
    grade_by_hand(gradebook.folder, "proof", 2, "Good.")
    gradebook.record(asked, result(asked, digest="second"))
    entry = gradebook.entry(asked, "ada")
    assert (entry.points["proof"], entry.waiting) == (2, ["proof"])
    assert entry.comments == {"proof": "Good."}
    gradebook.record(asked, result(asked, digest="second"))  # nobody has looked since
    assert gradebook.entry(asked, "ada").waiting == ["proof"]


def test_a_function_scored_by_hand_keeps_that_score(gradebook, asked):
    gradebook.record(asked, result(asked, wrong=("best_degree",)))
    grade_by_hand(gradebook.folder, "degree-check", 2)
    gradebook.record(asked, result(asked))
    assert gradebook.entry(asked, "ada").points["best_degree"] == 2
    with by_nbgrader(gradebook.folder) as book:
        assert book.find_grade("degree-check", TOPIC, TOPIC, "ada").auto_score == 3


# Time


def due(folder, when):
    with by_nbgrader(folder) as book:
        book.update_or_create_assignment(TOPIC, duedate=when)


def test_being_late_costs_nothing_unless_asked_for(gradebook, asked):
    due(gradebook.folder, "2026-11-02 08:59:59 UTC")
    gradebook.record(asked, result(asked))
    assert gradebook.entry(asked, "ada").penalty == 0


@pytest.mark.parametrize(("when", "penalty"), [("08:59:59", 11), ("09:00:01", 0)])
def test_nbgraders_own_late_penalty_is_taken(folder, asked, when, penalty):
    (folder / "own_config.py").write_text("c.LateSubmissionPlugin.penalty_method = 'zero'\n")
    due(folder, f"2026-11-02 {when} UTC")
    with Gradebook(folder) as gradebook:
        gradebook.record(asked, result(asked))
        assert gradebook.entry(asked, "ada").penalty == penalty
        gradebook.record(asked, result(asked, timestamp="2026-11-01T10:00:00+01:00"))
        assert gradebook.entry(asked, "ada").penalty == 0


def test_a_late_penalty_of_the_instructors_own_may_lie_in_the_folder(folder, asked):
    (folder / "ours_of_late.py").write_text(
        "from nbgrader.plugins import BasePlugin\n"
        "class Hourly(BasePlugin):\n"
        "    def late_submission_penalty(self, student, score, seconds):\n"
        "        return {'ada': seconds / 3600, 'bob': 100, 'eve': -1, 'kim': None}[student]\n"
    )
    (folder / "own_config.py").write_text(
        "c.AssignLatePenalties.plugin_class = 'ours_of_late.Hourly'\n"
    )
    due(folder, "2026-11-02 06:00:00 UTC")
    with Gradebook(folder) as gradebook:
        for student, penalty in {"ada": 3, "bob": 11, "eve": 0, "kim": 0}.items():
            gradebook.record(asked, result(asked, student))
            assert gradebook.entry(asked, student).penalty == penalty


# nbgrader's own eyes


def test_nbgraders_export_has_our_scores(gradebook, asked, tmp_path):
    gradebook.record(asked, result(asked, wrong=("best_degree",)))
    gradebook.record(asked, result(asked, "bob"))
    grade_by_hand(gradebook.folder, "proof", 2.5)
    ended = subprocess.run(
        [sys.executable, "-m", "nbgrader", "export", "--to", str(tmp_path / "grades.csv")],
        cwd=gradebook.folder,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    with (tmp_path / "grades.csv").open() as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    for student, row in rows.items():
        assert float(row["score"]) == sum(gradebook.entry(asked, student).points.values())
        assert float(row["max_score"]) == asked.maximum
        assert row["timestamp"] == "2026-11-02 09:00:00"
    assert {student: float(row["score"]) for student, row in rows.items()} == {
        "ada": 10.5,
        "bob": 11,
    }


def test_nbgraders_feedback_tells_scores_failures_and_comments_and_loads_nothing(gradebook, asked):
    proof = "# title\n<script>1</script> ![](https://elsewhere.example/pixel.png)"
    hostile = handed_in.cells_of(asked, proof=proof)
    gradebook.record(asked, result(asked, cells=hostile, wrong=("best_degree",)))
    grade_by_hand(gradebook.folder, "proof", 2, "Why is it the only one?")
    made = commands_of(gradebook).generate_feedback(TOPIC, "ada")
    assert made["success"], made
    html = (gradebook.folder / "feedback" / "ada" / TOPIC / f"{TOPIC}.html").read_text()
    page = Page(html)
    assert "Score: 10.0 / 14.0" in page.text
    assert "Why is it the only one?" in page.text
    assert page.text.count("Not right on 3 of 12 ordinary inputs") == 2  # comment and output
    assert not {tag for tag, _ in page.elements} & {"script", "link", "iframe", "img"}
    assert "title" not in {attributes.get("id") for _, attributes in page.elements}


def test_formgrader_shows_it_as_graded_and_its_autograde_button_runs_nothing(gradebook, asked):
    for student, about in {"ada": {}, "bob": {"timestamp": None}}.items():
        gradebook.record(asked, result(asked, student, **about))
        before = gradebook.entry(asked, student)
        nbgrader = commands_of(gradebook)
        for shown in (
            nbgrader.get_submission(TOPIC, student),
            next(s for s in nbgrader.get_submissions(TOPIC) if s["student"] == student),
        ):
            assert shown["autograded"]
            assert shown["submitted"]
            assert shown["needs_manual_grade"]
            assert (shown["score"], shown["max_score"]) == (11, 14)
        pressed = nbgrader.autograde(TOPIC, student)
        assert not pressed["success"]
        assert "No notebooks were matched" in pressed["log"]
        assert gradebook.entry(asked, student) == before
        notebook = gradebook.folder / "autograded" / student / TOPIC / f"{TOPIC}.ipynb"
        assert autograded.digest(notebook) == "first"


def test_a_submission_without_a_time_after_one_with_is_still_graded(gradebook, asked):
    for timestamp in ("2026-11-02T10:00:00+01:00", None):
        gradebook.record(asked, result(asked, timestamp=timestamp))
        shown = commands_of(gradebook).get_submission(TOPIC, "ada")
        assert shown["autograded"]


def test_keys_are_in_order_for_databases_that_enforce_them(asked, tmp_path):
    @event.listens_for(Engine, "connect")
    def enforce(connection, _):
        connection.execute("PRAGMA foreign_keys = ON")

    try:
        with Gradebook(tmp_path) as gradebook:
            gradebook.prepare(ROOT, asked)
            gradebook.record(asked, result(asked))
            assert gradebook.entry(asked, "ada").points["best_degree"] == 3
    finally:
        event.remove(Engine, "connect", enforce)
    with contextlib.closing(sqlite3.connect(tmp_path / "gradebook.db")) as database:
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []


# Exercises that change


def cells_known(folder):
    with by_nbgrader(folder) as book:
        notebook = book.find_notebook(TOPIC, TOPIC)
        return {
            "grade": {cell.name: cell.max_score for cell in notebook.grade_cells},
            "solution": {cell.name for cell in notebook.solution_cells},
            "source": {cell.name for cell in notebook.source_cells},
        }


def test_preparing_again_does_nothing(gradebook, asked, monkeypatch):
    gradebook.record(asked, result(asked))
    before = cells_known(gradebook.folder)
    monkeypatch.setattr(assignment, "generate", pytest.fail)
    gradebook.prepare(ROOT, asked)
    assert cells_known(gradebook.folder) == before
    assert set(before["grade"]) == set(asked.grade_ids.values()) | set(asked.manual)


def test_a_lost_release_is_made_again(gradebook, asked):
    made = gradebook.folder / "release" / TOPIC
    shutil.rmtree(made)
    gradebook.prepare(ROOT, asked)
    assert [file.name for file in made.iterdir()] == [f"{TOPIC}.ipynb"]


def new_text(cells):
    cells[0].source += " Take your time."


def test_an_interrupted_preparation_is_made_up_for(gradebook, course, monkeypatch):
    changed = edited(course, new_text)

    def end(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(assignment, "generate", end)
        with pytest.raises(KeyboardInterrupt):
            gradebook.prepare(course, changed)
    gradebook.prepare(course, changed)
    made = gradebook.folder / "release" / TOPIC / f"{TOPIC}.ipynb"
    assert "Take your time." in made.read_text()


def test_another_database_is_told_of_the_exercise_too(folder, asked, tmp_path):
    with Gradebook(folder, f"sqlite:///{tmp_path}/other.db") as gradebook:
        gradebook.prepare(ROOT, asked)
        gradebook.record(asked, result(asked))
        assert gradebook.entry(asked, "ada").points["best_degree"] == 3


def by_id(cells):
    return {cell.metadata.nbgrader.grade_id: cell for cell in cells}


def second_proof(cells):
    another = nbformat.v4.new_markdown_cell("An answer.", id="proof-2")
    another.metadata["nbgrader"] = {
        **by_id(cells)["proof"].metadata.nbgrader,
        "grade_id": "proof-2",
        "points": 4,
    }
    cells.append(another)


def test_other_points_are_taken_over(gradebook, asked, course):
    gradebook.record(asked, result(asked))
    changed = edited(course, lambda cells: by_id(cells)["proof"].metadata.nbgrader.update(points=5))
    gradebook.prepare(course, changed)
    assert cells_known(gradebook.folder)["grade"]["proof"] == 5
    assert gradebook.entry(changed, "ada") == gradebook.entry(asked, "ada")


def test_a_new_cell_is_known_also_after_submissions_came(gradebook, asked, course):
    gradebook.record(asked, result(asked))
    grade_by_hand(gradebook.folder, "proof", 2, "Good.")
    changed = edited(course, second_proof)
    assert "proof-2" not in gradebook.entry(changed, "ada").points  # not graded since
    gradebook.prepare(course, changed)
    known = cells_known(gradebook.folder)
    assert known["grade"]["proof-2"] == 4
    assert "proof-2" in known["solution"] & known["source"]
    entry = gradebook.entry(changed, "ada")
    assert (entry.points["proof"], entry.waiting) == (2, ["proof-2"])
    made = commands_of(gradebook).generate_feedback(TOPIC, "ada")
    assert made["success"], made
    answers = {"proof": handed_in.PROOF, "proof-2": "Another."}
    cells = handed_in.cells_of(changed, **answers)
    gradebook.record(changed, result(changed, digest="second", cells=cells))
    assert gradebook.entry(changed, "ada").waiting == ["proof", "proof-2"]


def test_a_cell_that_is_gone_counts_no_more(gradebook, asked, course):
    both = edited(course, second_proof)
    gradebook.prepare(course, both)
    gradebook.record(both, result(both))
    only_one = edited(course, lambda cells: cells.pop())
    gradebook.prepare(course, only_one)
    assert "proof-2" not in gradebook.entry(only_one, "ada").points
    known = cells_known(gradebook.folder)
    assert all("proof-2" not in names for names in known.values())
    assert sum(known["grade"].values()) == only_one.maximum
    with by_nbgrader(gradebook.folder) as book:
        grades = book.find_submission_notebook(TOPIC, TOPIC, "ada").grades
        assert {grade.name for grade in grades} == set(known["grade"])


def test_a_cell_for_which_a_person_gave_points_is_not_thrown_away(gradebook, asked, course):
    both = edited(course, second_proof)
    gradebook.prepare(course, both)
    gradebook.record(both, result(both))
    grade_by_hand(gradebook.folder, "proof-2", 4)
    only_one = edited(course, lambda cells: cells.pop())
    with pytest.raises(GradebookError, match=r"the cell proof-2 is gone.*put it back"):
        gradebook.prepare(course, only_one)
    assert gradebook.entry(both, "ada").points["proof-2"] == 4


def test_an_exercise_out_of_step_with_its_solution_is_refused(gradebook, course, asked):
    edited(course, lambda cells: by_id(cells)["proof"].metadata.nbgrader.update(points=5))
    with pytest.raises(GradebookError, match=f"run python3 -m sparsecourse release {TOPIC}"):
        gradebook.prepare(course, asked)


def test_a_broken_solution_is_refused_with_what_nbgrader_says(gradebook, course, asked):
    path = course / "solutions" / TOPIC / f"{TOPIC}.ipynb"
    path.write_text(path.read_text().replace("### END SOLUTION", "### THE END"))
    with pytest.raises(GradebookError, match=r"(?s)nbgrader refused it:.*SOLUTION"):
        gradebook.prepare(course, asked)


# The folder and its database


def test_a_folder_of_grades_is_not_for_others(tmp_path):
    with Gradebook(tmp_path / "a" / "b") as gradebook:
        assert stat.S_IMODE(gradebook.folder.stat().st_mode) == 0o700


def test_a_folder_may_be_moved(folder, asked, tmp_path):
    with Gradebook(folder) as gradebook:
        gradebook.record(asked, result(asked))
    moved = shutil.move(folder, tmp_path / "elsewhere")
    with by_nbgrader(moved) as book:
        assert book.find_submission(TOPIC, "ada").score == 11
    with Gradebook(moved, read_only=True) as gradebook:
        assert gradebook.entry(asked, "ada").points["best_degree"] == 3


def test_another_database_is_used_remembered_and_kept_from_others_eyes(
    asked, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with Gradebook(tmp_path / "grading", "sqlite:///other.db") as gradebook:
        gradebook.prepare(ROOT, asked)
        gradebook.record(asked, result(asked))
        settings = gradebook.folder / "nbgrader_config.py"
        assert stat.S_IMODE(settings.stat().st_mode) == 0o600
    monkeypatch.chdir("/")
    assert (tmp_path / "other.db").is_file()
    assert not (tmp_path / "grading" / "gradebook.db").exists()
    with by_nbgrader(tmp_path / "grading") as book:
        assert book.find_submission(TOPIC, "ada").score == 11
    for about in ({}, {"read_only": True}):
        with Gradebook(tmp_path / "grading", **about) as gradebook:
            assert gradebook.entry(asked, "ada") is not None
    with Gradebook(tmp_path / "grading", f"sqlite:///{tmp_path}/third.db") as gradebook:
        assert gradebook.entry(asked, "ada") is None
    with Gradebook(tmp_path / "grading", f"sqlite:///{tmp_path}/other.db", read_only=True) as book:
        assert book.entry(asked, "ada") is not None


@pytest.mark.parametrize(
    "url", ["nosuchbase://ada:secret@host/grades", "no url: secret", "sqlite:////no/secret/here"]
)
def test_a_database_out_of_reach_is_a_sentence_and_is_not_remembered(folder, asked, url):
    with (
        pytest.raises(GradebookError, match="cannot open the gradebook") as error,
        Gradebook(folder, url),
    ):
        pass
    assert "secret" not in str(error.value)
    with Gradebook(folder) as gradebook:
        assert gradebook.entry(asked, "ada") is None


def test_own_settings_survive_a_run(folder):
    (folder / "own_config.py").write_text("c.CourseDirectory.groupshared = True\n")
    with Gradebook(folder):
        assert formgrader.read_settings(folder).CourseDirectory.groupshared


def test_formgrader_does_not_show_the_settings_in_its_page(folder):
    assert formgrader.read_settings(folder).FormgradeExtension.debug is False


OWNER = """
import os, sys, time
from pathlib import Path
from sparsecourse.grading.gradebook import Gradebook
with Gradebook(Path(sys.argv[1])):
    worker = os.fork()  # a worker of the grading run, which outlives it when it is killed
    if worker:
        print(worker, flush=True)
    time.sleep(60)
"""


def test_one_writer_at_a_time_also_after_one_was_killed(folder, asked):
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as owner:
        worker = int(owner.stdout.readline())
        try:
            with (
                pytest.raises(GradebookError, match="another process is writing"),
                Gradebook(folder),
            ):
                pass
            with Gradebook(folder, read_only=True) as gradebook:
                assert gradebook.entry(asked, "ada") is None
            owner.kill()
            owner.wait()
            os.kill(worker, 0)  # it lives
            with Gradebook(folder) as gradebook:
                gradebook.record(asked, result(asked))
        finally:
            owner.kill()
            os.kill(worker, signal.SIGKILL)


def test_reading_what_is_not_there_is_a_sentence(tmp_path):
    with (
        pytest.raises(GradebookError, match="holds no gradebook"),
        Gradebook(tmp_path, read_only=True),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_ends_between_database_and_notebook_asks_for_a_review(
    gradebook, asked, monkeypatch
):
    gradebook.record(asked, result(asked))
    grade_by_hand(gradebook.folder, "proof", 2)

    def end(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(autograded, "write", end)
        with pytest.raises(KeyboardInterrupt):
            gradebook.record(asked, result(asked, digest="second"))
    gradebook.record(asked, result(asked, digest="second"))
    assert gradebook.entry(asked, "ada").waiting == ["proof"]


def test_a_submission_is_recorded_whole_or_not_at_all(gradebook, asked, monkeypatch):
    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr(gradebook, "_penalty", fail)
    with pytest.raises(RuntimeError):
        gradebook.record(asked, result(asked))
    assert gradebook.entry(asked, "ada") is None
    with by_nbgrader(gradebook.folder) as book:
        assert book.students == []


def test_nothing_is_said_that_nobody_can_act_on(asked, tmp_path, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Gradebook(tmp_path) as gradebook:
            gradebook.prepare(ROOT, asked)
            for digest in ("first", "second"):
                gradebook.record(asked, result(asked, digest=digest))
            gradebook.entry(asked, "ada")
    assert capfd.readouterr() == ("", "")


def test_a_class_is_recorded_soon(gradebook, asked):
    wall, processor = [], []
    for number in range(40):
        before = time.perf_counter(), time.process_time()
        gradebook.record(asked, result(asked, f"student-{number}", wrong=("best_degree",)))
        wall.append(time.perf_counter() - before[0])
        processor.append(time.process_time() - before[1])
    milliseconds = [1000 * statistics.median(times) for times in (wall, processor)]
    print(
        "recorded in {:.0f} ms a submission, {:.0f} of the processor (medians)".format(
            *milliseconds
        )
    )
    assert milliseconds[1] < 50  # the rest is the disk's, and that of others who use this machine
