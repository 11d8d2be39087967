"""Structured sparsity learning: the price, the two ways to lower it, schedules and limits."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD

from sparsecourse.functional.weight_groups import group_norms
from sparsecourse.pruning import dead_groups, masks, ssl
from sparsecourse.training import NonFiniteError, Step, constant, fit

RATE = 0.1
SMALL = {"conv": {"filters": 0.2, "channels": 0.1}, "fc": {"shapes": 0.3}}


def network():
    torch.manual_seed(0)
    layers = {"conv": nn.Conv2d(2, 6, 3), "relu": nn.ReLU(), "flatten": nn.Flatten()}
    layers["fc"] = nn.Linear(6 * 4, 3)
    net = nn.Sequential()
    for name, layer in layers.items():
        net.add_module(name, layer)
    return net


def samples():
    X = torch.randn(60, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    return X, X.flatten(1)[:, :3].argmax(1)


def trained(model, hooks, epochs=1, lr=RATE, batch_size=60, **settings):
    fit(
        model,
        samples(),
        epochs=epochs,
        batch_size=batch_size,
        optimizer=partial(SGD, lr=lr),
        schedule=constant,
        hooks=hooks,
        device="cpu",
        **settings,
    )
    return model


def after_a_plain_step(lr=RATE):
    """A network after one step of gradient descent by hand, on the loss alone."""
    model = network()
    X, y = samples()
    cross_entropy(model(X), y).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= lr * parameter.grad
    return model


def shrunk(matrix, threshold):
    """The block soft threshold of each row."""
    norms = matrix.norm(dim=1, keepdim=True)
    return torch.where(norms > threshold, (1 - threshold / norms) * matrix, 0)


def assert_same(model, expected):
    for mine, its in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(mine, its)


def test_the_penalty_is_the_sum_of_prices_times_lengths():
    model = network()
    W, V = model.conv.weight, model.fc.weight
    expected = 0.2 * sum(W[i].norm() for i in range(6)) + 0.1 * sum(
        W[:, j].norm() for j in range(2)
    )
    expected = expected + 0.3 * sum(V[:, j].norm() for j in range(24))
    torch.testing.assert_close(ssl.penalty(model, SMALL), expected)
    assert ssl.penalty(model, {}) == 0


def test_a_proximal_step_shrinks_after_the_step_by_rate_times_price_kind_by_kind():
    model = trained(network(), [ssl.ProximalStep(network(), SMALL)])
    expected = after_a_plain_step()
    with torch.no_grad():
        W = expected.conv.weight
        W.copy_(shrunk(W.flatten(1), RATE * 0.2).reshape(W.shape))
        by_channel = shrunk(W.transpose(0, 1).flatten(1), RATE * 0.1)
        W.copy_(by_channel.reshape(2, 6, 3, 3).transpose(0, 1))
        V = expected.fc.weight
        V.copy_(shrunk(V.T, RATE * 0.3).T)
    assert_same(model, expected)


def test_a_subgradient_step_is_one_on_the_loss_plus_the_penalty():
    model = trained(network(), [ssl.Subgradient(network(), SMALL)])
    expected = network()
    X, y = samples()
    (cross_entropy(expected(X), y) + ssl.penalty(expected, SMALL)).backward()
    with torch.no_grad():
        for parameter in expected.parameters():
            parameter -= RATE * parameter.grad
    assert_same(model, expected)


def test_the_step_size_is_the_one_of_this_step_and_of_this_weight():
    class Rates:
        """Each weight moves at its own rate, which changes from step to step."""

        def before_step(self, step):
            for group in step.optimizer.param_groups:
                group["lr"] = 0 if group["params"][0].ndim == 2 else 0.5

    def two_groups(parameters):
        parameters = list(parameters)
        return SGD([{"params": [p]} for p in parameters], lr=1.0)

    model = network()
    before = group_norms(model.conv.weight.detach(), "filters")
    hooks = [Rates(), ssl.ProximalStep(model, {"conv": {"filters": 0.2}, "fc": {"shapes": 9.0}})]
    X = torch.zeros(6, 2, 4, 4)
    fit(
        model,
        (X, torch.tensor([0, 1, 2, 0, 1, 2])),
        epochs=1,
        optimizer=two_groups,
        schedule=constant,
        hooks=hooks,
        device="cpu",
    )
    # No gradient reaches the filters, as there is nothing in the images.
    after = group_norms(model.conv.weight.detach(), "filters")
    torch.testing.assert_close(after, before - 0.5 * 0.2)
    assert torch.equal(model.fc.weight, network().fc.weight)


def test_the_proximal_step_ends_in_exact_zeros_and_the_subgradient_does_not():
    prices = {"conv": {"filters": 0.15}}
    proximal = trained(network(), [ssl.ProximalStep(network(), prices)], epochs=100)
    descended = trained(network(), [ssl.Subgradient(network(), prices)], epochs=100)
    assert 1 <= dead_groups.counts(proximal).loc["conv", "filters"] < 6
    assert dead_groups.counts(descended).loc["conv", "filters"] == 6
    # It goes to and fro by a step, rate times price, around what the other finds to be zero.
    dead = group_norms(proximal.conv.weight.detach(), "filters") == 0
    norms = group_norms(descended.conv.weight.detach(), "filters")
    assert (norms[dead] > 0).all()
    assert norms[dead].max() < 1.1 * RATE * 0.15
    relative = float(1.1 * RATE * 0.15 / norms.max())
    assert not dead_groups.collect(descended, prices, relative)["conv"][dead].any()


def test_of_a_convex_loss_proximal_steps_find_the_group_lasso():
    """With identity inputs, the loss ||W - B||^2 / 2 has a minimum in closed form."""

    class Squares(nn.Module):
        def forward(self, scores, targets):
            return 0.5 * (scores - B[:, targets].T).square().sum()

    torch.manual_seed(0)
    B = torch.randn(5, 4)
    model = nn.Sequential(nn.Linear(4, 5, bias=False))
    fit(
        model,
        (torch.eye(4), torch.arange(4)),
        epochs=60,
        optimizer=partial(SGD, lr=0.5),
        schedule=constant,
        loss=Squares(),
        hooks=[ssl.ProximalStep(model, {"0": {"filters": 1.9}})],
        device="cpu",
    )
    expected = shrunk(B, 1.9)
    assert 0 < (expected == 0).all(1).sum() < 5
    torch.testing.assert_close(model[0].weight.detach(), expected, atol=1e-6, rtol=1e-6)


def test_the_price_rises_stays_and_ends():
    def factors(schedule):
        return [schedule(Step(None, None, 0, number, 10)) for number in range(10)]

    assert factors(ssl.constant_price) == [1] * 10
    assert factors(ssl.warm_up(0.5)) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1])
    assert factors(ssl.warm_up(0.2, off=0.6)) == pytest.approx([0, 0.5, 1, 1, 1, 1, 0, 0, 0, 0])
    assert factors(ssl.warm_up(0)) == [1] * 10
    with pytest.raises(ValueError, match=r"up must be at most off, 0.2, got 0.5"):
        ssl.warm_up(0.5, off=0.2)


@pytest.mark.parametrize("way", [ssl.ProximalStep, ssl.Subgradient])
def test_without_a_price_training_is_as_if_there_were_no_hook(way):
    hook = way(network(), {"conv": {"filters": 5.0}}, lambda step: 0.0)
    plain = trained(network(), [], epochs=3)
    for mine, its in zip(
        trained(network(), [hook], epochs=3).parameters(), plain.parameters(), strict=True
    ):
        torch.testing.assert_close(mine, its, rtol=1e-6, atol=1e-8)


def test_the_schedule_scales_the_price():
    half = ssl.ProximalStep(network(), {"conv": {"filters": 0.4}}, lambda step: 0.5)
    whole = ssl.ProximalStep(network(), {"conv": {"filters": 0.2}})
    assert_same(trained(network(), [half], epochs=3), trained(network(), [whole], epochs=3))
    half = ssl.Subgradient(network(), {"conv": {"filters": 0.4}}, lambda step: 0.5)
    whole = ssl.Subgradient(network(), {"conv": {"filters": 0.2}})
    assert_same(trained(network(), [half], epochs=3), trained(network(), [whole], epochs=3))


def with_limit(limit, epochs=60):
    model = network()
    counted = []

    class Watch:
        def after_step(self, step):
            counted.append(int(dead_groups.counts(step.model).loc["conv", "filters"]))

    prices = {"conv": {"filters": 1.0}}
    hook = ssl.ProximalStep(model, prices, ssl.warm_up(1.0), until={"conv": {"filters": limit}})
    trained(model, [hook, Watch()], epochs=epochs)
    return model, counted


def test_with_few_enough_groups_the_dead_are_held_and_the_price_ends():
    model, counted = with_limit(3)
    assert counted[0] == 6
    assert counted[-1] == 3
    reached = counted.index(3)
    assert reached < 50
    assert counted[reached:] == [3] * (60 - reached)
    mask = masks.masks_of(model)["conv"]
    assert torch.equal(
        mask, (model.conv.weight != 0).flatten(1).any(1)[:, None, None, None].expand_as(mask)
    )
    norms = group_norms(model.conv.weight.detach(), "filters")
    without_end = trained(
        network(), [ssl.ProximalStep(network(), {"conv": {"filters": 1.0}}, ssl.warm_up(1.0))], 60
    )
    longest = group_norms(without_end.conv.weight.detach(), "filters").max()
    assert norms.max() > 2 * longest, "those that are left grow again"


def test_a_price_that_kills_all_at_once_leaves_as_many_groups_as_the_limit():
    model = network()
    norms = group_norms(after_a_plain_step().conv.weight.detach(), "filters")
    hook = ssl.ProximalStep(model, {"conv": {"filters": 1e3}}, until={"conv": {"filters": 2}})
    trained(model, [hook])
    left = group_norms(model.conv.weight.detach(), "filters")
    halfway = norms.sort(descending=True).values[1:3].mean()
    torch.testing.assert_close(left, (norms - halfway).clamp(min=0), atol=1e-6, rtol=0)
    assert left.count_nonzero() == 2


def test_masks_for_the_limit_are_there_from_the_start_so_that_a_checkpoint_loads(tmp_path):
    def run(epochs, path=None):
        model = network()
        prices = {"conv": {"filters": 1.0}}
        hook = ssl.ProximalStep(model, prices, until={"conv": {"filters": 3}})
        return trained(model, [hook], epochs, checkpoint=path)

    path = tmp_path / "run.pt"

    class InterruptionError(Exception):
        pass

    class Stop:
        def before_step(self, step):
            if step.epoch == 30:
                raise InterruptionError

    model = network()
    hook = ssl.ProximalStep(model, {"conv": {"filters": 1.0}}, until={"conv": {"filters": 3}})
    with pytest.raises(InterruptionError):
        trained(model, [hook, Stop()], 40, checkpoint=path)
    for mine, its in zip(run(40, path).parameters(), run(40).parameters(), strict=True):
        assert torch.equal(mine, its)


def test_a_group_under_a_mask_has_no_length_that_momentum_gave_it():
    model = network()
    mask = torch.ones_like(model.conv.weight, dtype=torch.bool)
    mask[2] = False
    masks.apply(model, {"conv": mask})
    with torch.no_grad():
        masks.trained_weights(model)["conv"][2] = 5.0
    expected = sum(0.2 * model.conv.weight[i].norm() for i in range(6) if i != 2)
    torch.testing.assert_close(ssl.penalty(model, {"conv": {"filters": 0.2}}), expected)
    trained(model, [ssl.ProximalStep(model, {"conv": {"channels": 0.1}})])
    assert not masks.trained_weights(model)["conv"][2].any()


def test_a_run_that_diverges_stops_and_is_not_taken_for_dead_groups():
    hook = ssl.ProximalStep(network(), {"conv": {"filters": 1e-30}})
    with pytest.raises(NonFiniteError, match="the loss is inf"):
        trained(network(), [hook], epochs=300, lr=1e20)


def test_the_gradient_of_the_loss_is_clipped_and_the_price_of_a_proximal_step_is_not():
    class Norm:
        def after_step(self, step):
            gradients = [p.grad.flatten() for p in step.model.parameters()]
            assert torch.cat(gradients).norm() <= 1.0001e-3

    hook = ssl.ProximalStep(network(), {"conv": {"filters": 1.0}})
    before = group_norms(network().conv.weight.detach(), "filters")
    model = trained(network(), [hook, Norm()], clip=1e-3)
    after = group_norms(model.conv.weight.detach(), "filters")
    torch.testing.assert_close(after, before - RATE, atol=2e-4, rtol=0)


@pytest.mark.parametrize("way", [ssl.ProximalStep, ssl.Subgradient, ssl.penalty])
@pytest.mark.parametrize(
    ("prices", "message"),
    [
        ({"conv3": {"filters": 1.0}}, r"prices names \['conv3'\], the layers are"),
        ({"conv": {"rows": 1.0}}, "kind must be one of filters"),
        ({"conv": {"filters": -1.0}}, "lam must be >= 0, got -1"),
        ({"conv": {"filters": math.nan}}, "lam must be finite"),
        ({"conv": 1.0}, "prices of conv must be a mapping of kind of group to lam, got 1.0"),
    ],
)
def test_bad_prices_are_refused_before_training(way, prices, message):
    with pytest.raises(ValueError, match=message):
        way(network(), prices)


@pytest.mark.parametrize(
    ("until", "message"),
    [
        ({"conv": {"channels": 2}}, "until names 'channels' of 'conv', which have no price"),
        ({"fc": {"filters": 2}}, "until names 'filters' of 'fc', which have no price"),
        ({"conv": {"filters": 0}}, "until must be at least 1, got 0"),
        ({"conv": {"filters": 2.5}}, "until must be a whole number"),
    ],
)
def test_bad_limits_are_refused_before_training(until, message):
    with pytest.raises(ValueError, match=message):
        ssl.ProximalStep(network(), {"conv": {"filters": 1.0}}, until=until)
