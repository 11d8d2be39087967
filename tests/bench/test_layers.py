"""What `bench layers` measures and prints, on products that take no time."""

import json

import pytest

from sparsecourse.bench import layers
from sparsecourse.cli import main
from sparsecourse.timing import alexnet, curves
from sparsecourse.timing.measuring import Measurement
from sparsecourse.timing.sparse import LAYERS, Timed


def timed(name, sparsity, ratio):
    """A product that is `ratio` times as fast as the dense one."""
    dense, sparse = (
        Measurement((seconds,) * 4, 4, threads=2, device="CPU x", is_settled=True)
        for seconds in (1.0, 1 / ratio)
    )
    return Timed(name, sparsity, dense, sparse, dense_bytes=400, sparse_bytes=100)


@pytest.fixture
def table():
    """Structured layers realise 80 % of the theory; scattered ones take twice as long as dense."""
    measured = []
    for pruned in alexnet.published():
        ratio = 0.8 / (1 - pruned.sparsity) if pruned.is_structured else 0.5
        measured.append((pruned, [timed(name, pruned.sparsity, ratio) for name in pruned.formats]))
    return alexnet.side_by_side(measured)


def test_the_summary_leaves_conv1_out_and_counts_what_is_slower(table):
    table.loc[(2, "rows and columns", "conv1"), "ours / theory"] = 100.0
    *_, structured, scattered = layers.in_lines(table).splitlines()
    assert structured == (
        "rows and columns, conv2 to conv5: median 0.80 of the theory; slower than dense in 0 of 4"
    )
    assert scattered.endswith("slower than dense in 8 of 8")


def test_every_layer_stands_beside_the_papers_figures(table):
    title, *lines = layers.in_lines(table).splitlines()
    assert len(lines) == 15 + 2
    assert title.split()[-3:] == ["paper:", "CPU", "GPU"]
    conv4 = next(line for line in lines if line.startswith("  2") and "conv4" in line)
    assert conv4.split()[-2:] == ["9.73", "4.03"]
    assert " 91.9%   12.31   9.85" in conv4  # 1 / (0.153 x 0.531), and 0.8 of it


def test_crossovers_are_said_for_each_layer_and_format():
    first, second = (LAYERS[f"AlexNet conv{n}"] for n in (1, 3))
    points = [timed("torch CSR", 0.5, 0.3), timed("torch CSR", 0.9, 2.0)]
    never = [timed("torch CSR", 0.5, 0.3), timed("torch CSR", 0.9, 0.9)]
    found = [
        curves.measured_now(first, [*points, timed("int8", 0, 3.0)]),
        curves.measured_now(second, never),
    ]
    title, csr, int8 = layers.crossovers(found).splitlines()
    assert title.split() == ["faster", "than", "dense", "from", "conv1", "conv3"]
    assert csr.split() == ["torch", "CSR", "90%", "never"]
    assert int8.split() == ["int8", "0%", "-"]


def test_formats_that_the_device_lacks_are_named_and_left_out(monkeypatch, capsys):
    monkeypatch.setattr(layers, "SPARSITIES", (0.9,))
    monkeypatch.setattr(layers, "SECONDS", 1e-4)
    monkeypatch.setattr(alexnet, "CONVOLUTIONS", {"conv": LAYERS["LeNet-5 conv2"]})
    monkeypatch.setattr("sparsecourse.timing.measuring.WARM_UP", 1e-4)
    (curve,) = layers.measure_curves("cpu", 1)
    assert {"torch CSR", "smaller GEMM", "int8"} <= set(curve.formats)
    assert "2:4" not in curve.formats
    assert "Without 2:4: 2:4 needs a GPU" in capsys.readouterr().out


def test_the_command_prints_and_stores_the_table(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(layers, "SECONDS", 1e-4)
    monkeypatch.setattr("sparsecourse.timing.measuring.WARM_UP", 1e-4)
    monkeypatch.setattr("sparsecourse.timing.busy", lambda: 0.8)
    path = tmp_path / "layers.json"
    assert main(["bench", "layers", "--table-only", "--threads", "1", "--json", str(path)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("80% of this machine is in use by others")
    assert "of the theory; slower than dense in" in printed
    lines = json.loads(path.read_text())["table"]
    assert len(lines) == 15
    assert {line["layer"] for line in lines} == {f"conv{n}" for n in range(1, 6)}
