"""What students get: all they need, nothing of a solution, and it works where it lies."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from sparsecourse.cli.requirements import ROOT
from sparsecourse.grading import bundle, release

TOPIC, OTHER = "02_linear_regression", "03_norms_and_sparsity"
STUDENTS_COMMANDS = {"lab", "doctor", "setup", "data"}
BLOCK = re.compile(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", re.DOTALL)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A bundle with all exercises."""
    folder = tmp_path_factory.mktemp("out") / "course"
    bundle.bundle(ROOT, folder)
    return folder


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone as an instructor has it: two topics, caches, notes and grades among the files."""
    root = tmp_path_factory.mktemp("clone") / "course"
    for name in ("sparsecourse", "lectures"):
        shutil.copytree(ROOT / name, root / name)
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    for topic in (TOPIC, OTHER):
        for name in ("solutions", "exercises"):
            shutil.copytree(ROOT / name / topic, root / name / topic)
    for junk in (
        ".git/config",
        ".grading/gradebook.db",
        ".venv/bin/python",
        "notes.txt",
        "tests/test_x.py",
        "lectures/.ipynb_checkpoints/a.ipynb",
        f"exercises/{TOPIC}/my_own_solution.ipynb",
        f"exercises/{TOPIC}/.ipynb_checkpoints/a.ipynb",
        "sparsecourse/__pycache__/a.pyc",
        "sparsecourse/grading/a.py.partial",
    ):
        (root / junk).parent.mkdir(parents=True, exist_ok=True)
        (root / junk).write_text("for nobody's eyes")
    return root


@pytest.fixture(scope="module")
def part(clone, tmp_path_factory):
    """A bundle with one of the two exercises of the clone."""
    folder = tmp_path_factory.mktemp("out") / "week" / "course"
    bundle.bundle(clone, folder, [TOPIC])
    return folder


def files_below(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def text_of(path):
    """What can be read in a file; of a notebook, sources and outputs without JSON's escapes."""
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8", errors="replace")
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source + str(cell.get("outputs", "")) for cell in cells)


def secret_lines():
    """Lines of solutions, checks and answers in words that are shown nowhere else anyway."""
    secret = [path.read_text(encoding="utf-8") for path in ROOT.glob("solutions/*/checks.py")]
    shown = [*ROOT.glob("lectures/*.ipynb"), *ROOT.glob("sparsecourse/**/*.py")]
    shown = [text_of(path) for path in shown]
    for path in ROOT.glob("solutions/*/*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown" and cell.metadata.nbgrader.solution:
                secret.append(cell.source)
            else:
                secret += BLOCK.findall(cell.source)
                shown.append(BLOCK.sub("", cell.source))
    lines = {line.strip() for line in "\n".join(secret).splitlines()}
    text = "\n".join(shown)
    return {line for line in lines if len(line) > 15 and line not in text}


def leaks(folder, secrets):
    text = "\n".join(text_of(path) for path in sorted(folder.rglob("*")) if path.is_file())
    return {line for line in secrets if line in text}


def dead_links(folder):
    texts = [folder / "README.md", *folder.glob("exercises/*/*.ipynb")]
    for path in texts:
        for address in re.findall(r"\]\(([^)\s]+)\)", text_of(path)):
            target = path.parent / address.partition("#")[0]
            if "://" not in address and not target.exists():
                yield f"{path.name}: {address}"


def run_in(folder, *command):
    """Run Python there, as a student would: this clone is not on the path."""
    variables = {name: v for name, v in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, env=variables
    )


def test_a_bundle_holds_nothing_of_a_solution(whole):
    secrets = secret_lines()
    assert len(leaks(ROOT / "solutions", secrets)) == len(secrets) > 100
    assert leaks(whole, secrets) == set()


def test_a_bundle_holds_what_students_need_and_nothing_else(whole):
    top = {path.name for path in whole.iterdir()}
    assert top == {
        *("README.md", "LICENSE", "pyproject.toml", "lectures", "exercises", "sparsecourse")
    }
    files = files_below(whole)
    checks = {name for name in files if name.endswith("checks.py")}
    assert checks == {"sparsecourse/grading/checks.py"}, "that one is the package's"
    assert not [name for name in files if name.endswith(".pyc")]
    assert not [name for name in files if any(part[0] == "." for part in name.split("/"))]
    topics = release.known_topics(ROOT)
    assert {name for name in files if name.startswith("exercises/")} == {
        f"exercises/{topic}/{name}" for topic in topics for name in (f"{topic}.ipynb", "cases.json")
    }
    for folder in ("lectures", "lectures/images"):
        names = {path.name for path in (ROOT / folder).iterdir() if path.is_file()}
        assert {path.name for path in (whole / folder).iterdir() if path.is_file()} == names


def test_notes_caches_grades_and_other_exercises_stay_behind(part):
    files = files_below(part)
    assert {name for name in files if name.startswith("exercises/")} == {
        f"exercises/{TOPIC}/{TOPIC}.ipynb",
        f"exercises/{TOPIC}/cases.json",
    }
    assert "for nobody's eyes" not in "\n".join(text_of(part / name) for name in files)


def test_no_link_is_dead(whole, part):
    assert list(dead_links(whole)) == []
    assert [link for link in dead_links(part) if link.startswith("README")] == []


def test_the_readme_speaks_to_students_only(whole):
    text = (whole / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"-m sparsecourse (\w+)", text)) <= STUDENTS_COMMANDS
    assert re.findall(r"^## (.*)", text, re.MULTILINE) == ["Start", "Lectures", "Data"]
    assert f"](exercises/{OTHER}/{OTHER}.ipynb)" in text
    assert "sparsecourse lab" in text


def test_exercises_that_are_not_handed_out_are_named_without_a_link(part):
    text = (part / "README.md").read_text(encoding="utf-8")
    assert f"| [exercise](exercises/{TOPIC}/{TOPIC}.ipynb) |" in text
    assert re.search(r"^\| 03 \|.* \| exercise \|$", text, re.MULTILINE)


def test_the_commands_start_in_a_bundle(whole):
    doctor = run_in(whole, "-m", "sparsecourse", "doctor", "--json")
    assert doctor.returncode == 0, doctor.stderr
    assert json.loads(doctor.stdout)["ok"]
    lab = run_in(whole, "-m", "sparsecourse", "lab", "--help")
    assert lab.returncode == 0, lab.stderr


@pytest.mark.parametrize("command", [["release"], ["release", "--check"], ["test"]], ids=" ".join)
def test_instructors_commands_say_that_they_do_not_work_in_a_bundle(whole, command):
    before = files_below(whole / "exercises")
    ended = run_in(whole, "-m", "sparsecourse", *command)
    assert ended.returncode == 1
    assert (
        f"There is no {'tests' if 'test' in command else 'solutions'}/ in {whole}" in ended.stderr
    )
    assert "this is a student bundle" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert files_below(whole / "exercises") == before


def test_the_checks_of_an_exercise_work_in_a_bundle(whole):
    solution = nbformat.read(ROOT / "solutions" / TOPIC / f"{TOPIC}.ipynb", as_version=4)
    solved = {cell.id: cell.source for cell in solution.cells if cell.cell_type == "code"}
    notebook = nbformat.read(whole / "exercises" / TOPIC / f"{TOPIC}.ipynb", as_version=4)
    given = {cell.id: cell.source for cell in notebook.cells if cell.cell_type == "code"}
    steps = [
        "import sys; sys.path.insert(0, '../..')",
        given["imports"],
        "import sparsecourse; print(sparsecourse.__file__)",
        given["intercept"],
        f"try:\n    {given['intercept-check']}\nexcept NotImplementedError as e:\n    print(e)",
        solved["intercept"],
        given["intercept-check"],
        given["all-checks"],
    ]
    ended = run_in(whole / "exercises" / TOPIC, "-c", "\n".join(steps))
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0].startswith(str(whole))
    assert lines[1] == "fit_with_intercept is not written yet"
    assert lines[2] == "✓ fit_with_intercept: right on all 6 cases shown to you."
    assert "2 of 11 points" in ended.stdout


def test_exercises_out_of_step_are_not_handed_out(clone, tmp_path):
    root = tmp_path / "course"
    shutil.copytree(clone, root)
    cases = root / "exercises" / TOPIC / "cases.json"
    cases.write_text(cases.read_text().replace("manual_points", "points_by_hand"))
    with pytest.raises(bundle.BundleError, match=r"(?s)cases\.json: differs.*sparsecourse release"):
        bundle.bundle(root, tmp_path / "out", [TOPIC])
    assert [path.name for path in tmp_path.iterdir()] == ["course"]


def test_an_unknown_topic_is_answered_with_the_known(clone, tmp_path):
    with pytest.raises(release.ReleaseError, match=f"99_nothing.*there are: {TOPIC}"):
        bundle.bundle(clone, tmp_path / "out", ["99_nothing"])


@pytest.mark.parametrize("place", ["out", "", "exercises/out", "lectures/../out"])
def test_a_bundle_inside_the_clone_is_refused(clone, place):
    before = files_below(clone)
    with pytest.raises(bundle.BundleError, match="inside the clone"):
        bundle.bundle(clone, clone / place, [TOPIC])
    assert files_below(clone) == before


def test_a_place_is_judged_by_where_it_is_not_by_its_name(clone, tmp_path, monkeypatch):
    before = files_below(clone)
    (tmp_path / "link").symlink_to(clone / "lectures")
    monkeypatch.chdir(clone)
    for place in (Path("out"), tmp_path / "link" / "out"):
        with pytest.raises(bundle.BundleError, match="inside the clone"):
            bundle.bundle(clone, place, [TOPIC])
    assert files_below(clone) == before


def test_nothing_is_written_over(clone, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(bundle.BundleError, match="not an empty folder"):
        bundle.bundle(clone, tmp_path / "out", [TOPIC])
    with pytest.raises(bundle.BundleError, match="not an empty folder"):
        bundle.bundle(clone, tmp_path / "out" / "mine.txt", [TOPIC])
    assert files_below(tmp_path) == {"out/mine.txt"}


def test_an_empty_folder_is_filled(clone, tmp_path):
    (tmp_path / "out").mkdir()
    bundle.bundle(clone, tmp_path / "out", [TOPIC])
    assert (tmp_path / "out" / "README.md").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_run_that_fails_leaves_nothing(clone, tmp_path, monkeypatch):
    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle, "for_students", fail)
    with pytest.raises(KeyboardInterrupt):
        bundle.bundle(clone, tmp_path / "out", [TOPIC])
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_named(clone, tmp_path):
    (tmp_path / "out.partial").mkdir()
    with pytest.raises(bundle.BundleError, match=r"out\.partial is left from an interrupted run"):
        bundle.bundle(clone, tmp_path / "out", [TOPIC])
    assert (tmp_path / "out.partial").is_dir()
