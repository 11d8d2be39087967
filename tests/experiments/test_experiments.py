"""Experiments: found by name, run a seed at a time, recorded with where they came from."""

import json
import re
import statistics
import subprocess

import pytest
import torch

from sparsecourse import executors, experiments
from sparsecourse.cli import main
from sparsecourse.cli.requirements import ROOT
from sparsecourse.experiments import record, running, specification
from sparsecourse.experiments.record import Record
from sparsecourse.experiments.specification import Experiment

RECORDS = sorted(record.FOLDER.glob("*.json"))


def tossed(seed, device):
    if seed == 3:
        raise RuntimeError("the coin is lost")
    heads = torch.rand(10, generator=torch.Generator().manual_seed(seed)).round().sum()
    return {"ten": {"heads": float(heads), "seed": float(seed)}}


COIN = Experiment("coin", "Ten tosses.", None, tossed, 0.01, "nothing")


class Here(executors.Executor):
    """Runs what it is given at once: the experiment of these tests is known here only."""

    def submit(self, function, /, *arguments):
        future = executors.Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture(autouse=True)
def _coin(monkeypatch):
    found = specification.all_of_them()
    monkeypatch.setattr(specification, "all_of_them", lambda: {**found, "coin": COIN})
    monkeypatch.setattr(experiments, "all_of_them", specification.all_of_them)


def tossed_for(seeds, folder):
    return list(running.run("coin", seeds, "cpu", Here, folder))


def test_each_seed_is_recorded_with_where_it_came_from(tmp_path):
    *_, last = tossed_for(range(3), tmp_path)
    again = record.load("coin", tmp_path)
    assert again == last
    assert sorted(again.seeds) == [0, 1, 2]
    head = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    for seed, found in again.seeds.items():
        assert found["rows"] == tossed(seed, None)
        assert found["device"].startswith("CPU, ")
        assert found["versions"]["torch"] == torch.__version__
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found["date"])
        assert found["commit"].rstrip("+") == (head or "unknown")
        assert found["seconds"] >= 0


def test_mean_and_deviation_are_over_seeds(tmp_path):
    *_, last = tossed_for(range(3), tmp_path)
    heads = [tossed(seed, None)["ten"]["heads"] for seed in range(3)]
    assert len(set(heads)) > 1
    assert last.mean("ten", "heads") == statistics.mean(heads)
    assert last.deviation("ten", "heads") == statistics.stdev(heads)
    assert last.rows == ["ten"]
    with pytest.raises(ValueError, match="no 'tails' of 'ten'"):
        last.mean("ten", "tails")


def test_a_run_goes_on_where_it_was_interrupted(tmp_path):
    with pytest.raises(RuntimeError, match="the coin is lost"):
        tossed_for([1, 3, 5], tmp_path)
    before = record.load("coin", tmp_path)
    assert sorted(before.seeds) == [1, 5]
    *_, last = tossed_for([1, 5, 6], tmp_path)
    assert sorted(last.seeds) == [1, 5, 6]
    assert last.seeds[1] == before.seeds[1]
    assert tossed_for([1, 5], tmp_path) == []


def test_what_is_not_finite_is_not_recorded(tmp_path, monkeypatch):
    lost = {"ten": {"heads": float("nan")}}
    broken = Experiment("coin", "", None, lambda seed, device: lost, 1, "")
    monkeypatch.setattr(specification, "all_of_them", lambda: {"coin": broken})
    with pytest.raises(ValueError, match="coin, seed 0: heads of 'ten' is nan"):
        tossed_for([0], tmp_path)
    assert not list(tmp_path.iterdir())


def test_unknown_names_are_answered_with_the_known(tmp_path):
    with pytest.raises(ValueError, match=r"no experiment 'dice'; there are: .*coin"):
        specification.find("dice")
    with pytest.raises(ValueError, match="nothing is recorded of 'dice'; there are: none"):
        record.load("dice", tmp_path)


def test_a_changed_file_marks_the_commit(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(
            ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )

    inner = tmp_path / "experiments"
    (inner / "records").mkdir(parents=True)
    for path in (tmp_path / "code.py", inner / "records" / "coin.json"):
        path.write_text("")
    git("init")
    git("add", ".")
    git("commit", "-m", "all")
    monkeypatch.setattr(record, "__file__", str(inner / "record.py"))
    monkeypatch.setattr(record, "FOLDER", inner / "records")
    clean = record._commit()
    assert re.fullmatch("[0-9a-f]{12}", clean)
    (inner / "records" / "coin.json").write_text("another seed")
    assert record._commit() == clean
    (tmp_path / "code.py").write_text("changed")
    assert record._commit() == clean + "+"
    monkeypatch.setattr(record, "__file__", str(ROOT.parent / "nowhere.py"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nothing"))
    assert record._commit() == "unknown"


def test_the_command_lists_runs_and_names_what_it_does_not_know(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(running.recording, "FOLDER", tmp_path)
    monkeypatch.setattr(executors, "local", lambda workers: Here())
    monkeypatch.setattr(running.run, "__defaults__", (tmp_path,))
    monkeypatch.setattr(running.recording.load, "__defaults__", (tmp_path,))
    assert main(["experiment", "list"]) == 0
    assert "coin: Ten tosses.\n" in (listed := capsys.readouterr().out)
    assert "nothing recorded" in listed
    assert main(["experiment", "run", "coin", "--seeds", "2", "--device", "cpu"]) == 0
    mean = statistics.mean(tossed(seed, None)["ten"]["heads"] for seed in range(2))
    told = capsys.readouterr().out
    assert re.search(r"ten: heads [45], seed [01]\n", told)  # one seed has no spread
    assert f"ten: heads {mean:.4g} ± " in told
    assert main(["experiment", "run", "coin", "--seeds", "2", "--device", "cpu"]) == 0
    assert "All of these seeds are recorded." in capsys.readouterr().out
    assert main(["experiment", "run", "dice"]) == 1
    assert "no experiment 'dice'" in capsys.readouterr().err


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_every_record_belongs_to_an_experiment_and_says_where_it_came_from(path):
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert path.stem == stored["experiment"]
    assert specification.find(path.stem)
    found: Record = experiments.load(path.stem)
    assert len(found.seeds) >= 3
    for seed in found.seeds.values():
        assert re.fullmatch("[0-9a-f]{12}", seed["commit"]), "recorded from uncommitted code"
        assert seed["device"]
        assert seed["versions"]["torch"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\+00:00", seed["date"])
        assert seed["rows"]
