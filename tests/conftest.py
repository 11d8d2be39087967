"""What holds for all tests: pinned threads, no network, strict or lax notebooks, run times."""

from __future__ import annotations

import os
import runpy
from collections import defaultdict
from pathlib import Path

import nbformat
import pytest

from sparsecourse.cli.environment import has_nvidia_gpu
from sparsecourse.cli.notebooks import CANONICAL_TORCH, CANONICAL_VARIABLES
from sparsecourse.cli.requirements import ROOT, installed_version
from sparsecourse.data import available

TESTS = Path(__file__).parent
BROWSER_SECONDS = 60  # about what a browser test file takes: it starts among the first


def why_lax() -> str | None:
    """None where stored outputs must be reproduced exactly; else what differs here, in words."""
    if has_nvidia_gpu():
        return "there is a GPU"
    if installed_version("torch").split(".")[:2] != CANONICAL_TORCH.split("."):
        return f"torch is {installed_version('torch')}, outputs are stored with {CANONICAL_TORCH}"
    absent = [name for name, where in available().items() if where is None]
    if absent:
        return f"data sets are missing ({', '.join(absent)})"
    return None


def pytest_configure(config: pytest.Config) -> None:
    for name, value in CANONICAL_VARIABLES.items():
        if name != "CUDA_VISIBLE_DEVICES":  # the parity tests want a GPU, if there is one
            os.environ[name] = value
    # Kernels and subprocesses read PYTHONPATH; this process started without it.
    paths = [str(TESTS / "offline"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    if not hasattr(config, "workerinput"):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    runpy.run_path(str(TESTS / "offline" / "sitecustomize.py"))
    if config.option.nbval and why_lax():
        config.option.nbval_lax = True


def pytest_report_header() -> str:
    reason = why_lax()
    return f"notebooks: lax, because {reason}" if reason else "notebooks: strict"


def recorded_seconds(notebook: Path) -> float:
    """How long the notebook took when its outputs were stored."""
    return nbformat.read(notebook, as_version=4).metadata.get("sparsecourse", {}).get("seconds", 0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Longest first, so that no worker ends the run alone with a long notebook."""
    seconds: dict[Path, float] = {}
    for item in items:
        if item.path not in seconds:
            if item.path.suffix == ".ipynb":
                seconds[item.path] = recorded_seconds(item.path)
            else:
                seconds[item.path] = BROWSER_SECONDS * (item.path.parent.name == "browser")
    items.sort(key=lambda item: -seconds[item.path])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How long each notebook took, kernel start included."""
    seconds: dict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            name = getattr(report, "nodeid", "").split("::")[0]
            if name.endswith(".ipynb"):
                seconds[name] += report.duration
    if seconds:
        terminalreporter.section("notebooks")
        for name, total in sorted(seconds.items()):
            terminalreporter.write_line(f"{total:6.1f} s  {name}")


@pytest.fixture(scope="session")
def skip_or_fail():
    """Skip with a reason; a failure where SPARSECOURSE_NO_SKIP says that nothing may be missing."""

    def stop(reason: str) -> None:
        if os.environ.get("SPARSECOURSE_NO_SKIP"):
            pytest.fail(f"{reason} (and SPARSECOURSE_NO_SKIP is set)")
        pytest.skip(reason)

    return stop
