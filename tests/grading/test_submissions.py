"""Who handed in what: a row for every student, one notebook or the reason why there is none."""

import pickle
import zipfile
from pathlib import Path

import pytest

from sparsecourse.grading.answers import Ungradable
from sparsecourse.grading.submissions import SubmissionsError, find

TOPIC = "04_ridge_and_lasso"
NOTEBOOK = f"{TOPIC}/{TOPIC}.ipynb"


@pytest.fixture(params=["folder", "zip", "zip with a top folder"])
def given(request, tmp_path):
    """Write files (name -> content) as a class's submissions; a name that ends in / is a folder."""

    def write(*names, **contents):
        files = dict.fromkeys(names, "{}") | contents
        if request.param == "folder":
            return in_folder(tmp_path / "class", files)
        top = "class/" if request.param.endswith("top folder") else ""
        path = tmp_path / "class.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(top + name, content)
        return path

    return write


def in_folder(path, files):
    path.mkdir()
    for name, content in files.items():
        target = path / name
        if name.endswith("/"):
            target.mkdir(parents=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
    return path


def rows(path, pattern=None):
    return {found.student: found.problem for found in find(path, TOPIC, pattern)}


def test_the_layout_of_nbgrader(given):
    path = given(
        f"carol/{TOPIC}/other.ipynb",
        f"carol/{TOPIC}/zeros.csv",
        f"bob/{TOPIC}/timestamp.txt",
        f"alice/{NOTEBOOK}",
        f"alice/{TOPIC}/scratch.ipynb",
        "alice/05_coordinate_descent/05_coordinate_descent.ipynb",
        "dave/05_coordinate_descent/05_coordinate_descent.ipynb",
        f"erin/{TOPIC}/",
    )
    missing = f"no notebook {TOPIC}.ipynb"
    listed = {found.student: found.problem for found in find(path, TOPIC)}
    assert list(listed) == ["alice", "bob", "carol", "erin"]
    assert listed["alice"] is None
    assert listed["bob"].startswith(f"{missing}, but ")
    assert listed["bob"].endswith(f"bob/{TOPIC}/timestamp.txt")
    assert listed["carol"].endswith(f"carol/{TOPIC}/other.ipynb")
    assert listed["erin"] == missing


def test_a_misplaced_notebook_is_found_or_named_never_passed_over(given):
    path = given(
        f"alice/{NOTEBOOK}", "alice.ipynb", "bob/x.ipynb", "carol/work/x.ipynb", "dan.ipynb"
    )
    listed = rows(path)
    assert listed.pop("alice").startswith("two notebooks: ")
    assert listed == {"bob": None, "carol": None, "dan": None}


@pytest.mark.parametrize("depth", ["", "submitted/"])
def test_the_folder_of_the_course_is_taken_for_what_nbgrader_collected(tmp_path, depth):
    files = [f"{depth}alice/{NOTEBOOK}", f"{depth}bob/{NOTEBOOK}"]
    if depth:
        files += [f"source/{NOTEBOOK}", f"release/{NOTEBOOK}"]
    path = in_folder(tmp_path / "class", dict.fromkeys(files, ""))
    assert rows(path) == {"alice": None, "bob": None}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-11-01 12:30:00.123456 UTC", "2026-11-01T12:30:00.123456+00:00"),
        ("2026-11-01 12:30:00 Europe/Berlin\n", "2026-11-01T11:30:00+00:00"),
        ("2026-11-01T12:30:00+01:00", "2026-11-01T11:30:00+00:00"),
        ("2026-11-01 12:30", "2026-11-01T12:30:00+00:00"),
        ("10", None),  # dateutil would take it for the tenth of this month
        ("0001-01-01 00:00:00 Asia/Tokyo", None),
        ("2026-13-45 12:30:00 UTC", None),
        ("2026-11-01 12:30:00 /etc/localtime", None),
        ("2026-11-01 12:30:00 ../../etc/localtime", None),
        ("=cmd()", None),
        ("", None),
        ("2026-11-01 12:30:00 UTC" + " " * 2000, None),
    ],
)
def test_a_time_of_handing_in_is_read_as_nbgrader_does_or_not_at_all(tmp_path, written, read):
    files = {f"alice/{NOTEBOOK}": "", f"alice/{TOPIC}/timestamp.txt": written}
    (found,) = find(in_folder(tmp_path / "class", files), TOPIC)
    assert found.timestamp == read
    assert found.problem is None


def test_a_time_that_is_no_text_is_none(tmp_path):
    path = in_folder(tmp_path / "class", {f"alice/{NOTEBOOK}": ""})
    (path / "alice" / TOPIC / "timestamp.txt").write_bytes(b"\xff\xfe")
    assert find(path, TOPIC)[0].timestamp is None


def test_a_flat_folder_and_a_folder_a_student(given):
    path = given("bob.ipynb", f"alice_{TOPIC}.ipynb")
    assert rows(path) == {"alice": None, "bob": None}


def test_content_is_read_when_asked_for(given):
    path = given(
        "carol/x.ipynb", "carol/data.csv", **{"alice/y.ipynb": "öne", "bob/z.ipynb": "two"}
    )
    found = find(path, TOPIC)
    assert [each.student for each in found] == ["alice", "bob", "carol"]
    assert pickle.loads(pickle.dumps(found[0])).read() == "öne".encode()
    assert found[1].read() == b"two"
    if path.is_dir():
        (path / "bob" / "z.ipynb").unlink()
        with pytest.raises(Ungradable, match=r"^not readable \(No such file or directory\): bob/z"):
            found[1].read()


def test_hidden_files_copies_and_lists_are_passed_over(given):
    path = given(
        "alice/x.ipynb",
        "alice/.ipynb_checkpoints/x-checkpoint.ipynb",
        "alice/._x.ipynb",
        "__MACOSX/alice/x.ipynb",
        "bob/x.IPYNB",
        ".hidden/y.ipynb",
    )
    assert rows(path) == {"alice": None, "bob": None}


def test_lists_beside_the_notebooks_are_passed_over(tmp_path):
    files = ["alice.ipynb", "index.html", "grades.csv", "empty/", f"{TOPIC}_grades.csv"]
    assert rows(in_folder(tmp_path / "class", dict.fromkeys(files, ""))) == {"alice": None}


def test_who_handed_in_something_else_has_a_row(given):
    moodle = "Ann Lee_{}_assignsubmission_file_/"
    path = given(
        moodle.format(12) + "report.pdf",
        moodle.format(13) + "x.ipynb",
        moodle.format(14),
        *(moodle.format(15) + f"{letter}.py" for letter in "abcde"),
    )
    listed = rows(path)
    assert listed["12"].startswith("no notebook, but ")
    assert listed["12"].endswith("Ann Lee_12_assignsubmission_file_/report.pdf")
    assert listed["13"] is None
    assert listed["14"] == "no notebook"
    assert listed["15"].endswith("c.py and others")


def test_a_canvas_student_who_handed_in_no_notebook_has_a_row(given):
    path = given("leeann_12_3456_x.ipynb", "roebo_13_3457_x.docx", "day_LATE_14_text.html")
    listed = rows(path)
    assert listed["12"] is None
    assert listed["13"].startswith("no notebook, but ")
    assert listed["14"].startswith("no notebook, but ")


def test_two_notebooks_are_both_named_and_none_is_graded(given):
    path = given("leeann_12_3456_x.ipynb", "leeann_12_3457_y.ipynb", "roebo_13_3458_x.ipynb")
    (two, one) = find(path, TOPIC)
    assert one.problem is None
    assert two.problem.startswith("two notebooks: ")
    assert two.problem.count("leeann_12_345") == 2
    with pytest.raises(Ungradable, match=r"^two notebooks: "):
        two.read()


def attempt(student, time, file="_x.ipynb", assignment="Ridge and lasso_1_2026"):
    return f"{assignment}_{student}_attempt_{time}{file}"


def test_of_two_attempts_the_later_counts(given):
    path = given(
        attempt("bob", "2026-11-01-12-00-00"),
        **{
            attempt("alice", "2026-11-01-12-00-00"): "early",
            attempt("alice", "2026-11-02-09-00-00"): "late",
            attempt("alice", "2026-11-02-09-00-00", ".txt"): "a comment",
        },
    )
    assert rows(path) == {"alice": None, "bob": None}
    assert find(path, TOPIC)[0].read() == b"late"


def test_an_attempt_with_a_comment_alone_has_a_row(given):
    time = "2026-11-01-12-00-00"
    path = given(attempt("alice", time, ".txt"), attempt("bob", time))
    assert rows(path)["alice"].startswith("no notebook, but ")


def test_attempts_that_may_be_of_two_students_are_not_confused(given):
    path = given(
        attempt("ann_lee", "2026-11-01-12-00-00"), attempt("bob_lee", "2026-11-02-12-00-00")
    )
    assert rows(path)["lee"].startswith("two notebooks: ")


def test_two_notebooks_of_the_last_attempt_are_both_named(given):
    times = ["2026-11-01-12-00-00", "2026-11-02-12-00-00", "2026-11-02-12-00-00"]
    path = given(*(attempt("alice", time, f"_{i}.ipynb") for i, time in enumerate(times)))
    problem = rows(path)["alice"]
    assert problem.startswith("two notebooks: ")
    assert "_0.ipynb" not in problem


@pytest.mark.parametrize("file", ["/x.ipynb", " - x.ipynb"])
def test_of_two_brightspace_folders_the_later_counts(given, file):
    path = given(
        f"2-3 - Bo Roe - Nov 1, 2026 1200 PM{file}",
        **{
            f"1-3 - Ann Lee - Nov 1, 2026 1159 AM{file}": "first",
            f"1-3 - Ann Lee - Nov 2, 2026 100 PM{file}": "second",
            f"1-3 - Ann Lee - Nov 2, 2026 530 PM{file}": "third",
        },
    )
    assert rows(path) == {"1": None, "2": None}
    assert find(path, TOPIC)[0].read() == b"third"


def test_brightspace_folders_without_a_time_are_both_named(given):
    path = given(
        "1-3 - Ann Lee - 1 nov/x.ipynb", "1-3 - Ann Lee - 2 nov/x.ipynb", "2-3 - Bo/x.ipynb"
    )
    assert rows(path)["1"].startswith("two notebooks: ")


def test_ids_that_differ_only_in_case_share_a_row_and_are_not_graded(given):
    path = given("Alice/x.ipynb", "alice/report.pdf", "bob/x.ipynb")
    assert rows(path) == {"Alice": "ids that differ only in case: Alice and alice", "bob": None}


def test_a_student_who_cannot_be_told_has_a_row_that_is_safe_and_alone(given):
    path = given(
        "=cmd.ipynb", "+cmd.ipynb", f"{TOPIC}.ipynb", f"{TOPIC} (1).ipynb", "a\nb.ipynb", "ok.ipynb"
    )
    listed = rows(path)
    assert listed.pop("ok") is None
    assert len({student.casefold() for student in listed}) == 5
    for student, problem in listed.items():
        assert student.startswith("unknown_")
        assert set(student) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")
        assert problem.startswith("no student can be told from the name ")
        assert "\n" not in problem
    assert list(rows(path)) == ["ok", *sorted(listed)]


def test_a_folder_whose_student_cannot_be_told_has_a_row_a_notebook(given):
    path = given("=cmd/x.ipynb", "=cmd/notes.txt", "alice/y.ipynb")
    listed = rows(path)
    assert listed.pop("alice") is None
    (problem,) = listed.values()
    assert "=cmd/x.ipynb" in problem


def test_a_pattern_decides_alone(given):
    path = given(
        "g1/w-alice-x.ipynb", "g2/w-bob-x.ipynb", "g2/w-eve-x.pdf", "g2/y.ipynb", "g2/z.pdf"
    )
    listed = rows(path, r"w-(?P<student>\w+)-")
    assert listed.pop("alice") is None
    assert listed.pop("bob") is None
    assert listed.pop("eve").startswith("no notebook, but ")
    (unknown,) = listed.values()
    assert unknown.startswith("no student can be told")


def test_a_pattern_that_fits_no_name_is_told_and_not_the_students(given):
    with pytest.raises(SubmissionsError, match=r"finds a student in no name, such as \S*a\.ipynb"):
        rows(given("a.ipynb", "b.ipynb"), r"w-(?P<student>\w+)-")


def test_a_pattern_cannot_make_an_id_unsafe(given):
    listed = rows(given("x/../=cmd.ipynb", "y.ipynb"), r"(?P<student>=?\w+)\.ipynb")
    assert listed.pop("y") is None
    assert all(student.startswith("unknown_") for student in listed)
    assert len(listed) == 1


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("(", "'\\(' is no regular expression"), (r"(\w+)", "no group named student")],
)
def test_a_wrong_pattern_is_refused(tmp_path, pattern, said):
    with pytest.raises(SubmissionsError, match=said):
        find(in_folder(tmp_path / "class", {"a.ipynb": ""}), TOPIC, pattern)


def test_what_holds_no_submission_is_refused_with_what_was_expected(tmp_path, given):
    other = "05_coordinate_descent"
    path = given(f"alice/{other}/{other}.ipynb", f"bob/{other}/timestamp.txt")
    with pytest.raises(SubmissionsError, match=f"no submission of {TOPIC}: expected STUDENT/"):
        find(path, TOPIC)
    with pytest.raises(SubmissionsError, match="does not exist"):
        find(tmp_path / "nothing", TOPIC)
    with pytest.raises(SubmissionsError, match="neither a folder nor a zip"):
        find(Path("/dev/null"), TOPIC)


@pytest.mark.parametrize(
    "files",
    [[NOTEBOOK], ["x.ipynb"], [NOTEBOOK, "05_a/05_a.ipynb"], ["x.ipynb", "a/b.csv", "c/d.csv"]],
)
def test_the_folder_of_one_student_is_not_taken_for_that_of_a_class(tmp_path, files):
    path = tmp_path / "class.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            archive.writestr(f"alice/{file}", "")
    assert rows(path) == {"alice": None}


@pytest.mark.parametrize("student", ["alice", "Ann Lee_12_assignsubmission_file_"])
def test_two_notebooks_of_one_student_alone_are_not_two_students(tmp_path, student):
    path = tmp_path / "class.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in ("x.ipynb", "y.ipynb", "data/z.csv")[: 3 if student == "alice" else 2]:
            archive.writestr(f"{student}/{file}", "")
    (problem,) = rows(path).values()
    assert problem.startswith("two notebooks: ")


def test_an_outer_folder_named_as_the_exercise_is_no_student(tmp_path):
    path = in_folder(tmp_path / "class", {f"{TOPIC}/alice.ipynb": ""})
    assert rows(path) == {"alice": None}
