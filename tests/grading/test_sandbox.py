"""What there is inside a sandbox, what there is not, and what happens where there is none."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sparsecourse.cli.requirements import ROOT
from sparsecourse.grading import sandbox, scoring, syscalls
from tests.grading import sandboxed
from tests.grading.sandboxed import told

PACKAGE = ROOT / "sparsecourse"
WALK = 60.0  # seconds: through every folder there is, perhaps on a disk that was not read before


@pytest.fixture
def _sandbox(skip_or_fail):
    if reason := sandboxed.why_no_sandbox():
        skip_or_fail(reason)


needs_sandbox = pytest.mark.usefixtures("_sandbox")


@needs_sandbox
def test_the_environment_is_ours_and_holds_nothing_of_the_hosts(monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_INSTRUCTOR", "1")
    assert eval(told("import os\nreturn dict(os.environ)")) == sandbox.VARIABLES | {"PWD": "/tmp"}
    first = told("return open('/proc/1/environ').read() if __import__('os').getuid() < 1e9 else ''")
    assert first in ("", f"PATH={os.defpath}\0")


@needs_sandbox
def test_there_are_no_processes_but_its_own():
    numbers = eval(told("import os\nreturn [n for n in os.listdir('/proc') if n.isdigit()]"))
    assert 2 <= len(numbers) <= 3
    assert max(map(int, numbers)) < 10
    assert told("import os\ntry: os.kill(100, 0)\nexcept OSError: return 'none'") == "none"


@needs_sandbox
def test_there_are_no_folders_but_libraries_and_the_runner():
    """Every file is of a library, of the interpreter, or one of ours."""
    walk = f"""
import os
libraries = {[*sandbox.LIBRARIES, *sandbox.LINKER, sys.prefix, sys.base_prefix]!r}
found = []
for folder, folders, files in os.walk('/'):
    if folder in ('/proc', '/dev') or folder in libraries:
        folders.clear()
        continue
    found += [os.path.join(folder, name) for name in files]
return sorted(found)
"""
    expected = {f"{sandbox.INSIDE}/{name}" for name in sandbox.LAYOUT if name.endswith(".py")}
    data = {
        f"{sandbox.INSIDE}/sparsecourse/data/{path.relative_to(PACKAGE / 'data')}"
        for path in (PACKAGE / "data").rglob("*")
        if path.is_file()
    }
    found = set(eval(told(walk)))
    linker = {name for name in sandbox.LINKER if name in found}
    assert {path for path in found if "__pycache__" not in path} - linker <= expected | data
    assert expected <= found


@needs_sandbox
@pytest.mark.parametrize(
    "path",
    [
        str(ROOT / "solutions"),
        str(ROOT / "exercises"),
        str(ROOT / "tests"),
        str(PACKAGE / "reference"),
        str(PACKAGE / "grading" / "checks.py"),
        str(Path.home() / ".bashrc"),
        "/etc/passwd",
        "/etc/hostname",
        "/bin/sh",
        "/usr/bin",
        "/var",
        "/sys",
        "/run",
        "/home",
        "/dev/sda",
        "/dev/vda",
        "/dev/kmsg",
        "/dev/mem",
    ],
)
def test_what_is_not_shown_does_not_exist(path):
    assert told(f"import os\nreturn os.path.lexists({path!r})") == "False"


@needs_sandbox
@pytest.mark.parametrize("module", ["reference", "functional", "cli", "widgets", "bench"])
def test_the_package_has_no_part_that_answers(module):
    found = f"import importlib.util\nreturn importlib.util.find_spec('sparsecourse.{module}')"
    assert told(found) == "None"
    assert told("import sparsecourse.grading as g\nreturn g.__file__").startswith(sandbox.INSIDE)


@needs_sandbox
def test_no_reference_is_anywhere_on_the_path():
    search = """
import os, sys
return [
    os.path.join(folder, name)
    for place in sys.path
    for folder, _, names in os.walk(place)
    for name in names
    if 'sparsecourse' in folder and os.path.basename(folder) in ('reference', 'functional')
]
"""
    assert told(search, seconds=WALK) == "[]"


@needs_sandbox
def test_only_memory_can_be_written_to_and_not_much_of_it():
    attempt = """
import os
written = []
for folder, folders, _ in os.walk('/'):
    if folder == '/proc' or len(folder.split('/')) > 7:
        folders.clear()
    for name in ('attempt', '__init__.py'):
        try:
            open(os.path.join(folder, name), 'ab').close()
            written.append(folder)
        except OSError:
            pass
    if folder in ('/tmp', '/dev/shm'):
        folders.clear()
return sorted(set(written))
"""
    assert eval(told(attempt, seconds=WALK)) == ["/dev/shm", "/tmp"]
    mounts = [line.split() for line in told("return open('/proc/self/mounts').read()").splitlines()]
    writable = {where for _, where, _, flags, *_ in mounts if "ro" not in flags.split(",")}
    assert {name for name in writable if not name.startswith(("/proc", "/dev/"))} == {"/tmp"}
    size = "import os\ns = os.statvfs({!r})\nreturn s.f_blocks * s.f_frsize"
    assert int(told(size.format("/tmp"))) == sandbox.SCRATCH
    assert int(told(size.format("/dev/shm"))) == sandbox.SCRATCH


@needs_sandbox
def test_there_are_no_privileges_and_none_to_be_had():
    status = told("return open('/proc/self/status').read()")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == int(fields["CapAmb"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert fields["Groups"].split() in ([], [str(os.getgid())])
    assert set(fields["Uid"].split()) != {"0"}
    assert told("import os\ntry: os.setuid(0)\nexcept OSError: return 'no'") == "no"


@needs_sandbox
def test_limits_hold_and_cannot_be_raised():
    read = "import resource as r\nreturn {n: r.getrlimit(getattr(r, 'RLIMIT_' + n)) for n in %r}"
    expected = {name: (bound, bound) for name, bound in sandbox.limits().items()}
    assert eval(told(read % list(expected))) == expected
    for name in expected:
        higher = f"import resource as r\ntry: r.setrlimit(r.RLIMIT_{name}, (-1, -1))\n"
        assert told(higher + "except (OSError, ValueError): return 'no'") == "no"


@needs_sandbox
def test_processes_are_counted_before_one_bomb_can_go_off():
    """No fork bomb: sleepers, forked until that is refused."""
    fork = """
import os, time
made = 0
try:
    while made < 200:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        made += 1
except BlockingIOError:
    pass
return made
"""
    assert 10 < int(told(fork)) <= sandbox.PROCESSES


SOCKETS = """
import socket
reached = []
for family, kind, address in {}:
    try:
        with socket.socket(getattr(socket, family), getattr(socket, kind)) as link:
            link.settimeout(0.5)
            if kind == 'SOCK_DGRAM':
                link.sendto(b'from inside', address)
            else:
                link.connect(address)
                link.send(b'from inside')
            reached.append((family, kind, address))
    except OSError:
        pass
return reached
"""


@needs_sandbox
def test_no_socket_reaches_a_listener_outside(tmp_path):
    with sandboxed.listening(tmp_path) as (addresses, heard):
        # Proof that the listeners hear: the same code, here.
        names: dict = {}
        exec("def reach():\n" + SOCKETS.format(addresses).replace("\n", "\n    "), names)
        assert names["reach"]() == addresses
        for _ in range(100):
            if len(heard) == len(addresses):
                break
            time.sleep(0.02)
        assert heard == [b"from inside"] * len(addresses)
        heard.clear()
        told(SOCKETS.format(addresses))
        time.sleep(0.3)
    assert heard == []


@needs_sandbox
def test_there_is_no_network_but_its_own_loopback():
    assert told("import socket\nreturn socket.if_nameindex()") == "[(1, 'lo')]"
    name = "import socket\ntry: return socket.gethostbyname('example.org')\n"
    assert told(name + "except OSError: return 'unknown'") == "unknown"
    assert told("import socket\nreturn socket.gethostname()") == "sandbox"


@needs_sandbox
def test_the_descriptors_are_the_pipes_alone():
    look = "import os\nreturn [os.readlink(f'/proc/self/fd/{d}') for d in os.listdir('/proc/self/fd')[:-1]]"
    links = eval(
        told(look.replace("return", "links =") + "\nreturn [l.split(':')[0] for l in links]")
    )
    assert sorted(set(links)) == ["/dev/null", "pipe"]
    assert links.count("pipe") == 2


CALLS = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
outcomes = []
for arguments in {}:
    libc.syscall(*arguments)
    outcomes.append(errno.errorcode[ctypes.get_errno()])
return outcomes
"""


@needs_sandbox
def test_calls_that_no_exercise_needs_are_refused(skip_or_fail):
    machine = os.uname().machine
    if machine not in syscalls.MACHINES:
        skip_or_fail(f"no filter for {machine}")
    column = list(syscalls.MACHINES).index(machine)
    calls = [(numbers[column], 0, 0, 0, 0, 0) for numbers in syscalls.REFUSED.values()]
    calls.append((syscalls.CLONE[column], syscalls.NEW_USER | signal.SIGCHLD, 0, 0, 0, 0))
    assert eval(told(CALLS.format(calls))) == ["EPERM"] * len(calls)
    assert eval(told(CALLS.format([(syscalls.CLONE3, 0, 0)]))) == ["ENOSYS"]
    assert told("import threading as t\nw = t.Thread(target=int)\nw.start()\nreturn w.join()")


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_the_filter_decides_as_it_should_on_every_machine(machine):
    """Run the program as the kernel would."""
    program = syscalls.filter_program(machine)
    steps = list(struct.iter_unpack("=HBBI", program))
    column = list(syscalls.MACHINES).index(machine)

    def decide(number: int, flags: int = 0, on: int = syscalls.MACHINES[machine]) -> int:
        data = struct.pack("=IIQ6Q", number, on, 0, flags, 0, 0, 0, 0, 0)
        at, loaded = 0, None
        while True:
            operation, yes, no, operand = steps[at]
            at += 1
            if operation == syscalls.LOAD:
                (loaded,) = struct.unpack_from("=I", data, operand)
            elif operation == syscalls.RETURN:
                return operand
            else:
                holds = {
                    syscalls.EQUAL: loaded == operand,
                    syscalls.AT_LEAST: loaded >= operand,
                    syscalls.HAS_BIT: bool(loaded & operand),
                }[operation]
                at += yes if holds else no

    refused = {numbers[column] for numbers in syscalls.REFUSED.values()}
    for number in range(600):
        if number in refused:
            assert decide(number) == syscalls.FAIL | errno.EPERM
        elif number == syscalls.CLONE3:
            assert decide(number) == syscalls.FAIL | errno.ENOSYS
        else:
            assert decide(number) == syscalls.ALLOW
    clone = syscalls.CLONE[column]
    assert decide(clone, flags=signal.SIGCHLD) == syscalls.ALLOW
    assert decide(clone, flags=syscalls.NEW_USER) == syscalls.FAIL | errno.EPERM
    assert decide(syscalls.SECOND_NUMBERS + 1) == syscalls.FAIL | errno.ENOSYS
    assert decide(1, on=0x40000003) == syscalls.KILL


def test_a_machine_that_is_not_known_has_no_filter():
    assert syscalls.filter_program("abacus") is None
    assert "--seccomp" not in sandbox.command()
    assert "--seccomp" in sandbox.command(refused=7)


@needs_sandbox
def test_keys_of_whoever_grades_are_not_to_be_read():
    code = """
import ctypes
libc = ctypes.CDLL(None)
libc.syscall({keyctl}, 1, b"of-a-test")
libc.syscall({add_key}, b"user", b"ticket", b"secret", 6, -3)
import sys
sys.path.insert(0, {root!r})
from tests.grading.sandboxed import told
print(told('''
import ctypes
libc = ctypes.CDLL(None)
found = libc.syscall({keyctl}, 10, -3, b"user", b"ticket", 0)
try:
    listed = open("/proc/keys").read()
except OSError:
    listed = ""
return found, listed
'''))
"""
    machine = os.uname().machine
    column = list(syscalls.MACHINES).index(machine)
    numbers = {name: syscalls.REFUSED[name][column] for name in ("keyctl", "add_key")}
    # In a process of its own: a session's keys are there for all that it starts.
    ended = subprocess.run(
        [sys.executable, "-c", code.format(root=str(ROOT), **numbers)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert ended.stdout.strip() == "(-1, '')", ended.stderr


@needs_sandbox
def test_hidden_folders_and_files_are_empty(tmp_path):
    scipy = next(Path(sys.prefix).rglob("site-packages/scipy/__init__.py")).parent
    folder, file = scipy / "stats", scipy / "version.py"
    look = f"""
import os
seen = [os.listdir({str(folder)!r}), os.path.getsize({str(file)!r})]
for name in ({str(folder / "new")!r}, {str(file)!r}):
    try:
        open(name, 'a')
        seen.append('written')
    except OSError:
        pass
return seen
"""
    names, size = eval(told(look, hidden=(tmp_path,)))
    assert names
    assert size
    assert eval(told(look, hidden=(folder, file, tmp_path))) == [[], 0]


def test_hidden_folders_are_covered_wherever_they_are_shown(monkeypatch, tmp_path):
    environment, link = tmp_path / "environment", tmp_path / "link"
    for name in ("site/sparsecourse", "gradebook"):
        (environment / name).mkdir(parents=True)
    (environment / "class.zip").touch()
    link.symlink_to(environment)
    for name in ("prefix", "exec_prefix"):
        monkeypatch.setattr(sys, name, str(link))
    monkeypatch.setattr(sys, "path", [*sys.path, str(link / "site")])
    outside = tmp_path / "outside"
    hidden = (environment / "gradebook", environment / "class.zip", outside)
    command = " ".join(sandbox.command(hidden))
    shown = command.index(f"--ro-bind {link} {link} ")
    for folder in (link / "site" / "sparsecourse", link / "gradebook"):
        assert command.index(f"--tmpfs {folder} --remount-ro {folder} ") > shown
    assert command.index(f"--ro-bind {os.devnull} {link / 'class.zip'} ") > shown
    assert str(outside) not in command


def refused() -> str:
    with pytest.raises(sandbox.Refused) as caught:
        scoring.probe()
    message = str(caught.value)
    assert sandbox.INSTRUCTIONS in message
    for advice in ("apt install bubblewrap", "WSL2", "macOS", "--unsafe-no-sandbox"):
        assert advice in message
    return message


def test_without_bubblewrap_nothing_is_run(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "not installed" in refused()


FAKES = {
    "refuses": (
        "echo 'bwrap: No permissions to create a new namespace' >&2; exit 1",
        "does not start: bwrap: No permissions to create a new namespace",
    ),
    "ends": ("exit 0", "does not start: it ended without a word"),
    "hangs": ("exec sleep 60", "does not start: it ended without a word"),
    "says nonsense": ("echo nonsense; exit 0", "does not start: it ended without a word"),
    "lies": (
        """echo '{"cell": 0}'; echo '{"function": "probe"}'; echo '{"done": true}'""",
        "does not work",
    ),
}


@pytest.mark.parametrize("kind", FAKES)
def test_where_bubblewrap_does_not_work_nothing_is_run(kind, monkeypatch, tmp_path):
    does, says = FAKES[kind]
    fake = tmp_path / "bwrap"
    fake.write_text(f"#!/bin/sh\n{does}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(scoring, "START_SECONDS", 1)
    assert says in refused()


@needs_sandbox
def test_the_probe_finds_a_sandbox_that_works():
    scoring.probe()


def test_where_we_are_root_the_runner_becomes_nobody(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert sandbox.user() >= sandbox.USERS
    assert "--unshare-user" not in sandbox.command()
    assert sandbox.limits()["NPROC"] == sandbox.PROCESSES
    for namespace in ("ipc", "net", "pid", "uts"):
        assert f"--unshare-{namespace}" in sandbox.command()


def test_where_we_are_not_root_there_is_a_user_namespace_and_no_other_inside(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert sandbox.user() is None
    command = sandbox.command()
    assert {"--unshare-all", "--unshare-user", "--disable-userns"} <= set(command)
    assert not {"--cap-add"} & set(command)


@pytest.mark.parametrize(
    ("release", "counted"), [("6.1.0-13-amd64", 0), ("5.14.0", 0), ("5.10.0-28", 1), ("4.18", 1)]
)
def test_processes_of_the_user_count_on_older_kernels(release, counted, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sandbox.platform, "release", lambda: release)
    assert (sandbox.limits()["NPROC"] > sandbox.PROCESSES) == bool(counted)


GRADER = """
import sys
sys.path.insert(0, {root!r})
from sparsecourse.grading import scoring
print("ready", flush=True)
cell = '''
import os, time
os.fork()
while True:
    time.sleep(1)
'''
scoring.answer(scoring.Job([cell], {{"f": [{{"x": 1}}]}}, 60.0))
"""


@needs_sandbox
def test_a_grader_that_is_killed_leaves_no_process():
    def of(parent: int) -> set[tuple[str, str]]:
        found = set()
        for name, start in sandboxed.sandboxed_processes():
            try:
                above = (Path("/proc") / name / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if int(above) == parent:
                found |= {(name, start)} | of(int(name))
        return found

    grader = subprocess.Popen(
        [sys.executable, "-c", GRADER.format(root=str(ROOT))], stdout=subprocess.PIPE, cwd=ROOT
    )
    try:
        assert grader.stdout.readline() == b"ready\n"
        for _ in range(200):
            inside = of(grader.pid)
            if len(inside) >= 4:
                break
            time.sleep(0.05)
        assert len(inside) >= 4, inside  # bubblewrap twice, the runner, its child
    finally:
        grader.kill()
        grader.wait()
        grader.stdout.close()
    sandboxed.assert_gone(inside, sandboxed.sandboxed_processes)


@needs_sandbox
def test_all_inside_is_gone_at_once_when_the_block_is_left():
    with sandbox.started() as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        for _ in range(200):
            if inside := children.read_text().split():
                break
            time.sleep(0.02)
        assert inside
    assert not any(Path(f"/proc/{number}").exists() for number in inside)


def test_unprotected_has_a_folder_of_its_own_and_no_variable_of_ours(monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_INSTRUCTOR", "1")
    text = told("import os\nreturn dict(os.environ), os.getcwd()", protected=False)
    environment, folder = eval(text)
    assert environment.keys() - {"LC_CTYPE"} == sandbox.VARIABLES.keys()
    assert environment["HOME"] == folder
    assert not Path(folder).exists()


def test_bubblewrap_is_found_by_our_path_not_by_the_default():
    assert sandbox.command()[0] == (shutil.which("bwrap") or "bwrap")
