"""No test here reaches the outside network: homes are 127.0.0.1, or the network is refused."""

from __future__ import annotations

import gzip
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pooch.core
import pytest

from sparsecourse.data.catalogue import find
from tests.data.fabricated import send, small_idx_set, use_small

REAL_FOLDERS = os.environ.get("SPARSECOURSE_DATA", "")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, no data folder, no network."""
    monkeypatch.setenv("SPARSECOURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SPARSECOURSE_DATA", raising=False)
    monkeypatch.setenv("SPARSECOURSE_OFFLINE", "1")
    return tmp_path / "cache"


@pytest.fixture
def real(monkeypatch):
    """A function that returns the paths of a real data set, or skips the test."""
    monkeypatch.setenv("SPARSECOURSE_DATA", REAL_FOLDERS)

    def paths_of(name):
        paths = find(name)
        if paths is None:
            pytest.skip(
                f"{name} is in no folder of SPARSECOURSE_DATA ({REAL_FOLDERS or 'not set'})"
            )
        return paths

    return paths_of


@pytest.fixture
def small_mnist(monkeypatch):
    """A set of 40 images under the name of MNIST: its uncompressed files."""
    contents = small_idx_set(seed=1)
    use_small(monkeypatch, "mnist", contents)
    return contents


@pytest.fixture
def home(small_mnist, monkeypatch):
    """A local public home of the small MNIST, the network allowed, and pooch not waiting.

    ``home.answers`` maps a path to a list of answers, the last of which is repeated: bytes to
    send, a status, or a function of the request handler. ``home.asked`` are the requested paths.
    """
    answers = {
        f"/mnist/{name}.gz": [gzip.compress(content)] for name, content in small_mnist.items()
    }
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            queue = answers.get(self.path, [404])
            answer = queue.pop(0) if len(queue) > 1 else queue[0]
            if callable(answer):
                answer(self)
            elif isinstance(answer, int):
                self.send_error(answer)
            else:
                send(self, answer)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    root = f"http://127.0.0.1:{server.server_port}"
    use_small(monkeypatch, "mnist", small_mnist, homes=(f"{root}/mnist/",))
    monkeypatch.delenv("SPARSECOURSE_OFFLINE")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(pooch.core, "time", SimpleNamespace(sleep=lambda seconds: None))
    yield SimpleNamespace(answers=answers, asked=asked, root=root)
    server.shutdown()
    server.server_close()
    thread.join()
