"""The commands as typed, each in a process of its own."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from sparsecourse.cli import lab, main, setup, split_at_dashes
from sparsecourse.cli.requirements import ROOT


def run(*arguments, bare=False, **variables):
    """Run a command; `bare`: with no site-packages, as on a Python where nothing is installed."""
    options = ["-S"] if bare else []
    return subprocess.run(
        [sys.executable, *options, "-m", "sparsecourse", *arguments],
        cwd=variables.pop("cwd", ROOT),
        capture_output=True,
        text=True,
        env=variables or None,
    )


@pytest.fixture
def fresh_clone(tmp_path):
    """The tracked package and pyproject.toml alone, so that no .venv is found."""
    for name in ("sparsecourse", "pyproject.toml"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    return tmp_path


def test_doctor_on_a_bare_python_prints_valid_json_and_fails(fresh_clone):
    ended = run("doctor", "--json", bare=True, cwd=fresh_clone)
    report = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert report["ok"] is False
    assert any(problem.startswith("torch>=") for problem in report["problems"])
    assert report["remedy"] == "python3 -m sparsecourse setup"
    assert report["device"]["note"] == "torch is not installed"
    assert {row["name"] for row in report["data"]} >= {"mnist", "prostate", "digits"}
    assert not (fresh_clone / ".venv").exists()


def test_doctor_here_finds_all_that_is_required():
    ended = run("doctor", "--json")
    report = json.loads(ended.stdout)
    assert ended.returncode == 0, report["problems"]
    assert report["device"]["name"] in ("cpu", "cuda")
    assert report["threads"]["torch"] >= 1
    assert {row["name"] for row in report["programs"]} == {"chromium", "bubblewrap"}
    for row in report["data"] + report["programs"]:
        assert bool(row["found"]) != bool(row["remedy"])


def test_doctor_as_text_marks_what_is_here():
    text = run("doctor").stdout
    assert "✓ Python 3." in text
    assert "✓ torch " in text
    assert "data digits" in text


def test_data_list_needs_nothing_installed(fresh_clone):
    ended = run("data", "list", bare=True, cwd=fresh_clone)
    assert ended.returncode == 0, ended.stderr
    assert "mnist" in ended.stdout


def test_a_fetch_of_an_unknown_set_names_the_known():
    ended = run("data", "fetch", "minst")
    assert ended.returncode == 1
    assert "mnist" in ended.stdout
    assert "Traceback" not in ended.stderr


def test_help_lists_every_command():
    text = run("--help").stdout
    commands = ["lab", "test", "setup", "doctor", "data", "notebooks", "release"]
    for command in [*commands, "grade", "feedback", "experiment", "bench"]:
        assert f"\n    {command}" in text, command


def test_a_setup_that_cannot_be_is_a_sentence_and_exit_1(capsys):
    assert main(["setup", "--extras", "gpu"]) == 1
    printed = capsys.readouterr().err
    assert "no extra named 'gpu'" in printed
    assert "What to do" in printed


def test_notebooks_run_names_a_file_that_does_not_exist():
    ended = run("notebooks", "run", "lectures/99_nothing.ipynb")
    assert ended.returncode == 2
    assert "lectures/99_nothing.ipynb: no such notebook" in ended.stdout


def test_release_check_passes_here():
    ended = run("release", "--check")
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout == "exercises/ is what solutions/ gives.\n"


def test_release_of_an_unknown_topic_is_a_sentence():
    ended = run("release", "99_nothing")
    assert ended.returncode == 1
    assert "there is no solutions/99_nothing/checks.py" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_release_writes_a_student_bundle(tmp_path):
    folder = tmp_path / "week 2"
    ended = run("release", "--student-bundle", str(folder), "02_linear_regression")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{folder}: hand this folder out.\n"
    assert [path.name for path in (folder / "exercises").iterdir()] == ["02_linear_regression"]


def test_a_student_bundle_that_cannot_be_is_a_sentence():
    ended = run("release", "--student-bundle", str(ROOT / "handed_out"))
    assert ended.returncode == 1
    assert "lies inside the clone" in ended.stderr
    assert "What to do" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_arguments_after_dashes_are_split_off():
    assert split_at_dashes(["test", "--", "-k", "--", "x"]) == (["test"], ["-k", "--", "x"])
    assert split_at_dashes(["test"]) == (["test"], [])


def test_test_passes_arguments_on_to_pytest():
    ended = run("test", "--", "--version")
    assert ended.returncode == 0
    assert "pytest" in ended.stdout + ended.stderr


def test_server_asks_no_other_host_and_listens_on_this_machine_only():
    command = lab.server_command(ROOT, lab.START, None, False, [])
    assert "--ServerApp.ip=127.0.0.1" in command
    assert "--LabApp.news_url=None" in command
    assert "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate" in command
    assert not [argument for argument in command if "token" in argument], "Jupyter's own, random"


def test_what_the_user_passes_on_wins():
    command = lab.server_command(ROOT, lab.START, 9999, True, ["--ServerApp.ip=0.0.0.0", "--debug"])
    assert [a for a in command if a.startswith("--ServerApp.ip")] == ["--ServerApp.ip=0.0.0.0"]
    assert "--ServerApp.port=9999" in command
    assert "--no-browser" in command
    assert command[-1] == "--debug"


@pytest.mark.parametrize("short", lab.SHORT_NAMES)
def test_short_names_of_settings_win_too(short):
    command = lab.server_command(ROOT, lab.START, 8888, False, [f"{short}=x"])
    long_name = lab.SHORT_NAMES[short]
    assert not [argument for argument in command if argument.startswith(long_name)]


def test_a_port_that_does_not_exist_is_refused():
    ended = run("lab", "--port", "99999")
    assert ended.returncode == 2
    assert "99999 is not in 0..65535" in ended.stderr


def test_root_is_allowed_and_kernels_find_the_package(monkeypatch):
    monkeypatch.setattr(lab.os, "geteuid", lambda: 0, raising=False)
    assert "--allow-root" in lab.server_command(ROOT, lab.START, None, False, [])
    monkeypatch.setattr(lab.os, "geteuid", lambda: 1000, raising=False)
    assert "--allow-root" not in lab.server_command(ROOT, lab.START, None, False, [])
    assert lab.server_environment("students")["PYTHONPATH"].split(os.pathsep)[0] == str(ROOT)


def test_a_terminal_without_ticks_gets_question_marks():
    ended = run("doctor", **os.environ | {"PYTHONIOENCODING": "ascii"})
    assert ended.returncode == 0, ended.stderr
    assert "? Python 3." in ended.stdout


def test_a_reader_that_stops_reading_is_no_error():
    command = f"{sys.executable} -m sparsecourse data list | head -1"
    ended = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert ended.stdout.startswith("digits")
    assert "Traceback" not in ended.stderr


def test_a_folder_that_may_not_be_written_is_a_sentence(monkeypatch, capsys):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied", "/course/.venv.lock")

    monkeypatch.setattr(setup.environment, "enter", refuse)
    assert main(["setup"]) == 1
    printed = capsys.readouterr().err
    assert "/course/.venv.lock: Permission denied" in printed
    assert "What to do" in printed


def test_a_fetch_fails_when_one_of_several_sets_fails():
    ended = run("data", "fetch", "nothing", "digits")
    assert ended.returncode == 1
    assert "digits: verified (scikit-learn)" in ended.stdout


def test_a_set_without_a_public_home_is_not_said_to_be_fetched(fresh_clone, monkeypatch):
    monkeypatch.delenv("SPARSECOURSE_DATA", raising=False)
    ended = run("data", "list", bare=True, cwd=fresh_clone)
    assert "no public home; put riboflavin.npz" in ended.stdout
    assert "fetch mnist" in ended.stdout


def test_extras_may_be_written_with_spaces(monkeypatch):
    asked = []
    monkeypatch.setattr(setup.environment, "enter", lambda extras, *a, **k: asked.append(extras))
    assert main(["setup", "--extras", "test, grade,"]) == 0
    assert asked == [["test", "grade"]]


def test_settings_of_the_course_are_added_to_those_of_the_user(monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/mine")
    path = lab.server_environment("students")["JUPYTER_CONFIG_PATH"]
    assert path.endswith("/mine")
    assert "jupyter" in path


def test_bench_says_what_can_be_measured():
    ended = run("bench", "solvers", "--help", bare=True)
    assert ended.returncode == 0, ended.stderr
    for option in ("--quick", "--seed", "--json"):
        assert option in ended.stdout
