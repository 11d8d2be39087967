"""Open the course in JupyterLab."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

from sparsecourse.cli import environment
from sparsecourse.cli.grade import FOLDER
from sparsecourse.cli.requirements import ROOT, SetupError
from sparsecourse.cli.setup import add_cpu_argument

START = "/lab/tree/lectures/00_start_here.ipynb"

SHORT_NAMES = {
    "--ip": "--ServerApp.ip",
    "--port": "--ServerApp.port",
    "--notebook-dir": "--ServerApp.root_dir",
}


def port_number(text: str) -> int:
    """A number that a server can listen on, from the command line."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is not in 0..65535")
    return number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-browser", action="store_true", help="print the address only")
    parser.add_argument(
        "--port", type=port_number, help="where the server listens (default: 8888, or next)"
    )
    parser.add_argument(
        "--grading",
        nargs="?",
        type=Path,
        const=FOLDER,
        metavar="DIR",
        help="for instructors: read answers in words with nbgrader's formgrader, in a folder that "
        "`grade` wrote (default: .grading in the course's folder)",
    )
    add_cpu_argument(parser)


def run(arguments: argparse.Namespace) -> NoReturn:
    root, start, reader = ROOT, START, "students"
    if arguments.grading:
        root, start, reader = graded(arguments.grading), "/lab", "instructors"
        environment.enter(["grade"], arguments.argv, cpu=arguments.cpu)
        os.chdir(root)  # nbgrader looks for its settings there
    else:
        environment.enter([], arguments.argv, cpu=arguments.cpu)
    command = server_command(root, start, arguments.port, arguments.no_browser, arguments.passed_on)
    environment.replace_process(command, server_environment(reader))


def graded(folder: Path) -> Path:
    """The folder as a full path, if there is anything to grade by hand.

    Raises
    ------
    SetupError
        If no class was graded there.
    """
    if not (folder / "nbgrader_config.py").is_file():
        raise SetupError(
            f"There is no nbgrader_config.py in {folder}: no class was graded there.",
            "grade a class first: python3 -m sparsecourse grade NN_topic SUBMISSIONS "
            "--out grades.csv",
        )
    return folder.resolve()


def server_command(
    root: Path, start: str, port: int | None, no_browser: bool, passed_on: list[str]
) -> list[str]:
    """The command line of a JupyterLab server on `root` that asks no other host for anything.

    What the user passes on wins over our own settings: Jupyter refuses a setting given twice.
    """
    settings = {
        "--ServerApp.ip": "127.0.0.1",
        "--ServerApp.port": port,
        "--ServerApp.root_dir": root,
        "--LabApp.default_url": start,
        "--LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url": "None",
        "--LabApp.extension_manager": "readonly",
    }
    given = {argument.partition("=")[0] for argument in passed_on}
    given |= {SHORT_NAMES[name] for name in given & set(SHORT_NAMES)}
    command = [sys.executable, "-m", "jupyterlab"]
    command += [
        f"{name}={value}"
        for name, value in settings.items()
        if value is not None and name not in given
    ]
    if no_browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # containers; Jupyter refuses otherwise
        command.append("--allow-root")
    return command + passed_on


def server_environment(reader: str) -> dict[str, str]:
    """Environment variables of that server: our settings, and a package its kernels can import.

    The settings are those in the folder `reader` (students see nothing of nbgrader's, instructors
    its formgrader), and those for everyone.
    """
    variables = dict(os.environ)
    settings = Path(__file__).with_name("jupyter")
    for name, paths in {
        "JUPYTER_CONFIG_PATH": [settings / reader, settings / "everyone"],
        "PYTHONPATH": [ROOT],
    }.items():
        variables[name] = os.pathsep.join(filter(None, [*map(str, paths), variables.get(name)]))
    return variables
