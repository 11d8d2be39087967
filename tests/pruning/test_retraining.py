"""Pruning in rounds and on a schedule, and dropout that follows it."""

import copy
from itertools import pairwise

import pytest
import torch
from torch import nn

from sparsecourse import training
from sparsecourse.pruning import masks, retraining
from sparsecourse.pruning.retraining import GradualPruning, adjust_dropout, iterative
from sparsecourse.training import Step


def network(p=0.5):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Dropout(0.2),
        nn.Linear(8, 20),
        nn.ReLU(),
        nn.Dropout(p),
        nn.Linear(20, 5),
    )


def samples(n=40):
    generator = torch.Generator().manual_seed(1)
    X = torch.randn(n, 8, generator=generator)
    return X, X[:, :5].argmax(1)


def zeros(model):
    return int(masks.sparsity(model).loc["total", "zeros"])


def test_rounds_prune_and_then_retrain():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    X, y = samples()
    seen = []

    def retrain(pruned):
        assert pruned is model
        seen.append(masks.masks_of(pruned))
        for _ in range(3):
            optimizer.zero_grad()
            nn.functional.cross_entropy(pruned(X), y).backward()
            optimizer.step()
        return zeros(pruned)

    assert iterative(model, [0.5, 0.25, 0.1], masks.magnitude, retrain) == [130, 195, 234]
    for before, after in pairwise(seen):
        assert all((after[name] <= before[name]).all() for name in before)


def test_each_round_ranks_the_weights_that_retraining_left():
    model = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 2, 3, 4]]))

    def swap(pruned):
        with torch.no_grad():
            pruned.parametrizations.weight.original.copy_(torch.tensor([[9.0, 4, 1, 2]]))

    iterative(model, [0.75, 0.5], masks.magnitude, swap)
    assert masks.masks_of(model)[""].tolist() == [[False, True, False, True]]


def test_rounds_lower_dropout_from_its_first_ratio():
    model, ratios = network(), []
    iterative(model, [0.5, 0.25], masks_alone, lambda pruned: ratios.append(pruned[3].p))
    assert ratios == pytest.approx([0.5 * 0.5**0.5, 0.25])


def masks_alone(model, share):
    return masks.magnitude(model, {"1": share, "4": 0.1}, scope="layer")


def test_dropout_follows_the_layer_whose_neurons_it_drops():
    model = network()
    chosen = masks.magnitude(model, {"1": 0.25, "4": 0.1}, scope="layer")
    adjust_dropout(model, chosen)
    assert model[3].p == pytest.approx(0.25)
    assert model[0].p == 0.2, "nothing leads to the input"
    adjust_dropout(model, chosen)
    assert model[3].p == pytest.approx(0.25), "a second call changes nothing"
    adjust_dropout(model, {"4": chosen["4"]})
    assert model[3].p == pytest.approx(0.5), "layers without a mask are dense"


class Branches(nn.Module):
    """Two layers whose outputs come together before dropout."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 6), nn.Linear(12, 6)
        self.drop, self.last = nn.Dropout(0.5), nn.Linear(6, 2)

    def forward(self, x):
        return self.last(self.drop(self.left(x[:, :4]).relu() + self.right(x)))


def test_dropout_behind_two_layers_counts_the_connections_of_both():
    model = Branches()
    masks.apply(model, masks.magnitude(model, {"left": 0.0, "right": 1 / 3}, scope="layer"))
    adjust_dropout(model, masks.masks_of(model))
    assert model.drop.p == pytest.approx(0.5 * (24 / 96) ** 0.5)


def test_dropout_behind_a_convolution_follows_its_weights():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.4), nn.Linear(4, 2)
    )
    adjust_dropout(model, masks.magnitude(model, {"0": 0.25}, scope="layer"))
    assert model[3].p == pytest.approx(0.2)


def test_dropout_in_two_places_is_refused_by_name():
    drop = nn.Dropout(0.5)
    model = nn.Sequential(nn.Linear(2, 2), drop, nn.Linear(2, 2), drop)
    with pytest.raises(ValueError, match="1 drops neurons in 2 places"):
        adjust_dropout(model, {})
    with pytest.raises(ValueError, match=r"masks names \['9'\]"):
        adjust_dropout(network(), {"9": torch.ones(1)})


class Untraceable(nn.Linear):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else x


def test_a_network_without_dropout_need_not_be_traced():
    adjust_dropout(Untraceable(2, 2), {})


def walk(hook, model, steps):
    """Number of zeros in the forward of each step."""
    counts = []
    for number in range(steps):
        hook.before_step(Step(model, None, 0, number, steps))
        counts.append(zeros(model))
    return counts


def test_gradual_pruning_prunes_at_the_steps_of_the_schedule_and_at_no_others():
    model = network()
    hook = GradualPruning(model, 0.9, start=2, updates=2, every=3, initial=0.2)
    n = 260
    halfway = round(n * (0.9 - 0.7 / 8))
    expected = [0, 0, 52, 52, 52, halfway, halfway, halfway, 234, 234]
    assert walk(hook, model, 10) == expected


def test_gradual_pruning_ranks_all_layers_together():
    model = network()
    with torch.no_grad():
        model[4].weight.fill_(9.0)
    walk(GradualPruning(model, 0.5, start=0, updates=1, every=1), model, 2)
    assert masks.sparsity(model)["zeros"].to_dict() == {"1": 130, "4": 0, "total": 130}


def test_a_schedule_that_does_not_fit_into_training_is_refused():
    model = network()
    hook = GradualPruning(model, 0.9, start=2, updates=2, every=3)
    with pytest.raises(ValueError, match="before step 8, and training has steps 0 to 7"):
        walk(hook, model, 8)
    assert walk(hook, model, 9)[-1] == 234
    with pytest.raises(ValueError, match="final must be at least initial"):
        GradualPruning(model, 0.1, start=0, updates=1, every=1, initial=0.2)
    with pytest.raises(ValueError, match="updates and every must be >= 1"):
        GradualPruning(model, 0.1, start=0, updates=1, every=0)


class StopAt:
    def __init__(self, epoch):
        self.epoch = epoch

    def before_step(self, step):
        if step.epoch == self.epoch:
            raise KeyboardInterrupt


def gradual(model, checkpoint, *hooks):
    schedule = GradualPruning(model, 0.8, start=2, updates=5, every=2)
    training.fit(
        model,
        samples(),
        epochs=4,
        batch_size=10,
        hooks=[schedule, *hooks],
        device="cpu",
        checkpoint=checkpoint,
        progress=False,
    )


def test_gradual_pruning_in_training_reaches_its_sparsity_and_can_be_resumed(tmp_path):
    model, fresh = network(), network()
    gradual(model, None)
    assert zeros(model) == round(0.8 * 260)
    with pytest.raises(KeyboardInterrupt):
        gradual(network(), tmp_path / "run.pt", StopAt(2))
    gradual(fresh, tmp_path / "run.pt")
    state, expected = fresh.state_dict(), model.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in state)


def test_retraining_keeps_the_masks_of_a_copy_apart():
    model = network()
    twin = copy.deepcopy(model)
    retraining.iterative(twin, [0.1], masks.magnitude, zeros)
    assert zeros(model) == 0
    assert model[3].p == 0.5
