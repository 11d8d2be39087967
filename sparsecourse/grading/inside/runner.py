"""Run a student's cells, call each function on its inputs, write down what comes back.

A script, started inside the sandbox with a job, a line of JSON, on its standard input; the inputs
of a function follow, a line each, when its turn comes. It answers with lines of JSON on its
standard output: which step begins, and what became of it. Nobody trusts these lines: a student's
code runs in this very process and may write what it likes. It can spoil its own answers that way
and nothing else, for nothing else is here.

Each function is called in a process of its own, forked from this one after the cells ran: one that
exits, loops or eats memory loses its own points only.
"""

import builtins
import os
import resource
import sys
import types
from _signal import (  # what `signal` wraps: a student's code may replace the wrappers
    SIG_BLOCK,
    SIG_DFL,
    SIG_IGN,
    SIG_UNBLOCK,
    SIGKILL,
    SIGPIPE,
    SIGSTOP,
    SIGXFSZ,
    pthread_sigmask,
    setitimer,
    signal,
    valid_signals,
)
from collections.abc import Callable
from contextlib import suppress
from json import dumps, loads
from os import _exit, dup, dup2, fork, getpid, kill, killpg, open, set_blocking, waitpid, write
from pathlib import Path
from time import monotonic, sleep

import wire
from numpy import errstate, ndarray

# A student's code may replace builtins: functions defined from here on keep these.
__builtins__ = dict(vars(builtins))

settrace, setprofile = sys.settrace, sys.setprofile
encode, decode = wire.encode, wire.decode
SIGNALS = valid_signals() - {SIGKILL, SIGSTOP}
TIMERS = (0, 1, 2)  # real, virtual, profiling
IGNORED = {SIGPIPE, SIGXFSZ}  # as Python has them
PYTHON_MAGICS = {"capture", "prun", "time", "timeit"}  # what follows them in a cell is Python


class Shell:
    """Stands for `get_ipython()`: takes everything, does nothing but run a cell's Python."""

    def __init__(self, names: dict) -> None:
        self._names = names

    def run_cell_magic(self, magic: str, line: str, body: str) -> None:
        if magic in PYTHON_MAGICS:
            exec(compiled(body), self._names)

    def __getattr__(self, name: str) -> "Shell":
        return self

    def __call__(self, *arguments: object, **options: object) -> None:
        return None


def main() -> None:
    inputs = os.fdopen(dup(0), "rb")
    answers = dup(1)
    job = loads(inputs.readline())
    alone = job["alone"]
    confine(job["limits"], job["user"])
    nothing = open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        dup2(nothing, descriptor)

    def tell(**about: object) -> None:
        # A process that was killed may have left half a line: this one begins anew.
        line = f"\n{dumps(about)}\n".encode()
        set_blocking(answers, True)  # forked processes share this, and may have changed it
        while line:
            line = line[write(answers, line) :]

    student = types.ModuleType("__main__")
    names = student.__dict__
    shell = Shell(names)
    names.update(get_ipython=lambda: shell, display=print)
    sys.modules["__main__"] = student
    runner = getpid()
    for number, source in job["cells"]:
        tell(cell=number)
        error = run_cell(source, names)
        if getpid() != runner:  # the cell forked, and this is its child
            _exit(0)
        tell(cell=number, error=error)
    if alone:
        end_all_others()
    for name in job["functions"]:
        tell(function=name)
        set_blocking(inputs.fileno(), True)
        cases = loads(inputs.readline())
        if callable(names.get(name)):
            end = in_a_process_of_its_own(
                lambda name=name, cases=cases: call(
                    names[name], cases, lambda **about: tell(function=name, **about)
                ),
                job["seconds"],
                alone,
            )
        else:
            end = "missing"
        tell(function=name, end=end)
    tell(done=True)
    _exit(0)  # no atexit handler of a student's


def confine(limits: dict[str, int], user: int | None) -> None:
    """Give up what is left of privileges, and set limits that cannot be raised again."""
    # Where the memory of all processes together is not bounded: these are to be ended first.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    for name, bound in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (bound, bound))


def run_cell(source: str, names: dict) -> str | None:
    """Run one cell; the name of the exception that ended it, or None."""
    error = None
    try:
        pthread_sigmask(SIG_UNBLOCK, SIGNALS)
        names["__builtins__"] = builtins
        exec(compiled(source), names)
    except BaseException as problem:  # also SystemExit and KeyboardInterrupt: the next cell runs
        error = type(problem).__name__
    disarm()
    return error


def compiled(source: str) -> types.CodeType:
    """A cell as code; what only Jupyter understands is translated first."""
    try:
        return compile(source, "<cell>", "exec")
    except SyntaxError:
        from IPython.core.inputtransformer2 import TransformerManager

        return compile(TransformerManager().transform_cell(source), "<cell>", "exec")


def disarm() -> None:
    """Take back what a cell may have set to disturb those after it."""
    settrace(None)
    setprofile(None)
    vars(builtins).update(__builtins__)
    pthread_sigmask(SIG_BLOCK, SIGNALS)
    for timer in TIMERS:
        setitimer(timer, 0)
    for number in SIGNALS:
        signal(number, SIG_IGN)  # drops what is pending
        signal(number, SIG_IGN if number in IGNORED else SIG_DFL)


def call(function: Callable, cases: list[dict], tell: Callable) -> None:
    """Call a student's function on every case; tell each result before the next call."""
    for number, inputs in enumerate(cases):
        given = {name: decode(value) for name, value in inputs.items()}
        try:
            with errstate(all="ignore"):
                got = function(**given)
            result = {"value": encode(got)}
        except BaseException as error:
            result = {"raised": type(error).__name__}
        for name, value in inputs.items():
            was, now = decode(value), given[name]
            if isinstance(was, ndarray) and (was.shape, was.tobytes()) != (
                now.shape,
                now.tobytes(),
            ):
                result = {"changed": name}
        tell(case=number, **result)


def in_a_process_of_its_own(work: Callable[[], None], seconds: float, alone: bool) -> str:
    """Fork, work there, wait; "done", or why it did not come to its end."""
    try:
        child = fork()
    except OSError:
        return "no process"
    if child == 0:
        try:
            if not alone:
                os.setsid()
            pthread_sigmask(SIG_UNBLOCK, SIGNALS)
            work()
            _exit(0)
        finally:
            _exit(1)
    deadline = monotonic() + seconds
    pause, end = 0.0005, "time"
    while monotonic() < deadline:
        ended, status = waitpid(child, os.WNOHANG)
        if ended:
            end = "done" if status == 0 else "died"
            break
        sleep(pause)
        pause = min(2 * pause, 0.02)
    if alone:
        end_all_others()
    else:
        end_group(child)
    return end


def end_all_others() -> None:
    """End every process of the sandbox but this one and the first."""
    # Outside a sandbox, where numbers are large, -1 would mean every process of the user.
    if getpid() < 10:
        with suppress(ProcessLookupError):
            kill(-1, SIGKILL)
        with suppress(ChildProcessError):
            while True:
                waitpid(-1, 0)


def end_group(leader: int) -> None:
    """End a function's process and what it started, as far as that can be told."""
    with suppress(OSError):
        killpg(leader, SIGKILL)
    with suppress(ChildProcessError):  # it was waited for
        waitpid(leader, 0)


if __name__ == "__main__":
    main()
