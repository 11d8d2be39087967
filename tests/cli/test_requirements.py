"""Reading pyproject.toml without any package, as `packaging` would read it."""

import tomllib

import pytest
from packaging.requirements import Requirement as Witness

from sparsecourse.cli.requirements import (
    ROOT,
    Requirement,
    SetupError,
    installed_version,
    missing,
    read_requirements,
)

VERSIONS = [
    "0.9",
    "1.15",
    "2",
    "2.0.0",
    "2.11.0",
    "2.13.0+cpu",
    "2.14",
    "2.14.1",
    "8.1.9",
    "9.0",
    "2025.1.0",
]


def test_bounds_mean_what_packaging_says():
    for requirement in read_requirements(["test", "grade", "bench"]):
        witness = Witness(str(requirement))
        for version in VERSIONS:
            assert requirement.accepts(version) == witness.specifier.contains(version), version


def test_every_line_of_pyproject_is_read():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = set(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        lines |= {line for line in extra if not line.startswith("sparsecourse")}
    assert {str(r) for r in read_requirements(["test", "grade", "bench"])} == lines


def test_an_extra_brings_the_extras_it_names():
    names = {requirement.name for requirement in read_requirements(["test"])}
    assert {"pytest", "nbgrader", "torch"} <= names
    assert "nbgrader" not in {requirement.name for requirement in read_requirements([])}


def test_an_unknown_extra_is_answered_with_the_known():
    with pytest.raises(SetupError, match=r"no extra named 'gpu'[\s\S]*bench, grade, test"):
        read_requirements(["gpu"])


def test_a_copy_that_is_no_clone_is_told_so(tmp_path):
    with pytest.raises(SetupError, match=r"not a clone[\s\S]*folder that you cloned"):
        read_requirements([], root=tmp_path)


def test_a_broken_pyproject_is_a_sentence(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project\n")
    with pytest.raises(SetupError, match=r"pyproject\.toml cannot be read"):
        read_requirements([], root=tmp_path)


@pytest.mark.parametrize("line", ["one~=1.0", "one>=1; sys_platform=='win32'", "one==2"])
def test_a_requirement_of_another_form_is_named(tmp_path, line):
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\nname = "x"\ndependencies = ["{line}"]\n[project.optional-dependencies]\n'
    )
    with pytest.raises(SetupError, match="made of >= and <"):
        read_requirements([], root=tmp_path)


def distribution(folder, name, version):
    path = folder / f"{name}-{version}.dist-info"
    path.mkdir()
    (path / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_missing_tells_absent_from_wrong(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\ndependencies = ["one>=1,<2", "two>=2", "three>=3"]\n'
        "[project.optional-dependencies]\n"
    )
    site = tmp_path / "site"
    site.mkdir()
    distribution(site, "one", "1.5")
    distribution(site, "two", "1.9")
    assert missing([], [str(site)], tmp_path) == [
        "two>=2 (found 1.9)",
        "three>=3 (not installed)",
    ]


def test_the_leftovers_of_a_broken_uninstall_count_as_absent(tmp_path):
    (tmp_path / "one-1.0.dist-info").mkdir()
    assert installed_version("one", [str(tmp_path)]) is None
    # Once imported, it answers in the place of importlib.metadata; Dask needs it on Python 3.11.
    pytest.importorskip("importlib_metadata")
    assert installed_version("one", [str(tmp_path)]) is None


def test_versions_of_this_interpreter_are_found():
    assert Requirement("pytest", ">=8", None).accepts(installed_version("pytest"))
    assert installed_version("no-such-package-at-all") is None
