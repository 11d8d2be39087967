"""Control groups: real where the system lets us, and as made of folders elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sparsecourse.grading import cgroup, sandbox
from tests.grading import sandboxed

MEGABYTE = 2**20


@pytest.fixture
def tree(monkeypatch, tmp_path):
    """Make a tree of groups of folders, given which groups are ours."""
    really_remove = Path.rmdir

    def rmdir(path: Path) -> None:  # a group's files go with it
        for file in path.glob("*"):
            file.unlink()
        really_remove(path)

    def make(ours: str) -> Path:
        (tmp_path / "ours").write_text(ours)
        monkeypatch.setattr(cgroup, "OURS", tmp_path / "ours")
        monkeypatch.setattr(cgroup, "ROOT", tmp_path)
        monkeypatch.setattr(Path, "rmdir", rmdir)
        return tmp_path

    return make


def version_2(tree, controllers: str) -> Path:
    root = tree("0::/user.slice/terminal.scope\n")
    (root / "user.slice" / "terminal.scope").mkdir(parents=True)
    (root / "user.slice" / "cgroup.subtree_control").write_text(controllers)
    return root / "user.slice"


def version_1(tree) -> Path:
    root = tree("4:memory:/\n3:cpu,cpuacct:/\n2:pids:/jobs\n0::/\n")
    (root / "memory").mkdir()
    (root / "pids" / "jobs").mkdir(parents=True)
    return root


def contents(group: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in group.iterdir()}


@pytest.fixture
def real():
    if not sandboxed.has_groups():  # a system may lack them, and grading does without
        pytest.skip("no control group is to be had here")


def run(prefix: list[str], code: str) -> subprocess.CompletedProcess:
    return subprocess.run([*prefix, sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.usefixtures("real")
def test_memory_of_all_processes_together_is_bounded():
    code = """
import os, signal
children = []
for _ in range(3):
    reading, writing = os.pipe()
    children.append(os.fork())
    if children[-1] == 0:
        kept = b'1' * (30 * 2**20)
        os.write(writing, b'1')
        signal.pause()
    os.close(writing)
    os.read(reading, 1)
alive = [child for child in children if os.waitpid(child, os.WNOHANG)[0] == 0]
print(len(alive), flush=True)
for child in alive:
    os.kill(child, signal.SIGKILL)
"""
    with cgroup.bounded(200 * MEGABYTE, 10) as prefix:
        assert run(prefix, code).stdout == "3\n"
    with cgroup.bounded(80 * MEGABYTE, 10) as prefix:
        assert run(prefix, code).stdout != "3\n"


@pytest.mark.usefixtures("real")
def test_files_in_memory_count():
    code = f"""
import os
try:
    os.write(os.memfd_create('flood'), bytes({100 * MEGABYTE}))
except OSError:
    os._exit(1)
"""
    with cgroup.bounded(300 * MEGABYTE, 10) as prefix:
        assert run(prefix, code).returncode == 0
    with cgroup.bounded(80 * MEGABYTE, 10) as prefix:
        assert run(prefix, code).returncode != 0


@pytest.mark.usefixtures("real")
def test_the_number_of_processes_is_bounded():
    code = """
import os, time
made = 0
try:
    while made < 50:
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)
        made += 1
except BlockingIOError:
    pass
print(made, flush=True)
os.killpg(0, 9)
"""
    with cgroup.bounded(500 * MEGABYTE, 10) as prefix:
        command = [*prefix, sys.executable, "-c", code]
        ended = subprocess.run(command, capture_output=True, text=True, start_new_session=True)
    assert int(ended.stdout) == 9


@pytest.mark.usefixtures("real")
def test_a_group_is_gone_afterwards_even_if_it_was_full():
    with cgroup.bounded(10**9, 30) as prefix:
        groups = [Path(word) for word in prefix[2].split('"') if word.startswith("/")]
        groups = [group.parent for group in groups]
        assert all(group.is_dir() for group in groups)
        run(prefix, "held = b'1' * 5 * 10**8")
    assert not any(group.exists() for group in groups)


def test_version_2_is_bounded_beside_our_own_group(tree):
    slice_ = version_2(tree, "cpu memory pids\n")
    with cgroup.bounded(1000, 7) as prefix:
        (group,) = slice_.glob("sparsecourse-*")
        assert f'echo $$ > "{group}/cgroup.procs"' in prefix[2]
        assert contents(group) == {"memory.max": "1000", "pids.max": "7"}
    assert not group.exists()


def test_memory_is_not_continued_in_swap(tree, monkeypatch):
    slice_ = version_2(tree, "cpu memory pids\n")
    made = Path.mkdir

    def mkdir(path: Path) -> None:
        made(path)
        (path / "memory.swap.max").write_text("max")

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with cgroup.bounded(1000, 7):
        (group,) = slice_.glob("sparsecourse-*")
        assert contents(group)["memory.swap.max"] == "0"


def test_version_1_has_a_group_for_each_controller(tree):
    root = version_1(tree)
    with cgroup.bounded(1000, 7) as prefix:
        (memory,) = root.glob("memory/sparsecourse-*")
        (pids,) = root.glob("pids/jobs/sparsecourse-*")
        assert all(f'echo $$ > "{group}/cgroup.procs"' in prefix[2] for group in (memory, pids))
        assert contents(memory) == {"memory.limit_in_bytes": "1000"}
        assert contents(pids) == {"pids.max": "7"}
    assert not memory.exists()
    assert not pids.exists()


def test_the_shell_enters_the_groups_and_becomes_the_command(tree):
    root = version_1(tree)
    with cgroup.bounded(1000, 7) as prefix:
        process = subprocess.Popen(
            [*prefix, "echo", "a b", "$c"], stdout=subprocess.PIPE, text=True
        )
        assert process.communicate()[0] == "a b $c\n"
        for group in root.glob("**/sparsecourse-*"):
            assert contents(group)["cgroup.procs"] == f"{process.pid}\n"


@pytest.mark.parametrize("controllers", ["", "cpu io\n", "memory\n"])
def test_without_both_controllers_there_is_none(tree, controllers):
    slice_ = version_2(tree, controllers)
    with cgroup.bounded(1000, 7) as prefix:
        assert prefix == []
    assert not list(slice_.glob("sparsecourse-*"))


def test_where_we_are_at_the_root_of_what_we_see_there_is_none(tree):
    tree("0::/\n")
    with cgroup.bounded(1000, 7) as prefix:
        assert prefix == []


def test_where_the_system_has_no_groups_there_is_none(tree, monkeypatch, tmp_path):
    monkeypatch.setattr(cgroup, "OURS", tmp_path / "missing")
    with cgroup.bounded(1000, 7) as prefix:
        assert prefix == []


def test_half_a_bound_is_none(tree):
    root = version_1(tree)
    (root / "pids" / "jobs").rmdir()
    with cgroup.bounded(1000, 7) as prefix:
        assert prefix == []
        assert not list(root.glob("memory/sparsecourse-*"))


def test_where_no_group_may_be_made_there_is_none(tree, monkeypatch):
    version_2(tree, "memory pids\n")

    def refuse(path: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "mkdir", refuse)
    with cgroup.bounded(1000, 7) as prefix:
        assert prefix == []


def test_what_a_killed_grader_left_is_removed_when_it_is_old(tree):
    slice_ = version_2(tree, "memory pids\n")
    old, young = slice_ / "sparsecourse-1-old", slice_ / "sparsecourse-1-young"
    other = slice_ / "another.scope"
    for group in (old, young, other):
        group.mkdir()
    for group in (old, other):
        os.utime(group, times=(0, time.time() - 2 * cgroup.OLD))
    with cgroup.bounded(1000, 7):
        assert not old.exists()
        assert young.exists()
        assert other.exists()


@pytest.mark.usefixtures("real")
def test_a_sandbox_is_in_a_group_of_its_own():
    with sandbox.started() as process:
        for _ in range(100):
            ours = Path(f"/proc/{process.pid}/cgroup").read_text()
            if f"sparsecourse-{os.getpid()}-" in ours:
                return
            time.sleep(0.05)
    raise AssertionError(ours)
