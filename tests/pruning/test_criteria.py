"""Scores of filters."""

import pytest
import torch

from sparsecourse.nets import lenet5, vgg16_cifar
from sparsecourse.pruning import criteria
from sparsecourse.pruning.graph import trace


def test_norms_are_those_of_each_filter():
    net = lenet5()
    graph = trace(net, torch.zeros(1, 1, 28, 28))
    for name in ("conv1", "conv2"):
        weight = net.get_submodule(name).weight.detach()
        for i, filter_ in enumerate(weight):
            assert criteria.l1(graph)[name][i] == pytest.approx(
                float(filter_.abs().sum()), rel=1e-5
            )
            norm = float(filter_.square().sum()) ** 0.5
            assert criteria.l2(graph)[name][i] == pytest.approx(norm, rel=1e-5)


def test_random_scores_are_those_of_the_generator():
    graph = trace(lenet5(), torch.zeros(1, 1, 28, 28))
    first, second = (criteria.random(graph, torch.Generator().manual_seed(3)) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in graph.layers)
    assert {name: len(s) for name, s in first.items()} == {
        "conv1": 20,
        "conv2": 50,
        "fc1": 500,
        "fc2": 10,
    }


def test_batch_norm_scale_is_the_size_of_gamma():
    net = vgg16_cifar()
    torch.nn.init.uniform_(net.norm3_2.weight, -1, 1)
    scores = criteria.batch_norm_scale(trace(net, torch.zeros(1, 3, 32, 32)))
    assert torch.equal(scores["conv3_2"], net.norm3_2.weight.detach().abs())
    assert "fc1" in scores
    assert "fc2" not in scores


def test_without_norms_there_is_no_batch_norm_scale():
    with pytest.raises(ValueError, match="take another criterion"):
        criteria.batch_norm_scale(trace(lenet5(), torch.zeros(1, 1, 28, 28)))
