"""`lab` for students and, with --grading, for instructors: what is started, where, how."""

import json
import os
import re
from importlib import metadata
from pathlib import Path

import pytest

from sparsecourse.cli import grade, lab, main
from sparsecourse.cli.requirements import ROOT


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Run `lab` with some arguments, in an empty folder: command, variables, extras, folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JUPYTER_CONFIG_PATH", raising=False)
    found = {}
    monkeypatch.setattr(
        lab.environment, "enter", lambda extras, *a, **k: found.update(extras=extras)
    )

    def replace_process(command, variables):
        found.update(command=command, variables=variables, cwd=Path.cwd())

    monkeypatch.setattr(lab.environment, "replace_process", replace_process)

    def run(*arguments):
        found["code"] = main(["lab", *arguments])
        return found

    return run


@pytest.fixture
def graded(tmp_path):
    folder = tmp_path / "graded"
    folder.mkdir()
    (folder / "nbgrader_config.py").write_text("")
    return folder


def readers(started):
    """Names of our folders of settings that the server reads, the first wins."""
    path = started["variables"]["JUPYTER_CONFIG_PATH"].split(os.pathsep)
    assert all(Path(folder).is_dir() for folder in path)
    return [Path(folder).name for folder in path]


def test_a_student_starts_in_the_clone_on_the_first_lecture(started, tmp_path):
    found = started()
    assert found["extras"] == []
    assert f"--ServerApp.root_dir={ROOT}" in found["command"]
    assert "--LabApp.default_url=/lab/tree/lectures/00_start_here.ipynb" in found["command"]
    assert readers(found) == ["students", "everyone"]
    assert found["cwd"] == tmp_path


def test_an_instructor_starts_in_the_grading_folder(started, graded):
    found = started("--grading", "graded")
    assert found["extras"] == ["grade"]
    assert f"--ServerApp.root_dir={graded}" in found["command"]
    assert "--LabApp.default_url=/lab" in found["command"]
    assert readers(found) == ["instructors", "everyone"]
    assert found["cwd"] == graded, "nbgrader looks for its settings there"


def test_both_are_the_same_but_for_folder_and_start(started, graded):
    students = started("--no-browser", "--port=1234")["command"]
    instructors = started("--no-browser", "--port=1234", "--grading", "graded")["command"]
    differing = {argument.partition("=")[0] for argument in set(students) ^ set(instructors)}
    assert differing == {"--ServerApp.root_dir", "--LabApp.default_url"}


def test_the_grading_folder_is_by_default_the_one_that_grade_writes(started, graded, monkeypatch):
    before = lab.FOLDER
    assert before == grade.FOLDER
    monkeypatch.setattr(lab, "FOLDER", graded)
    assert f"--ServerApp.root_dir={graded}" in started("--grading")["command"]


@pytest.mark.parametrize("folder", [".", "nowhere"])
def test_without_a_graded_class_the_command_that_grades_is_named(started, folder, capsys):
    found = started("--grading", folder)
    assert found == {"code": 1}, "nothing is installed, nothing started"
    said = capsys.readouterr().err
    assert f"no nbgrader_config.py in {folder}" in said
    assert "grade a class first: python3 -m sparsecourse grade" in said


def ours(reader, file):
    return json.loads((Path(lab.__file__).with_name("jupyter") / reader / file).read_text())


def server_extensions(settings):
    return settings["ServerApp"]["jpserver_extensions"]


def installed_by_nbgrader(pattern):
    """Text of the files that nbgrader brings along for Jupyter."""
    files = [file for file in metadata.files("nbgrader") if file.match(pattern)]
    assert files
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def test_of_nbgraders_server_extensions_students_load_none_and_instructors_formgrader():
    settings = "jupyter_server_config.d/nbgrader.json"
    all_of_them = server_extensions(json.loads(installed_by_nbgrader(settings)))
    none = dict.fromkeys(all_of_them, False)
    assert server_extensions(ours("students", settings)) == none
    assert server_extensions(ours("instructors", settings)) == none | {
        "nbgrader.server_extensions.formgrader": True
    }


def test_of_nbgraders_plugins_students_see_none_and_instructors_formgrader_in_its_menu():
    settings = "labconfig/page_config.json"
    code = installed_by_nbgrader("nbgrader/labextension/static/*.js")
    plugins = set(re.findall(r"@jupyter/nbgrader:[\w-]+", code))
    assert ours("students", settings)["disabledExtensions"] == {"@jupyter/nbgrader": True}
    disabled = ours("instructors", settings)["disabledExtensions"]
    left = {plugin for plugin in plugins if not disabled.get(plugin)}
    assert left == {"@jupyter/nbgrader:formgrader", "@jupyter/nbgrader:menu"}
