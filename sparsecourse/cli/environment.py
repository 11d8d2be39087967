"""Find a Python that has what a command needs, or make one in `.venv`.

Standard library only: this runs before anything is installed.

What `.venv` holds is written in a record inside it. A record that says "installing" belongs to an
install that was cut short, and such a `.venv` is built again from nothing; a record that names
another pyproject.toml, or another folder, means that the project is installed once more on top.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NoReturn

from sparsecourse.cli.requirements import ROOT, SetupError, installed_version, missing

MINIMUM_FREE_BYTES = 2 * 10**9
# Set for the process that goes on in `.venv`, which must not send itself back out again.
ENTERED = "SPARSECOURSE_ENTERED"
# PyTorch's own index of builds without CUDA: 0.2 GB instead of several.
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def venv_python(venv: Path) -> Path:
    """Where the interpreter of a virtual environment lies on this system."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def site_packages(venv: Path) -> list[str]:
    """Where the packages of a virtual environment lie; its Python may be another version."""
    pattern = "Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages"
    return [str(path) for path in venv.glob(pattern)]


class Environment:
    """The `.venv` of one clone: is it ready, and how does it become so."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self.venv = root / ".venv"
        self.record_file = self.venv / "sparsecourse-install.json"

    def is_current(self) -> bool:
        """Is this very process running inside it?"""
        return Path(sys.prefix).resolve() == self.venv.resolve()

    def record(self) -> dict:
        try:
            return json.loads(self.record_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def why_not_ready(self, extras: Iterable[str]) -> str | None:
        """None when commands that need `extras` can run in it; else the reason, in words."""
        record = self.record()
        if not venv_python(self.venv).exists():
            return "there is no .venv yet"
        if record:  # without one, the user made .venv: only its contents count
            if record["state"] != "complete":
                return "the last install was interrupted"
            if record["root"] != str(self.root):
                return "the folder was moved"
            if record["pyproject"] != self._fingerprint():
                return "pyproject.toml changed"
        absent = missing(extras, *self._where)
        if absent:
            return "missing: " + ", ".join(absent)
        return None

    def install(self, extras: Iterable[str], *, cpu: bool = False) -> None:
        """Make `.venv` if need be and install the project into it, with pip's progress shown."""
        with self._lock() as lock:
            reason = self.why_not_ready(extras)
            if reason is None:  # another process did it while this one waited
                return
            before = self.record()
            extras = sorted({*before.get("extras", ()), *extras})
            cpu = cpu or before.get("cpu", False)
            print(f"Installing into {self.venv} ({reason}).", flush=True)
            self._check_place()
            # An environment that the user made is completed, never emptied.
            ours = before.get("ours", not self.venv.exists())
            options = {"extras": extras, "cpu": cpu, "ours": ours}
            self.venv.mkdir(exist_ok=True)
            self._write_record(state="installing", **options)
            broken = before.get("state") == "installing" or not venv_python(self.venv).exists()
            if broken and ours:
                self._empty_venv()
            self._make_venv(lock)
            try:
                self._pip_install(extras, cpu, lock)
            except SetupError as error:
                if before.get("state") != "complete" or missing(extras, *self._where):
                    raise
                # All that is asked for is here: a laptop without a network can go on.
                print(f"{error}\nGoing on with what is installed.", file=sys.stderr)
                self._write_record(**before)
                return
            self._write_record(state="complete", **options)
            absent = missing(extras, *self._where)
            if absent:
                raise SetupError(
                    "pip reported success, but these are missing: " + ", ".join(absent),
                    f"delete {self.venv} and run the command again.",
                )

    def _fingerprint(self) -> str:
        return hashlib.sha256((self.root / "pyproject.toml").read_bytes()).hexdigest()

    @property
    def _where(self) -> tuple[list[str], Path]:
        return site_packages(self.venv), self.root

    def _write_record(self, **record: object) -> None:
        record = {"root": str(self.root), "pyproject": self._fingerprint()} | record
        partial = self.record_file.with_suffix(".partial")
        partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
        partial.replace(self.record_file)

    def _empty_venv(self) -> None:
        """Remove all but the record, which must outlive a second interruption."""
        for path in self.venv.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path != self.record_file:
                path.unlink()

    def _check_place(self) -> None:
        if self.venv.exists() and not self.venv.is_dir():
            raise SetupError(
                f"{self.venv} is not a folder.",
                "move it away: the environment of the course goes there.",
            )
        free = shutil.disk_usage(self.root).free
        if free < MINIMUM_FREE_BYTES and not venv_python(self.venv).exists():
            raise SetupError(
                f"{free / 1e9:.1f} GB are free at {self.root}; the install needs about "
                f"{MINIMUM_FREE_BYTES / 1e9:.0f} GB, and several more for torch with CUDA.",
                "free some space, or clone the course to a larger disk.",
            )

    def _make_venv(self, lock: IO) -> None:
        if venv_python(self.venv).exists() and installed_version("pip", site_packages(self.venv)):
            return
        if any(importlib.util.find_spec(name) is None for name in ("venv", "ensurepip")):
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            raise SetupError(
                f"Python's venv module is missing ({sys.executable}).",
                f"on Debian and Ubuntu: sudo apt install python{version}-venv; "
                "elsewhere: install a complete Python.",
            )
        _run_visibly([sys.executable, "-m", "venv", str(self.venv)], self.root, lock)

    def _pip_install(self, extras: list[str], cpu: bool, lock: IO) -> None:
        target = ".[" + ",".join(extras) + "]" if extras else "."
        command = [str(venv_python(self.venv)), "-m", "pip", "install"]
        command += ["--disable-pip-version-check", "--editable", target]
        if cpu:
            command += ["--extra-index-url", TORCH_CPU_INDEX]
        elif not has_nvidia_gpu() and sys.platform == "linux":
            print(
                "No NVIDIA GPU seen. If torch arrives with gigabytes of CUDA packages, stop and "
                "add --cpu: a build of 0.2 GB.",
                flush=True,
            )
        _run_visibly(command, self.root, lock)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[IO]:
        """One installer at a time; the system frees the lock when the last holder ends."""
        with open(self.root / ".venv.lock", "w") as handle:
            waiting = False
            while not _try_to_lock(handle):
                if not waiting:
                    print("Another install is running in this folder: waiting for it.", flush=True)
                waiting = True
                time.sleep(0.5)
            yield handle


def _try_to_lock(handle: IO) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def has_nvidia_gpu() -> bool:
    """Does the system show an NVIDIA driver? (torch cannot be asked: it may not be here yet.)"""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists()


def _run_visibly(command: list[str], cwd: Path, lock: IO) -> None:
    """Run an installer, its output on the terminal; turn a failure into a SetupError.

    It holds the lock too: where this process is killed, pip goes on, and must be waited for.
    """
    shared = {} if os.name == "nt" else {"pass_fds": (lock.fileno(),)}
    with subprocess.Popen(
        command, cwd=cwd, stderr=subprocess.PIPE, text=True, errors="replace", **shared
    ) as process:
        errors: list[str] = []

        def echo() -> None:
            for line in process.stderr:
                errors.append(line)
                sys.stderr.write(line)

        reader = threading.Thread(target=echo)
        reader.start()
        try:
            process.wait()
        except KeyboardInterrupt:
            process.wait()
            raise
        finally:
            reader.join()
    if process.returncode:
        raise explain_failure(command, process.returncode, "".join(errors))


NO_ROOM = r"No space left on device|Errno 28|WinError 112|disk full"
NO_TRUST = r"CERTIFICATE_VERIFY_FAILED|confirming the ssl certificate"
NO_NETWORK = (
    r"NewConnectionError|NameResolutionError|Temporary failure in name resolution|ConnectTimeout|"
    r"ReadTimeout|Network is unreachable|ProxyError|getaddrinfo failed|from versions: none"
)


def explain_failure(command: list[str], code: int, errors: str) -> SetupError:
    """The likeliest cause of a failed installer, read from what it printed."""
    again = "then run the same command again: it goes on from here."
    # A hiccup that a retry mended says nothing about the failure that came later.
    final = "\n".join(line for line in errors.splitlines() if not line.startswith("WARNING: Retry"))
    if re.search(NO_ROOM, final):
        return SetupError(
            "The disk is full.",
            "free some space (pip keeps old downloads: python3 -m pip cache purge), " + again,
        )
    if re.search(NO_TRUST, final):
        return SetupError(
            "The package index answers with a certificate that pip does not trust.",
            "behind a proxy that opens connections, set PIP_CERT to its certificate, " + again,
        )
    if re.search(NO_NETWORK, final):
        return SetupError(
            "The packages could not be fetched: there seems to be no network.",
            "connect (behind a proxy: set HTTPS_PROXY), " + again,
        )
    if "ensurepip" in final:
        return SetupError(
            "Python's venv module is incomplete.",
            "on Debian and Ubuntu: sudo apt install python3-venv, " + again,
        )
    last = "\n".join(final.strip().splitlines()[-5:])
    return SetupError(
        f"{' '.join(command)} failed with exit code {code}:\n{last}",
        "read the message above; `python3 -m sparsecourse doctor` lists what is missing.",
    )


def enter(extras: Iterable[str], argv: list[str], *, cpu: bool = False) -> None:
    """Return when this Python has what `extras` need; else go on in `.venv`, made if need be.

    Going on means: the same command line, run by `.venv`'s Python, in the place of this process.
    """
    environment = Environment()
    inside = environment.is_current()
    if inside:
        ready = environment.why_not_ready(extras) is None
        if ready or (os.environ.pop(ENTERED, None) and not missing(extras)):
            return
        # An installer must not saw off the branch it sits on: go on outside, then come back.
        _go_on_with(sys._base_executable, argv)
    if not missing(extras):
        return
    environment.install(extras, cpu=cpu)
    _go_on_with(str(venv_python(environment.venv)), argv, {ENTERED: "1"})


def enter_if_ready(argv: list[str]) -> None:
    """Go on in `.venv` where it has what the lectures need and this Python has not."""
    environment = Environment()
    if not environment.is_current() and missing([]) and not environment.why_not_ready([]):
        _go_on_with(str(venv_python(environment.venv)), argv)


def _go_on_with(python: str, argv: list[str], extra_variables: dict | None = None) -> NoReturn:
    # The folder that the user is in need not be the clone, and -m has to find the package.
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    variables = dict(os.environ) | {"PYTHONPATH": path} | (extra_variables or {})
    replace_process([python, "-m", "sparsecourse", *argv], variables)


def replace_process(command: list[str], variables: dict[str, str]) -> NoReturn:
    """Go on as another program. On Windows exec would return to the shell at once: wait there."""
    sys.stdout.flush()
    if os.name == "nt":
        sys.exit(subprocess.run(command, env=variables).returncode)
    os.execve(command[0], command, variables)
