"""Public functions say shapes, errors and source, in numpydoc."""

import importlib
import inspect
import pkgutil
import re

import pytest

import sparsecourse

# These teach from papers; of the others the public names need only be understood.
WITH_SOURCE = ("sparsecourse.reference", "sparsecourse.functional")
NO_SOURCE_NEEDED = {"validation"}  # checks arguments and teaches nothing
OTHERS = ["costs", "data", "experiments", "grading", "nets", "notebook", "papers", "training"]
OTHERS += [
    "papers.accuracy",
    "experiments.han2015",
    "experiments.wen2016",
    "pruning.dead_groups",
    "pruning.criteria",
    "pruning.following",
    "pruning.graph",
    "pruning.labels",
    "pruning.masks",
    "pruning.penalty",
    "pruning.reconstruction",
    "pruning.retraining",
    "pruning.selection",
    "pruning.surgery",
    "pruning.shapes",
    "pruning.ssl",
]
OTHERS += ["pruning.storage", "timing", "timing.alexnet", "timing.curves", "timing.formats"]
OTHERS += ["timing.patterns", "timing.sparse", "widgets"]


def functions_of(module):
    """Public functions: those in __all__, or else those defined in the module itself."""
    for name in getattr(module, "__all__", sorted(vars(module))):
        function = getattr(module, name)
        own = hasattr(module, "__all__") or inspect.getmodule(function) is module
        if inspect.isfunction(function) and own and not name.startswith("_"):
            yield pytest.param(function, id=f"{module.__name__}.{name}")


def public_functions():
    for package_name in WITH_SOURCE:
        package = importlib.import_module(package_name)
        for module in pkgutil.iter_modules(package.__path__, package_name + "."):
            yield from functions_of(importlib.import_module(module.name))
    for name in OTHERS:
        yield from functions_of(importlib.import_module(f"sparsecourse.{name}"))


def sections_of(docstring):
    """Section title -> text."""
    parts = re.split(r"^(\w+)\n-{3,}\n", inspect.cleandoc(docstring), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("function", list(public_functions()))
def test_docstring_is_complete(function):
    docstring = function.__doc__
    assert docstring, "no docstring"
    assert docstring.splitlines()[0].endswith((".", "?")), "the first line is a sentence"
    sections = sections_of(docstring)
    signature = inspect.signature(function)
    for name in signature.parameters:
        pattern = rf"^(?:.*, )?\*{{0,2}}{name}(?:,.*)? ?(?::|$)"
        assert re.search(pattern, sections.get("Parameters", ""), re.MULTILINE), (
            f"parameter {name} is not described"
        )
    source = inspect.getsource(function)
    if signature.return_annotation not in (None, "None"):
        assert "Returns" in sections or "Yields" in sections, "what is returned is not described"
    if re.search(r"^\s+raise \w+", source, re.MULTILINE):
        assert "Raises" in sections, "raises, but does not say so"
    module = function.__module__
    if module.startswith(WITH_SOURCE) and module.rpartition(".")[2] not in NO_SOURCE_NEEDED:
        assert re.search(r"\b(19|20)\d\d\b|ed\.", sections.get("References", "")), "no source"
        arrays = sections["Parameters"] + sections["Returns"]
        assert "shape" in arrays, "shapes are not described"


def test_the_package_has_functions_to_check():
    assert len(list(public_functions())) >= 22


def test_version_is_a_number():
    assert re.fullmatch(r"\d+\.\d+\.\d+", sparsecourse.__version__)
