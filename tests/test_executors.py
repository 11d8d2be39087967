"""Many jobs: on processes of this machine and on a Dask cluster, with workers that are killed."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from dask.distributed import LocalCluster

from sparsecourse import executors
from sparsecourse.cli.requirements import ROOT


def square(number):
    if number < 0:
        raise ValueError(f"{number} < 0")
    return number**2


def kill_own_worker_once(folder, number):
    """Kill the process that runs this, the first time that it is asked for `number` == 3."""
    mark = Path(folder, "killed")
    if number == 3 and not mark.exists():
        mark.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    with Path(folder, f"done_{number}").open("a") as file:
        file.write("x")
    return number


def kill_own_worker_always(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_every_task_comes_back_with_its_result_or_its_exception():
    opened = partial(executors.local, 2)
    found = dict(executors.finished(opened, square, [1, -2, 3], in_flight=2))
    assert (found[1], found[3]) == (1, 9)
    assert isinstance(found[-2], ValueError)


def test_no_task_is_read_before_there_is_room_for_it():
    read = []

    def tasks():
        for number in range(6):
            read.append(number)
            yield number

    for number, (_task, _result) in enumerate(
        executors.finished(partial(executors.local, 1), square, tasks(), in_flight=2)
    ):
        assert len(read) <= number + 3  # those given back, and two in flight


def test_tasks_of_a_killed_worker_are_tried_again(tmp_path):
    opened = partial(executors.local, 2)
    work = partial(kill_own_worker_once, str(tmp_path))
    found = dict(executors.finished(opened, work, range(8), in_flight=4))
    assert found == {number: number for number in range(8)}


def test_a_task_that_kills_every_worker_is_given_up_and_takes_no_other_with_it():
    opened = partial(executors.local, 2)
    found = dict(executors.finished(opened, kill_own_worker_always, range(6), in_flight=4))
    killer = found.pop(3)
    assert isinstance(killer, executors.BrokenExecutor)
    assert found == {number: number for number in (0, 1, 2, 4, 5)}


def test_workers_end_when_their_parent_is_killed(tmp_path):
    code = (
        "import os, time\n"
        "from functools import partial\n"
        "from sparsecourse import executors\n"
        "if __name__ == '__main__':\n"
        "    with executors.local(1) as pool:\n"
        "        print(pool.submit(os.getpid).result(), flush=True)\n"
        "        time.sleep(60)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    parent = subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{worker}").exists()


def test_a_dask_cluster_takes_the_same_work():
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
        opened = partial(executors.dask, cluster.scheduler_address)
        found = dict(executors.finished(opened, square, [1, -2, 3], in_flight=2))
    assert (found[1], found[3]) == (1, 9)
    assert isinstance(found[-2], ValueError)


def test_what_is_no_address_is_refused_at_once():
    with (
        pytest.raises(executors.NoScheduler, match="'nonsense' is no address"),
        executors.dask("nonsense"),
    ):
        pass


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(executors, "SECONDS_TO_CONNECT", 0.5)
    with (
        pytest.raises(executors.NoScheduler, match=r"no Dask scheduler answers at tcp://127\.0"),
        executors.dask("tcp://127.0.0.1:9"),
    ):
        pass
