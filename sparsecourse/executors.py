"""Run many independent jobs: on the processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from itertools import islice
from typing import Any, TypeVar

Task = TypeVar("Task")
ATTEMPTS = 3
SECONDS_TO_CONNECT = 10


class NoScheduler(Exception):  # noqa: N818
    """The Dask scheduler does not answer; the message says where it was looked for."""


@contextlib.contextmanager
def local(workers: int) -> Iterator[Executor]:
    """Processes of this machine; none outlives the one that asked for them.

    Parameters
    ----------
    workers : int, >= 1
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextlib.contextmanager
def dask(address: str) -> Iterator[Executor]:
    """The workers of a Dask cluster, which must have this package installed.

    Parameters
    ----------
    address : str
        Of the scheduler, such as ``tcp://127.0.0.1:8786``.

    Raises
    ------
    NoScheduler
        If nothing answers there, or the address is none.
    """
    if not re.match(r"\w+://\S+:\d+", address):
        raise NoScheduler(
            f"{address!r} is no address of a Dask scheduler, such as tcp://127.0.0.1:8786"
        )
    from dask.distributed import Client

    try:
        client = Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise NoScheduler(
            f"no Dask scheduler answers at {address} ({error}); "
            "start one with `dask scheduler`, and workers with `dask worker ADDRESS`"
        ) from error
    with client:
        yield client.get_executor(pure=False)


def finished(
    opened: Callable[[], contextlib.AbstractContextManager[Executor]],
    function: Callable[[Task], Any],
    tasks: Iterable[Task],
    in_flight: int,
) -> Iterator[tuple[Task, Any]]:
    """Call `function` on every task; give each with its result as soon as it is there.

    A worker that is killed takes the tasks in flight with it: those are tried again.

    Parameters
    ----------
    opened : callable
        Gives an executor as a context manager, a new one each time: `local` or `dask`.
    function : callable
        Importable by the workers.
    tasks : iterable
        Read as they are needed.
    in_flight : int
        How many are held in memory at once.

    Yields
    ------
    task, result : tuple
        The result is an exception where the function raised one, or where its worker was killed
        `ATTEMPTS` times.
    """
    waiting = ((task, 1) for task in tasks)
    suspects: list[tuple[Task, int]] = []  # they ran when a worker was killed: each goes alone
    while True:
        alone = bool(suspects)
        running: dict[Future, tuple[Task, int]] = {}
        try:
            with opened() as executor:
                source = _drained(suspects) if alone else waiting
                yield from _round(executor, function, source, 1 if alone else in_flight, running)
        except BrokenExecutor as error:
            for task, attempts in running.values():
                if attempts < ATTEMPTS:
                    suspects.append((task, attempts + 1))
                else:
                    yield task, error
        except CancelledError as error:
            raise NoScheduler("the Dask scheduler went away") from error
        else:
            if not alone:
                return


def _round(
    executor: Executor,
    function: Callable[[Task], Any],
    source: Iterator[tuple[Task, int]],
    in_flight: int,
    running: dict[Future, tuple[Task, int]],
) -> Iterator[tuple[Task, Any]]:
    """All of `source`; when a worker is killed, `running` holds what was under way."""
    while True:
        for due in islice(source, in_flight - len(running)):
            submitting: Future = Future()
            running[submitting] = due
            future = executor.submit(function, due[0])
            running[future] = running.pop(submitting)
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            error = future.exception()
            if isinstance(error, BrokenExecutor):
                raise error
            task, _ = running.pop(future)
            yield task, future.result() if error is None else error


def _drained(items: list[tuple[Task, int]]) -> Iterator[tuple[Task, int]]:
    while items:
        yield items.pop()


def _end_with_parent() -> None:
    """A parent that is killed cannot tell its workers to end: they watch it themselves."""

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
