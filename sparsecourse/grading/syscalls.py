"""Calls to the kernel that are refused in a sandbox, as a program that the kernel runs (seccomp).

Namespaces and limits do not cover everything: a process holds the keys of the one that started it
(Kerberos tickets, for example), and in a user namespace of its own it has every privilege and so
reaches parts of the kernel that are seldom looked at. No exercise needs what is refused here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import struct
from collections.abc import Iterator

# Name of a machine -> its number for the kernel. The calls' numbers below are in this order.
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
REFUSED = {
    "unshare": (272, 97),
    "setns": (308, 268),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
}
CLONE = (56, 220)  # refused with the flag that makes a user namespace
NEW_USER = 0x10000000
CLONE3 = 435  # hides its flags; the C library uses clone where it is missing
SECOND_NUMBERS = 0x40000000  # from here on, x86_64 has other numbers for the same calls

# Operations of the filter's language, where it finds what was called, and what it may decide.
LOAD, EQUAL, AT_LEAST, HAS_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
CALL, MACHINE, FIRST_ARGUMENT = 0, 4, 16
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000


@contextlib.contextmanager
def refused() -> Iterator[int | None]:
    """Open the program, to be handed to bubblewrap.

    Yields
    ------
    descriptor : int or None
        None on a machine whose numbers are not known here.
    """
    program = filter_program(platform.machine())
    if program is None:
        yield None
        return
    reading, writing = os.pipe()
    try:
        os.write(writing, program)
        os.close(writing)
        yield reading
    finally:
        os.close(reading)


def filter_program(machine: str) -> bytes | None:
    """The filter for a machine as `platform.machine` names it; None if it is not known."""
    if machine not in MACHINES:
        return None
    column = list(MACHINES).index(machine)
    steps = [_step(LOAD, MACHINE), _step(EQUAL, MACHINES[machine], yes=1), _step(RETURN, KILL)]
    steps += [_step(LOAD, CALL)]
    steps += [_step(AT_LEAST, SECOND_NUMBERS, no=1), _step(RETURN, FAIL | errno.ENOSYS)]
    steps += [_step(EQUAL, CLONE3, no=1), _step(RETURN, FAIL | errno.ENOSYS)]
    for numbers in REFUSED.values():
        steps += [_step(EQUAL, numbers[column], no=1), _step(RETURN, FAIL | errno.EPERM)]
    steps += [_step(EQUAL, CLONE[column], no=3), _step(LOAD, FIRST_ARGUMENT)]
    steps += [_step(HAS_BIT, NEW_USER, no=1), _step(RETURN, FAIL | errno.EPERM)]
    return b"".join([*steps, _step(RETURN, ALLOW)])


def _step(operation: int, operand: int, yes: int = 0, no: int = 0) -> bytes:
    """One instruction; `yes` and `no` are how many to skip after a comparison."""
    return struct.pack("=HBBI", operation, yes, no, operand)
