from __future__ import annotations

import gzip
import json
import os
import pickle
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pooch
import pytest

import sparsecourse
from sparsecourse.data import DamagedDataError, DataNotFoundError, load
from sparsecourse.data.catalogue import CATALOGUE
from sparsecourse.data.loading import _READERS
from tests.data.fabricated import Terminal, send, use_small

IMAGES = "/mnist/train-images-idx3-ubyte.gz"


def in_cache(cache):
    return sorted(path.name for path in (cache / "mnist").iterdir())


def test_missing_set_is_downloaded_once_and_then_in_the_cache(home, cache, small_mnist, capsys):
    first = load("mnist", offline="digits")
    assert (first.name, first.source) == ("mnist", "download")
    assert in_cache(cache) == sorted(f"{name}.gz" for name in small_mnist)
    assert sorted(home.asked) == sorted(f"/mnist/{name}.gz" for name in small_mnist)
    second = load("mnist")
    assert second.source == "cache"
    assert len(home.asked) == 4
    assert (second.all.X == first.all.X).all()
    assert capsys.readouterr() == ("", "")  # no bar, no path where no terminal shows them


def test_terminal_shows_a_bar_for_each_file_that_comes(home, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    home.answers["/mnist/t10k-labels-idx1-ubyte.gz"].insert(0, 404)
    with pytest.raises(DataNotFoundError):
        load("mnist")
    assert "train-images-idx3-ubyte.gz:   0%" in terminal.getvalue()
    assert "t10k-images-idx3-ubyte.gz:   0%" in terminal.getvalue()
    assert "t10k-labels-idx1-ubyte.gz" not in terminal.getvalue()


def test_downloaded_file_can_be_read_by_all(home, cache):
    load("mnist")
    for path in (cache / "mnist").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o644


def cut_off(handler):
    send(handler, b"\x1f\x8b" + bytes(100), claimed_length=5000)


def test_transfer_that_breaks_off_is_repeated(home, cache):
    home.answers[IMAGES].insert(0, cut_off)
    assert load("mnist").source == "download"
    assert home.asked.count(IMAGES) == 2


@pytest.mark.parametrize(
    ("answer", "times", "said"),
    [
        (cut_off, 3, "IncompleteRead"),
        (gzip.compress(b"other content"), 3, "what it sent is damaged: the SHA-256"),
        (b"<html>Log in to the guest network</html>", 3, "what it sent is damaged"),
        (503, 3, "503"),
        (404, 1, "404"),
    ],
    ids=["cut off", "other content", "log-in page", "503", "404"],
)
def test_bad_answer_leaves_nothing_in_the_cache_and_is_told(home, cache, answer, times, said):
    home.answers[IMAGES] = [answer]
    with pytest.raises(DataNotFoundError, match=r"1\. Set SPARSECOURSE_DATA") as caught:
        load("mnist")
    assert said in str(caught.value)
    assert home.asked == [IMAGES] * times
    assert in_cache(cache) == []


@pytest.mark.parametrize(
    "answer", [404, gzip.compress(b"other content")], ids=["404", "other content"]
)
def test_next_home_is_asked_and_what_is_there_is_kept(
    home, cache, small_mnist, monkeypatch, answer
):
    homes = (f"{home.root}/first/", f"{home.root}/mnist/")
    use_small(monkeypatch, "mnist", small_mnist, homes=homes)
    home.answers["/first/train-images-idx3-ubyte.gz"] = home.answers[IMAGES]
    home.answers["/first/train-labels-idx1-ubyte.gz"] = [answer]
    assert load("mnist").source == "download"
    assert IMAGES not in home.asked
    assert home.asked[-1] == "/mnist/t10k-labels-idx1-ubyte.gz"


def test_no_connection_fails_at_once_and_names_every_home(home, small_mnist, monkeypatch):
    with socket.socket() as closed:  # bound, but not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        use_small(monkeypatch, "mnist", small_mnist, homes=(f"{address}/a/", f"{address}/b/"))
        monkeypatch.setattr(pooch.core.time, "sleep", lambda seconds: pytest.fail("it waits"))
        with pytest.raises(DataNotFoundError) as caught:
            load("mnist")
    assert f"{address}/a/: no connection" in str(caught.value)
    assert f"{address}/b/: no connection" in str(caught.value)
    assert load("mnist", offline="digits").name == "digits"


def test_interrupted_download_leaves_nothing(home, cache):
    def interrupt(bar, n_bytes):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sparsecourse.data.download._Bar.update", interrupt)
        with pytest.raises(KeyboardInterrupt):
            load("mnist")
    assert home.asked == [IMAGES]
    assert in_cache(cache) == []
    assert load("mnist").source == "download"


def test_damaged_file_of_the_cache_is_fetched_anew_and_only_that(home, cache, capsys):
    load("mnist")
    damaged = cache / "mnist" / Path(IMAGES).name
    damaged.write_bytes(damaged.read_bytes()[:-20])
    home.asked.clear()
    assert load("mnist").source == "download"
    assert home.asked == [IMAGES]
    assert capsys.readouterr().out == (
        f"mnist: deleted from the cache, because damaged: {damaged.name}.\n"
    )


def test_cache_that_cannot_be_made_is_told(home, cache):
    cache.write_text("a file is in the way")
    with pytest.raises(DataNotFoundError, match=r"tried last: .*cache"):
        load("mnist")


def test_file_that_another_process_just_removed_is_looked_for_again(home, cache, monkeypatch):
    load("mnist")
    unpack = Path.read_bytes

    def removed_once(path):
        monkeypatch.setattr(Path, "read_bytes", unpack)
        path.unlink()
        return unpack(path)

    monkeypatch.setattr(Path, "read_bytes", removed_once)
    assert load("mnist").name == "mnist"


def test_damaged_file_that_another_process_deleted_first_is_fetched_anew(home, cache, monkeypatch):
    load("mnist")

    def damaged_and_gone(entry, paths):
        patch.undo()
        paths[0].unlink()
        raise DamagedDataError(paths[:1], "as this process saw it")

    with monkeypatch.context() as patch:
        patch.setitem(_READERS, "idx", damaged_and_gone)
        assert load("mnist").source == "download"
    assert len(in_cache(cache)) == 4


LOAD_IN_PROCESS = """
import json, pickle, sys
from sparsecourse.data.catalogue import CATALOGUE
CATALOGUE["mnist"] = pickle.load(open(sys.argv[1], "rb"))
from sparsecourse.data import load
mnist = load("mnist")
print(json.dumps([mnist.source, mnist.all.X.sum().item(), mnist.all.y.tolist()]))
"""


@pytest.mark.parametrize("damaged", [False, True])
def test_two_processes_may_load_at_once(home, cache, tmp_path, damaged):
    if damaged:
        load("mnist")
        (cache / "mnist" / Path(IMAGES).name).write_bytes(b"\x1f\x8b damaged")
        home.asked.clear()
    # The first file is only sent when both have asked for it: the downloads do overlap.
    both = threading.Barrier(2, timeout=30)
    content = home.answers[IMAGES][0]

    def send_to_both(handler):
        both.wait()
        send(handler, content)

    if not damaged:
        home.answers[IMAGES] = [send_to_both]
    entry = tmp_path / "entry.pickle"
    entry.write_bytes(pickle.dumps(CATALOGUE["mnist"]))
    paths = [str(Path(sparsecourse.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LOAD_IN_PROCESS, str(entry)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    printed = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    assert [err for _, err in printed] == ["", ""]
    results = [json.loads(out.splitlines()[-1]) for out, _ in printed]
    assert results[0][1:] == results[1][1:]
    if not damaged:
        assert home.asked.count(IMAGES) == 2
        assert [source for source, *_ in results] == ["download", "download"]
    assert len(in_cache(cache)) == 4
    assert load("mnist").source == "cache"
