"""The multilayer perceptron whose neurons structured sparsity learning removes."""

from __future__ import annotations

from torch import nn

from sparsecourse.nets.chain import network


def mlp_500_300() -> nn.Sequential:
    """A perceptron 784-500-300-10 for digits.

    545,810 parameters, 545,000 multiply-adds.

    Returns
    -------
    net : nn.Sequential, images (n, 1, 28, 28) -> scores (n, 10)

    References
    ----------
    Wen et al., Learning structured sparsity in deep neural networks, NeurIPS 2016, section 4.1.
    """
    return network(
        (1, 28, 28),
        flatten=nn.Flatten(),
        fc1=nn.Linear(784, 500),
        relu1=nn.ReLU(),
        fc2=nn.Linear(500, 300),
        relu2=nn.ReLU(),
        fc3=nn.Linear(300, 10),
    )
