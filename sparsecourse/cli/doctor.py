"""Tell what is here, what is missing and how to get it. Installs nothing.

Exit code 1 when something that the course cannot do without is missing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import shutil
import sys
from pathlib import Path

from sparsecourse.cli import environment, requirements
from sparsecourse.data import catalogue


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the same, to be read by a program")


def run(arguments: argparse.Namespace) -> int:
    environment.enter_if_ready(arguments.argv)
    report = examine()
    print(json.dumps(report, indent=2) if arguments.json else describe(report))
    return 0 if report["ok"] else 1


def examine() -> dict:
    """Everything that `doctor` tells, as plain lists, dictionaries, strings and numbers."""
    packages = examine_packages()
    problems = [
        f"{package['name']}{package['needs']}: {package['found'] or 'not installed'}"
        for package in packages
        if package["extra"] is None and not package["ok"]
    ]
    return {
        "ok": not problems,
        "problems": problems,
        "remedy": "python3 -m sparsecourse setup" if problems else None,
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "packages": packages,
        "device": examine_device(),
        "threads": examine_threads(),
        "data": examine_data(),
        "programs": [
            examine_program("chromium", find_chromium(), "browser tests", "chromium"),
            examine_program("bubblewrap", shutil.which("bwrap"), "grading", "bubblewrap"),
        ],
    }


def examine_packages() -> list[dict]:
    extras = ["grade", "test", "bench"]
    rows = []
    for requirement in requirements.read_requirements(extras):
        found = requirements.installed_version(requirement.name)
        rows.append(
            {
                "name": requirement.name,
                "needs": requirement.bounds,
                "found": found,
                "ok": found is not None and requirement.accepts(found),
                "extra": requirement.extra,
            }
        )
    return rows


def examine_device() -> dict:
    """The device that torch would use; asking means importing it, which takes seconds."""
    if requirements.installed_version("torch") is None:
        return {"name": None, "note": "torch is not installed"}
    try:
        torch = importlib.import_module("torch")
    except Exception as error:  # a broken install has many faces, and this is what doctor is for
        return {"name": None, "note": f"torch cannot be imported: {error}"}
    if torch.cuda.is_available():
        return {"name": "cuda", "note": torch.cuda.get_device_name()}
    if environment.has_nvidia_gpu():
        return {"name": "cpu", "note": "an NVIDIA driver is here, but this torch cannot use it"}
    return {"name": "cpu", "note": platform.processor() or platform.machine()}


def examine_threads() -> dict:
    torch = sys.modules.get("torch")
    return {
        "cores": os.cpu_count(),
        "usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "torch": torch.get_num_threads() if hasattr(torch, "get_num_threads") else None,
    }


def examine_data() -> list[dict]:
    return [
        {
            "name": name,
            "found": where,
            "remedy": None if where else catalogue.remedy(name),
        }
        for name, where in catalogue.available().items()
    ]


def examine_program(name: str, path: str | None, purpose: str, debian_package: str) -> dict:
    remedy = f"on Debian and Ubuntu: sudo apt install {debian_package}"
    return {
        "name": name,
        "found": path,
        "needed_for": purpose,
        "remedy": None if path else remedy,
    }


def find_chromium() -> str | None:
    """Path of a Chromium or Chrome that Playwright can drive, or None."""
    names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
    places = [
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        os.path.expandvars(r"%ProgramFiles%\Google\Chrome\Application\chrome.exe"),
    ]
    found = [shutil.which(name) for name in names] + [p for p in places if Path(p).is_file()]
    return next(filter(None, found), None)


def describe(report: dict) -> str:
    """The report as text, one line a fact, what is missing marked with an x."""
    mark = {True: "✓", False: "✗"}
    python, device, threads = report["python"], report["device"], report["threads"]
    lines = [f"✓ Python {python['version']} ({python['executable']})"]
    for package in report["packages"]:
        extra = f" [extra {package['extra']}]" if package["extra"] else ""
        found = package["found"] or "not installed"
        optional = not package["ok"] and package["extra"]
        sign = "·" if optional else mark[package["ok"]]
        lines.append(f"{sign} {package['name']} {found} (needs {package['needs']}){extra}")
    lines.append(f"{mark[device['name'] is not None]} device: {device['name']} ({device['note']})")
    lines.append(f"  threads: {threads['cores']} cores, torch uses {threads['torch']}")
    for kind, rows in (("data", report["data"]), ("program", report["programs"])):
        for row in rows:
            sign = "✓" if row["found"] else "·"
            lines.append(f"{sign} {kind} {row['name']}: {row['found'] or row['remedy']}")
    if report["problems"]:
        lines.append(f"\nMissing, and needed. What to do: {report['remedy']}")
    else:
        lines.append("\nAll that the lectures need is here (· marks what only some commands need).")
    return "\n".join(lines)
