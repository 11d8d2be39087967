"""An interactive course on sparsity.

Each module here is one command: its docstring is the help, `add_arguments` and `run` do the rest.
Standard library only, at import: a command that needs more first calls `environment.enter`.
"""

from __future__ import annotations

import argparse
import io
import os
import sys

from sparsecourse.cli import (
    bench,
    data,
    doctor,
    experiment,
    feedback,
    grade,
    lab,
    notebooks,
    release,
    setup,
    tests,
)
from sparsecourse.cli.requirements import SetupError

COMMANDS = {
    "lab": lab,
    "test": tests,
    "setup": setup,
    "doctor": doctor,
    "data": data,
    "notebooks": notebooks,
    "release": release,
    "grade": grade,
    "feedback": feedback,
    "experiment": experiment,
    "bench": bench,
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    own, passed_on = split_at_dashes(argv)
    parser = argparse.ArgumentParser(
        prog="python3 -m sparsecourse", description=__doc__.splitlines()[0]
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        summary, _, rest = module.__doc__.partition("\n")
        subparser = subparsers.add_parser(name, help=summary, description=summary, epilog=rest)
        module.add_arguments(subparser)
    arguments = parser.parse_args(own)
    arguments.argv, arguments.passed_on = argv, passed_on
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ticks gets question marks
    try:
        return COMMANDS[arguments.command].run(arguments) or 0
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"\n{error.filename or 'The system'}: {error.strerror or error}", file=sys.stderr)
        print("What to do: free the disk, or allow this user to write there.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on from here.", file=sys.stderr)
        return 130


def split_at_dashes(argv: list[str]) -> tuple[list[str], list[str]]:
    """Arguments before and after the first ``--``."""
    if "--" not in argv:
        return argv, []
    at = argv.index("--")
    return argv[:at], argv[at + 1 :]
