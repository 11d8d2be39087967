"""VGG-16 pruned to the paper's numbers of filters, tried on patterns: the plan, counts, and rows."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from sparsecourse import nets, papers
from sparsecourse.experiments import cifar, li2017
from sparsecourse.experiments.han2015 import new
from sparsecourse.papers.published import printed
from sparsecourse.pruning import criteria
from sparsecourse.pruning.graph import trace
from sparsecourse.training import error, fit
from tests.experiments.few_images import few_images

CPU = torch.device("cpu")
LEFT = {  # layers that lose filters, with what the paper leaves
    "conv1_1": 32,
    **dict.fromkeys(("conv4_1", "conv4_2", "conv4_3", "conv5_1", "conv5_2", "conv5_3"), 256),
}


def test_each_layer_keeps_the_filters_of_largest_l1_norm_as_many_as_in_the_paper():
    net = new(nets.vgg16_cifar, seed=0)
    graph = trace(net, torch.zeros(1, 3, 32, 32))
    plan = li2017.vgg16_plan(graph, criteria.l1(graph))
    assert {name: len(kept) for name, kept in plan.kept.items()} == LEFT
    for name, kept in plan.kept.items():
        weight = net.get_submodule(name).weight.detach().numpy()
        lengths = np.abs(weight.reshape(len(weight), -1)).sum(1)
        assert list(kept) == sorted(np.argsort(lengths)[-LEFT[name] :])


def test_new_weights_are_of_the_same_shapes_and_of_the_seed():
    given = new(nets.convnet, seed=0)
    state = torch.get_rng_state()
    one, again, other = (li2017.new_weights(given, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    for name, parameter in given.named_parameters():
        assert one.get_parameter(name).shape == parameter.shape
        assert torch.equal(one.get_parameter(name), again.get_parameter(name))
        assert not torch.equal(one.get_parameter(name), other.get_parameter(name))
        assert not torch.equal(one.get_parameter(name), parameter)


@pytest.fixture(scope="module")
def ran():
    """One whole run on patterns: its rows, the networks that were tested, and how all trained."""
    few = few_images(train=16, test=8)
    tested, trainings = [], []

    def watched_error(model, X, y, **settings):
        assert y is few.test.y
        tested.append(copy.deepcopy(model))
        return error(model, X, y, **settings)

    def watched_fit(model, *data, **settings):
        trainings.append(settings)
        return fit(model, *data, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar.data, "load", lambda name: few)
        patch.setattr(li2017, "error", watched_error)
        patch.setattr(li2017, "fit", watched_fit)
        settings = replace(li2017.FULL, dense_epochs=1, retraining_epochs=1, batch_size=8)
        rows = li2017._vgg16(settings, 0, CPU)
    assert len(tested) == len(rows), "test data are read once a row"
    return rows, dict(zip(rows, tested, strict=True)), trainings


def test_costs_are_those_that_the_paper_prints(ran):
    rows, tested, _ = ran
    for row, found in rows.items():  # without biases and normalisations
        weights = [p.numel() for p in tested[row].parameters() if p.ndim > 1]
        assert found["parameters"] == sum(weights)
    paper = printed("li2017_filter_pruning").set_index("model")
    for row in ("VGG-16", "VGG-16-pruned-A"):
        assert f"{rows[row]['flop']:.2e}".replace("e+0", "e") == paper.loc[row, "flop"]
        found = f"{rows[row]['parameters']:.1e}".replace("e+0", "e")
        assert found == paper.loc[row, "parameters"]
    for column in ("flop_pruned_percent", "parameters_pruned_percent"):
        percents = {f"{found[column]:.1f}" for row, found in rows.items() if "-pruned-A" in row}
        assert percents == {paper.loc["VGG-16-pruned-A", column]}
        assert column not in rows["VGG-16"]


def test_before_retraining_the_small_network_is_the_dense_one_with_silent_filters(ran):
    _, tested, _ = ran
    dense, pruned = (tested[row].eval() for row in ("VGG-16", "VGG-16-pruned-A, not retrained"))
    masked = copy.deepcopy(dense)
    for name, left in LEFT.items():
        lengths = masked.get_submodule(name).weight.detach().abs().sum((1, 2, 3))
        norm = masked.get_submodule(name.replace("conv", "norm"))
        for parameter in (norm.weight, norm.bias):
            parameter.data[lengths.argsort()[: len(lengths) - left]] = 0
    X = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(pruned(X), masked(X), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(pruned(X), dense(X), atol=1e-3)
    for row in ("VGG-16-pruned-A", "VGG-16-pruned-A scratch-train"):
        assert not torch.allclose(tested[row].eval()(X), pruned(X), atol=1e-4)
    assert not torch.allclose(tested["VGG-16, trained further"].eval()(X), dense(X), atol=1e-4)


def test_controls_are_trained_as_long_as_what_they_stand_beside(ran):
    rows, _, trainings = ran
    assert set(rows) - {row for (row,) in papers.table("li2017_filter_pruning").rows} == {
        "VGG-16, trained further",
        "VGG-16-pruned-A, not retrained",
    }
    dense, further, retrained, scratch = trainings
    assert [t["epochs"] for t in trainings] == [1, 1, 1, 2]
    assert further["seed"] == retrained["seed"] != dense["seed"]
    assert further["optimizer"].keywords == retrained["optimizer"].keywords
    assert scratch["optimizer"].keywords == dense["optimizer"].keywords


@pytest.mark.parametrize("experiment", li2017.EXPERIMENTS, ids=lambda e: e.name)
def test_short_runs_are_named_so_and_say_what_they_are_made_of(experiment):
    settings = experiment.run.args[0]
    images = settings.train_images or 45_000
    assert f"{images:,} training" in experiment.differs
    assert f"{settings.dense_epochs} epochs" in experiment.differs
    assert experiment.name.endswith("_short") == (images < 45_000)
    assert ("far above the paper's" in experiment.differs) == (images < 45_000)
