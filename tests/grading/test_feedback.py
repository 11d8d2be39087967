"""What a student reads: what failed and what to look at, safe to open, theirs alone."""

import dataclasses

import pytest

from sparsecourse.cli import main
from sparsecourse.grading import feedback, results, scoring
from sparsecourse.grading.feedback import FeedbackError, write
from sparsecourse.grading.grade import _Grading
from sparsecourse.grading.gradebook import Entry
from sparsecourse.grading.results import Cell, Mark, Result
from sparsecourse.grading.work import Task, work
from tests.grading.pages import RIGHT, Seen, assert_self_contained, exercise

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
FAILURE = "Not right on 3 of 12 ordinary inputs: it raised ValueError. Look first: how often?"
WRONG = Mark(0, 2, FAILURE)
MARKS = {"double": RIGHT, "triple": WRONG}
ENTRY = Entry({"double": 2.0, "triple": 0.0, "proof": 1.5}, [], {"proof": "First.\n\nThen."}, 0.0)
RESULT = Result("anna", "digest", "run", marks=MARKS)


def changed(entry, **changes):
    return dataclasses.replace(entry, **changes)


@pytest.fixture
def page_of(tmp_path):
    """Write the page of a submission; give its source."""

    def page_of(result=RESULT, entry=ENTRY):
        return write(exercise(), result, entry, tmp_path / "pages").read_text(encoding="utf-8")

    return page_of


def test_a_page_says_what_failed_and_what_to_look_at(page_of):
    seen = Seen(page_of())
    assert "Exercise 99: Times" in seen.text
    assert "anna" in seen.text
    assert "3.5 of 7 points" in seen.text
    assert "✓ 1. Twice double 2 of 2 ✗ 2. Three times triple Not right on 3 of 12" in seen.text
    assert "it raised ValueError. Look first: how often? 0 of 2" in seen.text
    assert seen.attributes("aria-label") == ["right", "not right"]


def test_points_and_comments_of_a_person_are_shown_with_their_lines(page_of):
    page = page_of()
    assert '<div class="comment">First.\n\nThen.</div>' in page
    assert "white-space: pre-wrap" in page
    assert "3. Prove it First. Then. 1.5 of 3" in Seen(page).text


def test_an_answer_that_waits_counts_for_nothing_yet(page_of):
    # 1 point was given to what the student had handed in before.
    entry = Entry({"double": 2.0, "triple": 0.0, "proof": 1.0}, ["proof"], {}, 0.0)
    text = Seen(page_of(entry=entry)).text
    assert "2 of 4 points so far 3 more are open: an answer is being read by a person." in text
    assert "It is being read. ? of 3" in text


def test_a_function_that_a_person_looks_at_again_counts_for_nothing_yet(page_of):
    text = Seen(page_of(entry=changed(ENTRY, waiting=["double"]))).text
    assert "1.5 of 5 points so far 2 more are open" in text
    assert "✓ 1. Twice double A person is looking at it. ? of 2" in text


def test_a_late_submission_is_told_what_that_cost(page_of):
    text = Seen(page_of(entry=changed(ENTRY, penalty=1.0))).text
    assert "2.5 of 7 points 1 point was taken off for handing in late." in text
    assert "late" not in Seen(page_of()).text


def test_points_that_a_person_changed_are_those_that_count(page_of):
    entry = changed(ENTRY, points=ENTRY.points | {"triple": 1.0}, comments={"triple": "Nearly!"})
    text = Seen(page_of(entry=entry)).text
    assert "4.5 of 7 points" in text
    assert "A person has looked at it and given these points. Nearly! 1 of 2" in text


def test_notes_on_cells_and_the_time_of_handing_in_are_shown(page_of):
    result = dataclasses.replace(
        RESULT, notes=["Code cell 2 stopped."], timestamp="2026-11-20T14:03:00+00:00"
    )
    text = Seen(page_of(result)).text
    assert "Code cell 2 stopped." in text
    assert "handed in 2026-11-20 14:03 UTC" in text


def test_a_submission_that_could_not_be_graded_is_told_why_and_what_to_do(page_of):
    seen = Seen(page_of(Result("anna", "", "run", ungradable="two notebooks: a.ipynb, b"), None))
    assert "Not graded" in seen.text
    assert "two notebooks: a.ipynb, b" in seen.text
    assert "hand in this one file again, as 99_times.ipynb" in seen.text
    assert "points" not in seen.text


def sandbox_failure(monkeypatch):
    def answer(_):
        raise scoring.SandboxFailed("/home/instructor/grading")

    monkeypatch.setattr(scoring, "answer", answer)
    content = b'{"cells": [{"cell_type": "code", "source": "def double(x): pass"}]}'
    task = Task("anna", content, None, [], {"double": [], "triple": []}, 1.0, True, ())
    return work(task)


def worker_failure(_):
    return OSError("/home/instructor/grading")


class Recorder:
    """A gradebook that takes everything."""

    def record(self, *_):
        pass


@pytest.mark.parametrize("fail", [sandbox_failure, worker_failure])
def test_a_failure_of_the_grading_machine_tells_a_student_nothing_of_it(
    fail, monkeypatch, tmp_path, page_of
):
    grading = _Grading(exercise(), {}, "run", tmp_path / "results", Recorder())
    task = Task("anna", b"", None, [], {}, 1.0, True, ())
    grading.judge(task, fail(monkeypatch), 1.0)
    result = grading.results["anna"]
    assert "/home/instructor" in result.ungradable  # for the instructor
    page = page_of(result, None)
    assert "/home/instructor" not in page
    assert "something went wrong on the grading machine" in page
    assert "hand in this one file again" not in page


def test_whatever_people_write_is_text(page_of):
    everywhere = Result(
        "anna",
        "digest",
        "run",
        marks={"double": Mark(0, 2, f"It {HOSTILE}. Look first: {HOSTILE}"), "triple": RIGHT},
        notes=[HOSTILE],
        cells=[Cell("markdown", HOSTILE)],
    )
    comments = dict.fromkeys(("double", "proof"), HOSTILE)
    graded = page_of(everywhere, changed(ENTRY, comments=comments))
    refused = page_of(Result("anna", "", "run", ungradable=HOSTILE), None)
    assert graded.count("&lt;script&gt;") == 5
    assert refused.count("&lt;script&gt;") == 1
    for page in (graded, refused):
        assert_self_contained(page)
        assert "img" not in {tag for tag, _ in Seen(page).tags}


def test_a_text_that_is_no_unicode_is_written_all_the_same(page_of):
    assert "caf?" in page_of(Result("anna", "", "run", ungradable="caf\udce9"), None)


def test_a_page_holds_neither_code_nor_what_identifies_a_run(page_of):
    secret = Cell("code", "def double(x):\n    return 'what the student wrote'")
    page = page_of(dataclasses.replace(RESULT, cells=[secret], digest="0123abcd", run="4567cdef"))
    for hidden in ("what the student wrote", "0123abcd", "4567cdef", "return"):
        assert hidden not in page


def test_a_page_stays_in_its_folder(page_of, tmp_path):
    for student in ("../anna", "a/../../anna", "a/anna", str(tmp_path / "anna")):
        with pytest.raises(ValueError, match="no id of a student"):
            page_of(dataclasses.replace(RESULT, student=student))
    assert list(tmp_path.rglob("*.html")) == []


def test_a_page_that_cannot_be_made_leaves_the_old_one(page_of, tmp_path, monkeypatch):
    before = page_of()
    monkeypatch.setattr(feedback.page.Path, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        page_of(entry=changed(ENTRY, penalty=1.0))
    assert (tmp_path / "pages" / "anna.html").read_text(encoding="utf-8") == before


@pytest.mark.parametrize(
    ("result", "entry"),
    [
        (RESULT, None),
        (RESULT, changed(ENTRY, points={"double": 2.0, "triple": 0.0})),
        (dataclasses.replace(RESULT, marks={"double": RIGHT}), ENTRY),
        (dataclasses.replace(RESULT, marks=MARKS | {"gone": RIGHT}), ENTRY),
    ],
)
def test_what_does_not_belong_together_is_refused(page_of, result, entry):
    with pytest.raises(FeedbackError, match="anna: what is stored does not fit"):
        page_of(result, entry)


class Open:
    """A gradebook that knows one student."""

    def __init__(self, folder, url, *, read_only):
        assert read_only

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def entry(self, _, student):
        return ENTRY if student == "anna" else None


def test_every_result_becomes_a_page(tmp_path, monkeypatch):
    monkeypatch.setattr(feedback, "Gradebook", Open)
    kept = tmp_path / "99_times" / "results"
    results.store(kept, RESULT)
    results.store(kept, Result("b.c", "", "run", ungradable="empty file"))
    (kept / "dora.partial").write_text("{")
    out = tmp_path / "new" / "pages"
    written = feedback.write_all(exercise(), tmp_path, None, out)
    assert written == [out / "anna.html", out / "b.c.html"]
    assert sorted(out.iterdir()) == written
    assert "anna" not in written[1].read_text(encoding="utf-8")


def test_feedback_before_grading_is_a_sentence(tmp_path, capsys):
    out, folder = tmp_path / "pages", tmp_path / "grading"
    arguments = ["--out", str(out), "--grading-dir", str(folder)]
    assert main(["feedback", "04_ridge_and_lasso", *arguments]) == 1
    assert "first run python3 -m sparsecourse grade 04_ridge_and_lasso" in capsys.readouterr().err
    assert not out.exists()
    assert not folder.exists()
