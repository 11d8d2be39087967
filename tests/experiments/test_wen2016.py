"""The experiments of structured sparsity learning, on a few digits: what they count and compare."""

from functools import partial

import pytest
import torch

from sparsecourse import data, nets, papers, timing
from sparsecourse.data import Dataset, Split
from sparsecourse.experiments import wen2016
from sparsecourse.experiments.han2015 import new
from sparsecourse.pruning import dead_groups, masks
from sparsecourse.pruning.shapes import GatheredColumns
from sparsecourse.training import error, fit


@pytest.fixture(scope="module")
def few():
    """Small stand-ins for the three parts of MNIST."""
    digits = data.load("digits", shape=(1, 28, 28))
    parts = {
        name: Split(getattr(digits, name).X[:n], getattr(digits, name).y[:n])
        for name, n in {"train": 256, "validation": 64, "test": 64}.items()
    }
    return Dataset(
        name=digits.name,
        source=digits.source,
        feature_names=digits.feature_names,
        classes=digits.classes,
        **parts,
    )


def lenet_with_dead_groups():
    """Filters, channels and columns are dead, and what hangs on them."""
    model = new(nets.lenet5, seed=0)
    left = masks.masks_of(model)
    left["conv1"][[0, 4]] = False
    left["conv1"][:, :, 0] = False
    left["conv2"][:, 7] = False
    left["conv2"][10:30] = False
    left["conv2"][:, 2, 1:3] = False
    masks.apply(model, dead_groups.connect(left, wen2016.LENET))
    return model


def test_the_compacted_network_is_the_masked_one():
    model = lenet_with_dead_groups()
    small = wen2016.compacted(model)
    assert small.conv1.weight.shape == (17, 1, 5, 5)
    assert small.conv2.weight.shape == (30, 17, 5, 5)
    assert small.fc1.weight.shape == (500, 480)
    assert small.fc2.weight.shape == (10, 500)
    X = torch.rand(4, 1, 28, 28)
    torch.testing.assert_close(small(X), model(X), atol=1e-5, rtol=1e-5)
    gathered = wen2016._without_dead_columns(model)
    torch.testing.assert_close(gathered(X), model(X), atol=1e-5, rtol=1e-5)
    assert gathered.conv1.product.weight.shape == (17, 20, 1, 1)
    assert gathered.conv2.product.weight.shape == (30, 17 * 25 - 10, 1, 1)
    assert isinstance(gathered.conv2.columns, GatheredColumns)


def test_the_dead_stay_dead_while_the_compacted_network_is_tuned(few):
    small = wen2016.compacted(lenet_with_dead_groups())
    before = dead_groups.counts(small)
    weights = small.conv2.weight.detach().clone()
    wen2016.fine_tune(small, few.train, epochs=1)
    assert dead_groups.counts(small).equals(before)
    assert before.loc["conv1", "shapes"] == 20
    assert not torch.equal(small.conv2.weight, weights)


def test_pixels_that_died_stay_inputs_with_weight_zero():
    model = new(nets.mlp_500_300, seed=0)
    left = masks.masks_of(model)
    left["fc1"][:, 100:] = False
    left["fc1"][40:] = False
    left["fc2"][30:] = False
    masks.apply(model, dead_groups.connect(left, wen2016.PERCEPTRON))
    small = wen2016.compacted(model)
    assert [tuple(layer.weight.shape) for layer in (small.fc1, small.fc2, small.fc3)] == [
        (40, 784),
        (30, 40),
        (10, 30),
    ]
    X = torch.rand(4, 1, 28, 28)
    torch.testing.assert_close(small(X), model(X), atol=1e-5, rtol=1e-5)
    assert dead_groups.counts(small)["channels"].tolist() == [100, 40, 30]


def test_learning_ends_with_no_more_groups_than_asked_for(few):
    model = new(nets.mlp_500_300, seed=0)
    limits = {"fc1": {"channels": 300, "filters": 60}, "fc2": {"filters": 40}}
    prices = {
        layer: {kind: 10 * lam for kind, lam in kinds.items()}
        for layer, kinds in wen2016.NEURON_PRICES.items()
    }
    settings = {"until": limits, "following": wen2016.PERCEPTRON, "epochs": 60, "augment": None}
    wen2016.learn_structure(model, few.train, prices=prices, **settings)
    left = dead_groups.counts(model)
    assert 250 <= left.loc["fc1", "channels"] <= 300
    assert 50 <= left.loc["fc1", "filters"] <= 60
    assert 30 <= left.loc["fc2", "filters"] <= 40
    assert left["channels"].tolist()[1:] == left["filters"].tolist()[:2]
    assert error(model, few.train.X, few.train.y) < 0.8, "not all is dead"


@pytest.mark.parametrize("experiment", wen2016.EXPERIMENTS, ids=lambda e: e.name)
def test_rows_and_columns_are_those_of_the_papers_table(experiment, few, monkeypatch):
    """The whole run, an epoch each; what is measured is the network that is counted."""
    monkeypatch.setattr(wen2016.data, "load", lambda name: few)
    monkeypatch.setattr(wen2016, "fit", lambda *a, epochs, **s: fit(*a, epochs=1, **s))
    quick = partial(timing.measure_in_turn, at_most=0.01)
    monkeypatch.setattr(wen2016.timing, "measure_in_turn", quick)
    tested = []

    def watched(model, X, y, **settings):
        assert X is few.test.X
        assert y is few.test.y
        tested.append(model)
        return error(model, X, y, **settings)

    monkeypatch.setattr(wen2016, "error", watched)
    rows = experiment.run(0, torch.device("cpu"))
    table = papers.table(experiment.table)
    assert [(row,) for row in rows if (row,) not in table.rows] == []
    assert len(tested) == len(rows), "test data are read once a row"
    for found in rows.values():
        assert 0 <= found["error_percent"] <= 100
    if experiment.name != "wen2016_neurons":
        assert all(set(found) <= set(table.columns) for found in rows.values())
        last = list(rows.values())[-1]
        assert set(last) == set(table.columns) - {"lenet"}
        assert last["conv1_speedup"] > 0
    else:
        assert set(rows["3"]) >= {"fc1_inputs", "fc2_inputs", "fc3_inputs", "fc1_flop_percent"}
    assert experiment.differs
    assert experiment.minutes > 0
