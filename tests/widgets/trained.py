"""A small trained network, for widgets that look at one."""

from functools import cache

import torch

from sparsecourse.data import load
from sparsecourse.nets import lenet_300_100
from sparsecourse.training import fit


@cache
def lenet_on_digits():
    """LeNet-300-100 after one epoch on the digits of scikit-learn, and their validation part."""
    digits = load("digits", shape=(1, 28, 28))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = lenet_300_100()
    fit(model, digits.train, epochs=1, progress=False)
    return model, digits.validation
