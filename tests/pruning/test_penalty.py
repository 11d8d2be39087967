"""The l1 penalty as a hook: its subgradient, and what it does to weights under a mask."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD

from sparsecourse.pruning import masks
from sparsecourse.pruning.penalty import L1Penalty
from sparsecourse.training import constant, fit


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))


def samples():
    X = torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
    return X, X[:, :3].argmax(1)


def one_step(model, hooks):
    optimizer = partial(SGD, lr=0.1)
    fit(model, samples(), epochs=1, optimizer=optimizer, schedule=constant, hooks=hooks)
    return model


def test_a_step_is_one_on_the_loss_plus_the_sum_of_absolute_weights():
    lam = 0.03
    model = one_step(network(), [L1Penalty(lam)])
    expected = network()
    X, y = samples()
    loss = nn.functional.cross_entropy(expected(X), y)
    loss = loss + lam * sum(expected[i].weight.abs().sum() for i in (0, 2))
    loss.backward()
    for mine, its in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(mine, its - 0.1 * its.grad)


def test_biases_have_no_price():
    with_price, without = one_step(network(), [L1Penalty(0.5)]), one_step(network(), [])
    assert torch.equal(with_price[2].bias, without[2].bias)
    assert not torch.equal(with_price[2].weight, without[2].weight)


def test_weights_under_a_mask_stay_zero_and_the_others_are_drawn_to_zero():
    model = network()
    masks.apply(model, masks.magnitude(model, keep=0.5))
    zeros = masks.sparsity(model)["zeros"]
    before = model[0].weight.abs().sum()
    one_step(model, [L1Penalty(0.5)])
    assert masks.sparsity(model)["zeros"].equals(zeros)
    assert model[0].weight.abs().sum() < 0.9 * before


@pytest.mark.parametrize("lam", [0, -1.0, float("nan"), "much"])
def test_a_price_must_be_positive(lam):
    with pytest.raises(ValueError, match="lam must be"):
        L1Penalty(lam)
