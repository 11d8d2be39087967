"""The published table measured again: what is read from it, which zeros it gives, what is shown."""

import csv
import json
import math

import pandas as pd
import pytest
import torch

from sparsecourse import papers
from sparsecourse.timing import Measurement, alexnet, sparse
from sparsecourse.timing.curves import measured_now, store
from sparsecourse.timing.formats import FORMATS
from sparsecourse.timing.sparse import LAYERS, theoretical_speedup, time_product

NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
CONVOLUTIONS = ["conv1", "conv2", "conv3", "conv4", "conv5"]
STRUCTURED = {0.0: 1.10, 63.2: 3.13, 76.9: 7.29, 84.7: 12.32, 80.7: 5.18}


@pytest.fixture(scope="module")
def printed():
    """Row, layer and statistic -> the number, read by the csv module."""
    path = papers.__path__[0] + "/tables/ssl_alexnet_imagenet.csv"
    with open(path, encoding="utf-8", newline="") as file:
        return {
            (int(line["row"]), convolution, line["statistic"]): float(line[convolution])
            for line in csv.DictReader(file)
            for convolution in CONVOLUTIONS
        }


@pytest.fixture(scope="module")
def measured():
    """All layers, with the weights they were measured with, on a clock that counts calls."""
    weights, calls = [], []

    def measure(fns, *, threads, device, at_most):
        def one():
            calls.append((threads, device, at_most))
            return Measurement((1.0 + len(calls) % 7,), 1, threads, "CPU x", True)

        return [one() for _ in fns]

    def recording(name, W, X, **options):
        weights.append((name, W, X))
        return time_product(name, W, X, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse, "measure_in_turn", measure)
        patch.setattr(alexnet, "time_product", recording)
        again = list(alexnet.measure_again(alexnet.published(), threads=2, at_most=0.125))
    return again, weights, calls


# What is published


def test_layers_are_those_of_the_rows_with_a_speed():
    found = [(layer.row, layer.convolution) for layer in alexnet.published()]
    assert found == [(row, convolution) for row in (1, 2, 4) for convolution in CONVOLUTIONS]


def test_numbers_are_those_printed(printed):
    for layer in alexnet.published():
        at = layer.row, layer.convolution
        assert layer.cpu_speedup == printed[*at, "cpu_speedup"]
        assert layer.gpu_speedup == printed[*at, "gpu_speedup"]
        if layer.row == 2:
            assert layer.is_structured
            assert 100 * layer.column_sparsity == pytest.approx(
                printed[*at, "column_sparsity_percent"]
            )
            assert 100 * layer.row_sparsity == pytest.approx(printed[*at, "row_sparsity_percent"])
        else:
            assert not layer.is_structured
            assert math.isnan(layer.column_sparsity)
            assert 100 * layer.sparsity == pytest.approx(printed[*at, "sparsity_percent"])


def test_a_few_numbers_are_those_seen_in_the_paper():
    layers = {(layer.row, layer.convolution): layer for layer in alexnet.published()}
    assert layers[1, "conv3"].sparsity == pytest.approx(0.972)
    assert layers[1, "conv3"].cpu_speedup == 4.84
    assert layers[2, "conv4"].column_sparsity == pytest.approx(0.847)
    assert layers[2, "conv4"].row_sparsity == pytest.approx(0.469)
    assert layers[2, "conv4"].gpu_speedup == 4.03
    assert layers[4, "conv1"].gpu_speedup == 0.08


def test_rows_and_columns_together_leave_the_product_of_what_they_leave():
    for layer in alexnet.published():
        if layer.is_structured:
            left = (1 - layer.row_sparsity) * (1 - layer.column_sparsity)
            assert layer.sparsity == pytest.approx(1 - left)
            expected = STRUCTURED[round(100 * layer.column_sparsity, 1)]
            assert theoretical_speedup(layer.sparsity) == pytest.approx(expected, abs=0.015)


def test_each_layer_has_its_shape_and_its_formats():
    for layer in alexnet.published():
        assert layer.layer in LAYERS.values()
        assert layer.layer.name.startswith(f"AlexNet {layer.convolution}")
        own = "rows and columns" if layer.is_structured else "scattered"
        assert len(layer.formats) == 2
        assert all(FORMATS[name].pattern == own for name in layer.formats)


# What is measured


def test_all_layers_are_measured_in_both_formats(measured):
    again, _, calls = measured
    assert [(pruned.row, pruned.convolution) for pruned, _ in again] == [
        (layer.row, layer.convolution) for layer in alexnet.published()
    ]
    for pruned, timed in again:
        assert [one.format for one in timed] == pruned.formats
    assert len(calls) == 15 * 2 * 2
    assert set(calls) == {(2, torch.device("cpu"), 0.125)}


def test_zeros_are_as_many_as_printed_to_a_whole_row_and_column(measured, printed):
    again, weights, _ = measured
    of_layer = iter(weights)
    for pruned, timed in again:
        pair = [next(of_layer) for _ in timed]
        (_, W, X), (_, other_W, other_X) = pair
        assert torch.equal(W, other_W)
        assert torch.equal(X, other_X)
        assert W.shape == (pruned.layer.rows, pruned.layer.columns)
        assert X.shape == (pruned.layer.columns, pruned.layer.places)
        at = pruned.row, pruned.convolution
        zero = W == 0
        if pruned.row == 2:
            zero_rows, zero_columns = zero.all(dim=1), zero.all(dim=0)
            of_rows = printed[*at, "row_sparsity_percent"] / 100 * len(W)
            of_columns = printed[*at, "column_sparsity_percent"] / 100 * W.shape[1]
            assert abs(int(zero_rows.sum()) - of_rows) <= 0.5 + 1e-6
            assert abs(int(zero_columns.sum()) - of_columns) <= 0.5 + 1e-6
            assert torch.equal(zero, zero_rows[:, None] | zero_columns)
        else:
            of_weights = printed[*at, "sparsity_percent"] / 100 * W.numel()
            assert abs(int(zero.sum()) - of_weights) <= 0.5 + 1e-6
            assert zero.all(dim=1).sum() + zero.all(dim=0).sum() < 0.05 * sum(W.shape)
        for one in timed:
            assert one.sparsity == pytest.approx(float(zero.double().mean()))


def test_theory_is_that_of_the_printed_shares_within_whole_rows_and_columns(measured):
    again, _, _ = measured
    for pruned, timed in again:
        theory = timed[0].theory
        if pruned.is_structured:
            rows, columns = pruned.layer.rows, pruned.layer.columns
            row_share, column_share = 1 - pruned.row_sparsity, 1 - pruned.column_sparsity
            near, far = (
                1 / ((row_share + sign / rows / 2) * (column_share + sign / columns / 2))
                for sign in (1, -1)
            )
            assert near * (1 - 1e-9) <= theory <= far * (1 + 1e-9)
            expected = STRUCTURED[round(100 * pruned.column_sparsity, 1)]
            assert theory == pytest.approx(expected, rel=0.01)
        else:
            assert theory == pytest.approx(1 / (1 - pruned.sparsity), rel=1e-3)


def test_weights_are_drawn_from_the_seed(measured):
    _, weights, _ = measured
    first = alexnet.published()[:1]
    drawn = {}
    for seed in (0, 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                alexnet, "time_product", lambda name, W, X, seed=seed, **_: drawn.update({seed: W})
            )
            list(alexnet.measure_again(first, seed=seed))
    assert torch.equal(drawn[0], weights[0][1])
    assert not torch.equal(drawn[0], drawn[1])


def test_a_layer_is_really_measured():
    conv5 = [layer for layer in alexnet.published() if layer.convolution == "conv5"][1]
    ((pruned, timed),) = alexnet.measure_again([conv5], threads=1, at_most=0.01)
    assert pruned is conv5
    for one in timed:
        assert 0 < one.sparse.median < math.inf
        assert one.dense.threads == one.sparse.threads == 1
    frame = alexnet.side_by_side([(pruned, timed)])
    assert frame.index.tolist() == [(2, "rows and columns", "conv5")]


@NEEDS_CUDA
def test_on_cuda_a_layer_is_measured_there():
    (_, timed), *_ = alexnet.measure_again(alexnet.published()[7:8], device="cuda", at_most=0.05)
    assert {one.sparse.device for one in timed} == {torch.cuda.get_device_name()}


def test_bad_device_is_named():
    with pytest.raises(ValueError, match="device must be 'cpu' or 'cuda', got 'gpu'"):
        next(alexnet.measure_again(alexnet.published(), device="gpu"))


# What is shown


def test_ours_stand_beside_the_published(measured):
    again, _, _ = measured
    frame = alexnet.side_by_side(again)
    assert frame.index.names == ["row", "pruned", "layer"]
    kinds = {1: "single weights", 2: "rows and columns", 4: "single weights"}
    assert frame.index.tolist() == [
        (row, kind, convolution) for row, kind in kinds.items() for convolution in CONVOLUTIONS
    ]
    for (pruned, (timed, other)), (_, line) in zip(again, frame.iterrows(), strict=True):
        ratio = timed.dense.median / timed.sparse.median
        assert line["ours"] == line["lower"] == line["upper"] == pytest.approx(ratio)
        assert line["other"] == pytest.approx(other.dense.median / other.sparse.median)
        assert line["theory"] == pytest.approx(1 / (1 - line["zeros"]))
        assert line["ours / theory"] == pytest.approx(ratio * (1 - line["zeros"]))
        assert line["zeros"] == timed.sparsity
        assert [line["format"], line["other format"]] == pruned.formats
        assert line["paper CPU"] == pruned.cpu_speedup
        assert line["paper GPU"] == pruned.gpu_speedup
    assert frame["ours"].nunique() > 3


def test_the_paper_columns_are_the_table(measured, printed):
    frame = alexnet.side_by_side(measured[0])
    for (row, _, convolution), line in frame.iterrows():
        assert line["paper CPU"] == printed[row, convolution, "cpu_speedup"]
        assert line["paper GPU"] == printed[row, convolution, "gpu_speedup"]


def test_the_recorded_table_is_the_one_stored(measured, tmp_path, monkeypatch):
    monkeypatch.setattr(alexnet, "FOLDER", tmp_path)
    assert alexnet.recorded() == {}
    again, _, _ = measured
    frame = alexnet.side_by_side(again)
    curve = measured_now(again[0][0].layer, again[0][1])
    store([curve], tmp_path / "cpu.json", frame)
    ((device, (stored, where)),) = alexnet.recorded().items()
    assert (device, where) == ("CPU x", curve.where)
    pd.testing.assert_frame_equal(stored, frame)


def test_every_packaged_table_has_all_layers():
    packaged = sorted(alexnet.FOLDER.glob("*.json"))
    found = alexnet.recorded()
    assert len(found) == len(packaged)
    for frame, where in found.values():
        assert where
        assert frame.index.names == ["row", "pruned", "layer"]
        published = {(layer.row, layer.convolution): layer for layer in alexnet.published()}
        assert {(row, convolution) for row, _, convolution in frame.index} == set(published)
        for (row, _, convolution), line in frame.iterrows():
            layer = published[row, convolution]
            assert line["paper CPU"] == layer.cpu_speedup
            assert line["paper GPU"] == layer.gpu_speedup
            assert line["theory"] == pytest.approx(1 / (1 - layer.sparsity), rel=0.02)
            assert line["lower"] <= line["ours"] <= line["upper"]
            assert [line["format"], line["other format"]] == layer.formats
    for path in packaged:
        assert json.loads(path.read_text(encoding="utf-8"))["table"]
