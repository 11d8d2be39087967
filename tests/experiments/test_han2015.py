"""The experiments of weight pruning, on a few digits: what they count and what they compare."""

import copy

import numpy as np
import pytest
import torch

from sparsecourse import data, nets
from sparsecourse.data import Split
from sparsecourse.experiments import han2015
from sparsecourse.pruning import masks, storage
from sparsecourse.training import error, fit


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", shape=(1, 28, 28))


@pytest.fixture(scope="module")
def few(digits):
    return Split(digits.train.X[:600], digits.train.y[:600])


@pytest.mark.parametrize(
    ("net", "rate"), [(nets.lenet_300_100, 12), (nets.lenet_300_100, 30), (nets.lenet5, 12)]
)
def test_rates_are_of_all_parameters_biases_included(net, rate, few):
    model = han2015.new(net, seed=0)
    masks.apply(model, masks.magnitude(model, han2015.share_of_weights(model, rate)))
    parameters = sum(p.numel() for p in model.parameters())
    left = sum(int(layer.weight.count_nonzero()) for layer in masks.weight_layers(model).values())
    left += sum(layer.bias.numel() for layer in masks.weight_layers(model).values())
    found = han2015.measured(model, few)
    assert found["parameters"] == left
    assert found["compression_rate"] == pytest.approx(parameters / left, rel=1e-12)
    assert rate <= parameters / left < 1.001 * rate


@pytest.mark.parametrize("rate", [0.5, 700, 1e9])
def test_a_rate_that_cannot_be_reached_is_refused(rate):
    with pytest.raises(ValueError, match=r"rate must be at least 1 .* 410 biases, got"):
        han2015.share_of_weights(han2015.new(nets.lenet_300_100, 0), rate)


def test_what_is_measured_is_the_stored_network(few):
    model = han2015.new(nets.lenet_300_100, seed=0)
    fit(model, few, epochs=1)
    masks.apply(model, masks.magnitude(model, 0.1))
    found = han2015.measured(model, few)
    assert found["stored_bytes"] == storage.stored_bytes(model, 8)
    assert found["top1_error_percent"] == 100 * error(model, few.X, few.y)
    dense = han2015.measured(model, few, index_bits={})
    assert dense["stored_bytes"] > 4 * 266_610


def test_a_seed_gives_one_network_and_leaves_the_generator_alone():
    torch.manual_seed(7)
    first, drawn = han2015.new(nets.lenet_300_100, seed=0), torch.rand(1)
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.rand(1))
    assert torch.equal(han2015.new(nets.lenet_300_100, seed=0).fc1.weight, first.fc1.weight)
    assert not torch.equal(han2015.new(nets.lenet_300_100, seed=1).fc1.weight, first.fc1.weight)


def test_gradual_pruning_ends_at_the_share_and_then_trains_on(few, monkeypatch):
    left = []

    def watched(*arguments, hooks, **settings):
        class Watch:
            def after_step(self, step):
                left.append(1 - masks.sparsity(step.model).loc["total", "sparsity"])

        return fit(*arguments, hooks=[*hooks, Watch()], **settings)

    monkeypatch.setattr(han2015, "fit", watched)
    model = han2015.new(nets.lenet_300_100, seed=0)
    han2015.prune_gradually(model, few, keep=0.1, epochs=10, learning_rate=3e-3)
    assert len(left) == 30
    assert np.all(np.diff(left) <= 0)
    assert left[-1] == pytest.approx(0.1, abs=1e-5)
    assert left[15] > 0.1001
    assert left[21:] == [left[-1]] * 9


def test_one_cut_is_retrained_as_long_as_the_rounds_together(digits, few, monkeypatch):
    asked = []

    def watched(model, train, *, epochs, **settings):
        asked.append((masks.sparsity(model).loc["total", "sparsity"], epochs))
        return fit(model, train, epochs=1, **settings)

    monkeypatch.setattr(han2015, "fit", watched)
    han2015.trade_off(few, digits.validation, lam=None, keeps=(0.5, 0.25, 0.1), epochs=7)
    assert [epochs for _, epochs in asked] == [7, 2, 4, 6, 2, 2, 2]
    left = [round(1 - sparsity, 3) for sparsity, _ in asked]
    assert left == [1, 0.5, 0.25, 0.1, 0.5, 0.25, 0.1]


def test_the_trade_off_compares_ways_that_start_alike(digits, few):
    settings = {"keeps": (0.2, 0.03), "epochs": 20, "retraining_epochs": 5, "device": "cpu"}
    errors = han2015.trade_off(few, digits.validation, lam=None, **settings)
    assert list(errors.index) == [1.0, 0.2, 0.03]
    assert not errors.isna().any(axis=None)
    assert errors.loc[1.0].nunique() == 1
    # The first round is the first cut; the next one starts from it.
    assert errors.loc[0.2, "one cut"] == errors.loc[0.2, "in rounds"]
    assert errors.loc[0.03, "one cut"] != errors.loc[0.03, "in rounds"]
    assert errors.loc[0.03, "not retrained"] > errors.loc[0.03, "one cut"]
    with_l1 = han2015.trade_off(few, digits.validation, lam=1e-3, **settings)
    assert with_l1.loc[0.03, "not retrained"] < errors.loc[0.03, "not retrained"]


def test_the_scan_prunes_one_layer_alone(digits, few):
    model = han2015.new(nets.lenet5, seed=0)
    fit(model, few, epochs=2)
    rows = han2015._sensitivity(model, digits.validation, "cpu")
    X, y = digits.validation.X, digits.validation.y
    assert set(rows) == {f"{name} alone" for name in ("conv1", "conv2", "fc1", "fc2")}
    assert {row["100 % kept"] for row in rows.values()} == {100 * error(model, X, y)}
    alone = copy.deepcopy(model)
    masks.apply(alone, masks.magnitude(alone, {"conv2": 0.1}, scope="layer"))
    assert rows["conv2 alone"]["10 % kept"] == 100 * error(alone, X, y)
