"""The `.venv` of a clone: made, used again, installed again, repaired; failures explained.

pip is replaced by a stub that installs empty distributions; the virtual environment is real.
"""

import json
import os
import subprocess
import sys
import threading
import venv

import pytest

from sparsecourse.cli import environment
from sparsecourse.cli.environment import Environment, explain_failure, venv_python
from sparsecourse.cli.requirements import SetupError

PYPROJECT = """
[project]
name = "course"
dependencies = ["one>=1"]
[project.optional-dependencies]
more = ["two>=2"]
"""
VERSIONS = {"one": "1.0", "two": "2.0"}


@pytest.fixture
def clone(tmp_path):
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    return Environment(tmp_path)


def make_venv(folder):
    """An environment such as a user makes, without pip: it takes a tenth of the time."""
    venv.create(folder, with_pip=False)


@pytest.fixture
def pip(monkeypatch):
    """Commands given to pip; each installs what the extras ask for."""
    commands = []
    run = environment._run_visibly

    def stub(command, cwd, lock=None):
        if "pip" not in command:
            return run([*command, "--without-pip"], cwd, lock)
        commands.append(command)
        names = ["one"] + ["two"] * ("more" in command[command.index("--editable") + 1])
        site = environment.site_packages(cwd / ".venv")[0]
        for name in [*names, "pip"]:
            version = VERSIONS.get(name, "1")
            folder = f"{site}/{name}-{version}.dist-info"
            os.makedirs(folder, exist_ok=True)
            with open(f"{folder}/METADATA", "w") as file:
                file.write(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        return None

    monkeypatch.setattr(environment, "_run_visibly", stub)
    return commands


def test_a_fresh_clone_gets_an_environment_whose_python_runs(clone, pip):
    assert clone.why_not_ready([]) == "there is no .venv yet"
    clone.install([])
    assert clone.why_not_ready([]) is None
    python = venv_python(clone.venv)
    prefix = subprocess.run(
        [python, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True
    )
    assert prefix.stdout.strip() == str(clone.venv)


def test_the_second_start_installs_nothing(clone, pip):
    clone.install([])
    clone.install([])
    assert len(pip) == 1


def test_a_changed_pyproject_is_installed_again(clone, pip):
    clone.install([])
    (clone.root / "pyproject.toml").write_text(PYPROJECT + "# changed\n")
    assert clone.why_not_ready([]) == "pyproject.toml changed"
    clone.install([])
    assert len(pip) == 2
    assert clone.why_not_ready([]) is None


def test_without_network_a_changed_pyproject_that_asks_for_nothing_new_is_no_obstacle(
    clone, pip, monkeypatch, capsys
):
    clone.install([])
    (clone.root / "pyproject.toml").write_text(PYPROJECT + "# changed\n")

    def fail(command, cwd, lock):
        raise explain_failure(command, 1, "NewConnectionError")

    monkeypatch.setattr(environment, "_run_visibly", fail)
    clone.install([])
    assert "no network" in capsys.readouterr().err
    assert clone.record()["state"] == "complete"
    assert clone.why_not_ready([]) == "pyproject.toml changed", "the next start tries again"


def test_without_network_a_pyproject_that_asks_for_something_new_is_an_obstacle(
    clone, pip, monkeypatch
):
    clone.install([])
    (clone.root / "pyproject.toml").write_text(PYPROJECT.replace("one>=1", "one>=2"))

    def fail(command, cwd, lock):
        raise explain_failure(command, 1, "NewConnectionError")

    monkeypatch.setattr(environment, "_run_visibly", fail)
    with pytest.raises(SetupError, match="no network"):
        clone.install([])


def test_an_extra_is_added_and_stays(clone, pip):
    clone.install([])
    assert clone.why_not_ready(["more"]) == "missing: two>=2 (not installed)"
    clone.install(["more"])
    assert clone.why_not_ready(["more"]) is None
    (clone.root / "pyproject.toml").write_text(PYPROJECT + "# changed\n")
    clone.install([])
    assert pip[-1][pip[-1].index("--editable") + 1] == ".[more]"


def test_an_interrupted_install_is_built_again_from_nothing(clone, pip, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Environment, "_pip_install", interrupted)
        with pytest.raises(KeyboardInterrupt):
            clone.install(["more"])
    (clone.venv / "half_a_package").mkdir()
    assert clone.why_not_ready([]) == "the last install was interrupted"
    clone.install([])
    assert clone.why_not_ready(["more"]) is None, "what was asked for then is remembered"
    assert not (clone.venv / "half_a_package").exists()


def test_an_environment_of_the_user_is_completed_not_emptied(clone, pip):
    make_venv(clone.venv)
    (clone.venv / "notes.txt").write_text("mine")
    assert clone.why_not_ready([]) == "missing: one>=1 (not installed)"
    clone.install([])
    assert clone.why_not_ready([]) is None
    assert (clone.venv / "notes.txt").read_text() == "mine"


def test_an_interrupted_install_into_an_environment_of_the_user_empties_nothing(
    clone, pip, monkeypatch
):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    make_venv(clone.venv)
    (clone.venv / "notes.txt").write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr(Environment, "_pip_install", interrupted)
        with pytest.raises(KeyboardInterrupt):
            clone.install([])
    assert clone.why_not_ready([]) == "the last install was interrupted"
    clone.install([])
    assert clone.why_not_ready([]) is None
    assert (clone.venv / "notes.txt").read_text() == "mine"


def test_an_environment_that_is_not_ready_is_mended_from_outside(monkeypatch):
    calls = []

    class ReplacedError(Exception):
        pass

    def replace(command, variables):
        calls.append(command)
        raise ReplacedError

    monkeypatch.delenv(environment.ENTERED, raising=False)

    monkeypatch.setattr(Environment, "is_current", lambda self: True)
    monkeypatch.setattr(Environment, "why_not_ready", lambda self, extras: "interrupted")
    monkeypatch.setattr(environment, "replace_process", replace)
    with pytest.raises(ReplacedError):
        environment.enter([], ["lab"])
    assert calls == [[sys._base_executable, "-m", "sparsecourse", "lab"]]


def test_an_environment_whose_python_is_gone_is_built_again(clone, pip):
    clone.install([])
    venv_python(clone.venv).unlink()
    (clone.venv / "left_over").mkdir()
    assert clone.why_not_ready([]) == "there is no .venv yet"
    clone.install([])
    assert clone.why_not_ready([]) is None
    assert not (clone.venv / "left_over").exists()


def test_a_file_in_the_way_is_named(clone):
    clone.venv.write_text("")
    with pytest.raises(SetupError, match=r"\.venv is not a folder"):
        clone.install([])


def test_an_emptied_environment_keeps_its_record(clone, pip):
    clone.install([])
    clone._empty_venv()
    assert [path.name for path in clone.venv.iterdir()] == [clone.record_file.name]


def test_pip_holds_the_lock_when_its_parent_is_killed(clone):
    """kill -9 leaves pip running: a second start must not take the folder away under it."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom sparsecourse.cli import environment\n"
        "clone = environment.Environment(Path(sys.argv[1]))\n"
        "waits_for_end_of_input = [sys.executable, '-c', \"print('up', flush=True); input()\"]\n"
        "with clone._lock() as lock:\n"
        "    environment._run_visibly(waits_for_end_of_input, clone.root, lock)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(clone.root)],
        cwd=environment.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        assert parent.stdout.readline() == "up\n"
        parent.kill()
        parent.wait()
        with (clone.root / ".venv.lock").open("w") as handle:
            assert not environment._try_to_lock(handle), "its child is still at work"
            parent.stdin.close()
            parent.stdout.read()  # until the child has ended
            for _ in range(1000):
                if environment._try_to_lock(handle):
                    break
            else:
                pytest.fail("the lock outlived the child")


def test_a_moved_folder_is_installed_again(clone, pip, tmp_path):
    clone.install([])
    moved = tmp_path.parent / (tmp_path.name + "_moved")
    tmp_path.rename(moved)
    assert Environment(moved).why_not_ready([]) == "the folder was moved"


def test_two_starts_at_once_install_once(clone, pip):
    threads = [threading.Thread(target=clone.install, args=([],)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pip) == 1
    assert clone.why_not_ready([]) is None


def test_cpu_takes_the_small_torch_and_is_remembered(clone, pip):
    clone.install([], cpu=True)
    assert pip[-1][-2:] == ["--extra-index-url", environment.TORCH_CPU_INDEX]
    (clone.root / "pyproject.toml").write_text(PYPROJECT + "# changed\n")
    clone.install([])
    assert pip[-1][-2:] == ["--extra-index-url", environment.TORCH_CPU_INDEX]


def test_a_python_without_venv_is_told_which_package_to_install(clone, monkeypatch):
    find_spec = environment.importlib.util.find_spec
    monkeypatch.setattr(
        environment.importlib.util,
        "find_spec",
        lambda name: None if name == "ensurepip" else find_spec(name),
    )
    with pytest.raises(
        SetupError, match=r"venv module is missing[\s\S]*apt install python3\.\d+-venv"
    ):
        clone.install([])


def test_a_disk_without_room_is_named_before_anything_is_fetched(clone, monkeypatch):
    from collections import namedtuple

    usage = namedtuple("usage", "free")(1.9e9)
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(
        SetupError, match=r"1\.9 GB are free at .*needs about 2 GB[\s\S]*larger disk"
    ):
        clone.install([])


@pytest.mark.parametrize(
    ("printed", "said", "remedy"),
    [
        ("ERROR: [Errno 28] No space left on device", "The disk is full", "free some space"),
        ("NewConnectionError: Temporary failure in name resolution", "no network", "HTTPS_PROXY"),
        ("ERROR: Could not find a version (from versions: none)", "no network", "HTTPS_PROXY"),
        ("Could not fetch URL: CERTIFICATE_VERIFY_FAILED", "certificate", "PIP_CERT"),
        ("WARNING: Retrying after ReadTimeout\nno wheel", "exit code 3:\nno wheel", "doctor"),
        ("Error: ensurepip is not available", "venv module is incomplete", "python3-venv"),
        ("a\nb\nsomething else", "failed with exit code 3:\na\nb\nsomething else", "doctor"),
    ],
)
def test_failures_of_pip_are_explained(printed, said, remedy):
    error = str(explain_failure(["pip", "install"], 3, printed))
    assert said in error
    assert remedy in error.partition("What to do:")[2]


def test_a_failing_installer_is_shown_and_explained(tmp_path, capfd):
    code = "import sys; print('step 1'); sys.exit('No space left on device')"
    with (
        (tmp_path / "lock").open("w") as lock,
        pytest.raises(SetupError, match="The disk is full"),
    ):
        environment._run_visibly([sys.executable, "-c", code], tmp_path, lock)
    printed = capfd.readouterr()
    assert "step 1" in printed.out
    assert "No space left" in printed.err


def test_paths_are_those_of_the_system(tmp_path, monkeypatch):
    assert venv_python(tmp_path).parts[-2:] in {("bin", "python"), ("Scripts", "python.exe")}
    monkeypatch.setattr(environment.os, "name", "nt")
    assert environment.site_packages.__doc__
    assert str(venv_python(tmp_path)).endswith("Scripts/python.exe")


def test_an_environment_that_has_everything_is_used_as_it_is(monkeypatch):
    monkeypatch.setattr(environment, "missing", lambda extras: [])
    monkeypatch.setattr(Environment, "is_current", lambda self: False)
    monkeypatch.setattr(Environment, "install", lambda *a, **k: pytest.fail("installed"))
    environment.enter([], ["lab"])


def test_otherwise_the_same_command_goes_on_in_the_environment(monkeypatch):
    calls = []
    monkeypatch.setattr(environment, "missing", lambda extras: ["torch"])
    monkeypatch.setattr(Environment, "is_current", lambda self: False)
    monkeypatch.setattr(Environment, "install", lambda self, extras, cpu: calls.append(extras))
    monkeypatch.setattr(environment, "replace_process", lambda *given: calls.append(given))
    environment.enter(["test"], ["test", "--", "-k", "x"])
    extras, (command, variables) = calls
    assert extras == ["test"]
    python = str(venv_python(environment.ROOT / ".venv"))
    assert command == [python, "-m", "sparsecourse", "test", "--", "-k", "x"]
    assert variables["PYTHONPATH"].split(os.pathsep)[0] == str(environment.ROOT)


def test_going_in_and_out_ends_even_if_nothing_could_be_installed(monkeypatch):
    """No network, pyproject changed, nothing missing: out to install, in again, and done."""
    inside = [True]
    steps = []

    def replace(command, variables):
        steps.append(command[0])
        assert len(steps) < 5, "it goes round in circles"
        inside[0] = command[0] == str(venv_python(environment.ROOT / ".venv"))
        monkeypatch.setenv(environment.ENTERED, variables.get(environment.ENTERED, ""))
        environment.enter([], ["lab"])

    monkeypatch.setattr(Environment, "is_current", lambda self: inside[0])
    monkeypatch.setattr(Environment, "why_not_ready", lambda self, extras: "pyproject.toml changed")
    monkeypatch.setattr(environment, "missing", lambda extras: [] if inside[0] else ["torch"])
    monkeypatch.setattr(Environment, "install", lambda *a, **k: None)
    monkeypatch.setattr(environment, "replace_process", replace)
    monkeypatch.delenv(environment.ENTERED, raising=False)
    environment.enter([], ["lab"])
    assert steps == [sys._base_executable, str(venv_python(environment.ROOT / ".venv"))]


def test_the_record_is_written_whole_or_not_at_all(clone, pip):
    clone.install([])
    assert json.loads(clone.record_file.read_text())["state"] == "complete"
    clone.record_file.write_text('{"state": "comp')
    assert clone.record() == {}
