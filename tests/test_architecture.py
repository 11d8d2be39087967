"""The house rules of imports: they only go down, and the bare package needs nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from sparsecourse.cli.requirements import ROOT

PACKAGE = ROOT / "sparsecourse"

# From the ground up. A module may import from its own floor and from those below.
FLOORS = [
    {"reference", "papers", "data", "executors"},
    {"functional"},
    {"nets", "training", "costs", "timing"},
    {"pruning", "quantization"},
    {"widgets", "notebook", "grading", "experiments", "bench"},
    {"cli", "__main__"},
]
TOP = len(FLOORS) - 1

# Third-party packages that only some may import: package -> who.
RESERVED = {
    "ipywidgets": {"widgets"},
    "IPython": {"widgets", "notebook", "grading"},
    "anywidget": {"widgets"},
    "nbgrader": {"grading"},
    "dask": {"executors"},
}
BARE = {"__init__", "__main__"}  # these import the standard library alone, as does cli at import


def module_files():
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    """The floor's room that a file belongs to: its first folder or its own name."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(path: Path, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def floor_of(part: str) -> int:
    for number, parts in enumerate(FLOORS):
        if part in parts:
            return number
    raise AssertionError(f"sparsecourse/{part} stands on no floor: add it to FLOORS")


@pytest.mark.parametrize("path", module_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_go_down(path):
    part = part_of(path)
    if part == "__init__":
        return
    for name in imports_of(path):
        if name.startswith("sparsecourse."):
            other = name.split(".")[1]
            if (PACKAGE / other).exists() or (PACKAGE / f"{other}.py").exists():
                assert floor_of(other) <= floor_of(part), f"{part} imports {name}, from above"
                assert other != "cli" or part in FLOORS[TOP], f"{part} reaches for the door, cli"


@pytest.mark.parametrize("path", module_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_reserved_packages_stay_where_they_belong(path):
    part = part_of(path)
    for name in {name.split(".")[0] for name in imports_of(path)}:
        assert name not in RESERVED or part in RESERVED[name], f"{part} imports {name}"


def test_reference_imports_numpy_and_scipy_only():
    allowed = {"numpy", "scipy", "sparsecourse"} | sys.stdlib_module_names
    for path in (PACKAGE / "reference").rglob("*.py"):
        names = {name.split(".")[0] for name in imports_of(path)}
        assert names <= allowed, f"{path.name} imports {names - allowed}"
        inner = {name for name in imports_of(path) if name.startswith("sparsecourse.")}
        assert all(name.startswith("sparsecourse.reference") for name in inner)


def test_every_submodule_is_reachable_from_the_package():
    import sparsecourse

    present = {path.stem for path in PACKAGE.glob("*.py")} - BARE
    present |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert present == set(sparsecourse._SUBMODULES)


def test_import_loads_the_standard_library_alone():
    code = "import sys; import sparsecourse, sparsecourse.cli; print('\\n'.join(sys.modules))"
    printed = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, env={}, capture_output=True, text=True
    )
    assert printed.returncode == 0, printed.stderr
    loaded = {name.split(".")[0] for name in printed.stdout.split()}
    assert loaded <= sys.stdlib_module_names | {"sparsecourse", "__main__", "sitecustomize"}


@pytest.mark.parametrize("name", sorted(BARE))
def test_the_door_parses_on_old_pythons(name):
    source = (PACKAGE / f"{name}.py").read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 5))
    # feature_version lets f-strings and walrus operators of some versions pass.
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr | ast.NamedExpr)]


def test_an_old_python_gets_a_sentence():
    code = (
        "import sys, runpy; sys.version_info = (3, 9, 1); sys.argv = ['sparsecourse', 'lab'];"
        "runpy.run_module('sparsecourse', run_name='__main__')"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "3.11 or newer" in ended.stderr
    assert "3.9" in ended.stderr
    assert "What to do" in ended.stderr
    assert "Traceback" not in ended.stderr
