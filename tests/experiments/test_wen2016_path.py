"""The path of rising prices, on a few digits: what is charged, kept and counted."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from torch.optim import SGD

from sparsecourse import data, nets
from sparsecourse.data import Dataset, Split
from sparsecourse.experiments import wen2016_path
from sparsecourse.experiments.han2015 import new
from sparsecourse.pruning import dead_groups
from sparsecourse.training import fit

LAMS = (0.0, 0.1, 0.4)


@pytest.fixture(scope="module")
def few():
    digits = data.load("digits", shape=(1, 28, 28))
    parts = {
        name: Split(getattr(digits, name).X[:n], getattr(digits, name).y[:n])
        for name, n in {"train": 512, "validation": 64, "test": 64}.items()
    }
    return Dataset(
        name=digits.name,
        source=digits.source,
        feature_names=digits.feature_names,
        classes=digits.classes,
        **parts,
    )


@pytest.fixture
def short(monkeypatch, few):
    for name, value in {"LAMS": LAMS, "DENSE_EPOCHS": 1, "EPOCHS": 1}.items():
        monkeypatch.setattr(wen2016_path, name, value)
    monkeypatch.setattr(data, "load", lambda name: few)


def test_prices_go_with_the_root_of_the_number_of_weights():
    charged = wen2016_path.prices(nets.lenet5(), 0.1)
    assert charged["conv1"] == pytest.approx({"filters": 0.5})
    expected = {"filters": 0.1 * 500**0.5, "channels": 0.1 * 1250**0.5}
    assert charged["conv2"] == pytest.approx(expected)


def test_the_path_begins_with_training_without_a_price(short, few):
    lam, model = next(wen2016_path.follow(few.train, 3, "cpu"))
    expected = new(nets.lenet5, 3)
    shared = {"epochs": 1, "batch_size": 128, "seed": 3, "device": "cpu"}
    fit(expected, few.train, **shared)
    sgd = partial(SGD, lr=0.05, momentum=0.9, weight_decay=5e-4)
    fit(expected, few.train, optimizer=sgd, clip=1.0, **shared)
    assert lam == 0
    assert torch.equal(model.conv1.weight, expected.conv1.weight)
    assert torch.equal(model.fc2.weight, expected.fc2.weight)


def test_groups_die_as_the_price_rises_and_both_ends_go(short, few):
    left = {lam: dead_groups.counts(m) for lam, m in wen2016_path.follow(few.train, 0, "cpu")}
    assert tuple(left) == LAMS
    filters = [counts["filters"]["conv1"] for counts in left.values()]
    assert filters[0] == 20
    assert filters == sorted(filters, reverse=True)
    assert filters[-1] < 20
    for counts in left.values():
        assert counts["filters"]["conv1"] == counts["channels"]["conv2"]


def test_rows_count_the_compacted_network_and_its_errors(short, monkeypatch):
    model = new(nets.lenet5, 0)
    with torch.no_grad():
        model.conv1.weight[5:] = 0
        model.conv2.weight[:, 5:] = 0
        model.conv2.weight[30:] = 0
        model.fc1.weight[:, 30 * 16 :] = 0
    left = {
        name: layer.weight != 0
        for name, layer in model.named_children()
        if "weight" in dict(layer.named_parameters())
    }
    wen2016_path.masks.apply(model, left)
    monkeypatch.setattr(wen2016_path, "follow", lambda *given: iter([(0.25, model)]))
    monkeypatch.setattr(wen2016_path, "RETRAINING_EPOCHS", 1)
    ((row, figures),) = wen2016_path._path(0, torch.device("cpu")).items()
    assert row == "0.25"
    assert (figures["conv1_filters"], figures["conv2_filters"]) == (5, 30)
    counted = 5 * 25 * 576 + 30 * 5 * 25 * 64 + 30 * 16 * 500 + 5000
    assert figures["multiply_adds_percent"] == pytest.approx(100 * counted / 2_293_000)
    assert figures["retrained_error_percent"] < figures["error_percent"]


def test_the_filters_are_stored_whole_and_read_again(short, tmp_path):
    path = tmp_path / "filters.json"
    wen2016_path.store_filters(1, path)
    assert [file.name for file in tmp_path.iterdir()] == ["filters.json"]
    assert json.loads(path.read_text())["seed"] == 1
    read = wen2016_path.load_filters(path)
    few = data.load("mnist").train
    for lam, model in wen2016_path.follow(few, 1, "cpu"):
        weights = model.conv1.weight.detach()[:, 0].numpy()
        np.testing.assert_allclose(read[lam], weights, atol=0.5e-3 + 1e-6)
        dead = ~weights.any(axis=(1, 2))
        assert not read[lam][dead].any()
