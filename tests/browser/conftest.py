"""JupyterLab as a student sees it: a real server, a real browser, no data but scikit-learn's."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from sparsecourse.cli.doctor import find_chromium
from sparsecourse.cli.requirements import ROOT

SECONDS_TO_START = 60
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# All cells in the page, also those off the screen, so that a test can find them.
EVERY_CELL = {"@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"}}


@dataclass(frozen=True)
class Server:
    """A running JupyterLab: its address, with the token, and the folder it serves."""

    url: str
    folder: Path

    def address_of(self, path: str) -> str:
        """Opens `path` alone: each in a workspace of its own, which restores no other tab."""
        base, _, query = self.url.partition("/lab")
        return f"{base}/lab/workspaces/{Path(path).stem}/tree/{path}{query[query.index('?') :]}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def end(process: subprocess.Popen) -> None:
    """Stop a server with its kernels: politely first."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, signal_number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=15)


@contextlib.contextmanager
def running_lab(folder: Path, variables: dict[str, str], *arguments: str) -> Iterator[str]:
    """Start `lab --no-browser` with `arguments`, give its address once it listens, end it.

    What the server says goes to `folder`/server.log.
    """
    command = [sys.executable, "-m", "sparsecourse", "lab", "--no-browser"]
    command += [f"--port={free_port()}", *arguments]
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=variables,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + SECONDS_TO_START
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/lab\S*token=\w+", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.05)
        yield found[0]
    finally:
        end(process)


@pytest.fixture(scope="session")
def clean_variables(tmp_path_factory) -> dict[str, str]:
    """Environment of a user with no settings, no data sets and no cache of their own."""
    home = tmp_path_factory.mktemp("home")
    variables = dict(os.environ)
    for name in ("SPARSECOURSE_DATA", "SPARSECOURSE_CACHE", "JUPYTER_CONFIG_PATH"):
        variables.pop(name, None)
    settings = home / "config" / "labconfig"
    settings.mkdir(parents=True)
    (settings / "default_setting_overrides.json").write_text(json.dumps(EVERY_CELL))
    return variables | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        "SPARSECOURSE_CACHE": str(home / "cache"),
    }


@pytest.fixture(scope="session")
def lab(tmp_path_factory, clean_variables) -> Iterator[Server]:
    """A server on a copy of what students open: running a lecture saves it."""
    folder = tmp_path_factory.mktemp("course")
    for name in ("lectures", "exercises"):
        shutil.copytree(ROOT / name, folder / name)
    logs = tmp_path_factory.mktemp("logs")
    with running_lab(logs, clean_variables, "--", f"--ServerApp.root_dir={folder}") as url:
        yield Server(url, folder)


@pytest.fixture(scope="session")
def browser(skip_or_fail):
    chromium = find_chromium()
    if chromium is None:
        skip_or_fail("no Chromium: install it (apt install chromium) to run the browser tests")
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page that records every host it calls, and may call none but this machine."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(60_000)
    called: list[str] = []
    context.on("request", lambda request: called.append(request.url))
    yield page
    context.close()
    local = re.compile(r"(https?|wss?)://127\.0\.0\.1[:/]|data:|blob:|about:blank$")
    assert [url for url in called if not local.match(url)] == []
