"""The training loop: what it computes, what it leaves alone, and where it stops."""

import copy
import io
import math
import os
import pickle
import sys
from contextlib import nullcontext
from functools import partial
from itertools import count

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import OneCycleLR

from sparsecourse import data, training
from sparsecourse.training import NonFiniteError, checkpoint, constant, error, fit, loop, shift

SGD = partial(torch.optim.SGD, lr=0.1)
MOMENTS = ["before_step", "after_backward", "after_step", "end_of_epoch"]
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")

# Bit for bit is a promise for the CPU.
train = partial(fit, device="cpu")


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def perceptron(seed=0, inputs=64, dropout=0.0):
    torch.manual_seed(seed)
    layers = nn.Flatten(), nn.Linear(inputs, 32), nn.ReLU(), nn.Dropout(dropout), nn.Linear(32, 10)
    return nn.Sequential(*layers)


def convolutional(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)
    )


def noise(n=96, seed=0, shape=(1, 8, 8)):
    """Samples of which nothing can be learnt: fast, and the validation error wanders."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.rand(n, *shape, generator=generator)
    return X, torch.randint(10, (n,), generator=generator)


def equal(model, other):
    states = model.state_dict(), other.state_dict()
    assert list(states[0]) == list(states[1])
    return all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))


class Recorder:
    """A hook that notes what it is told, and calls `then` on it."""

    def __init__(self, moment, then=lambda step: None):
        self.steps = []
        setattr(self, moment, lambda step: (self.steps.append(step), then(step)))


# What it computes


def test_fit_learns_the_digits(digits):
    net = perceptron()
    optimizer = partial(training.ADAMW, lr=1e-2)
    options = {"epochs": 10, "batch_size": 32, "optimizer": optimizer}
    history = fit(net, digits.train, digits.validation, **options)
    assert history.train_loss[-1] < 0.2 < history.train_loss[0]
    assert history.validation_error[-1] < 0.06
    assert error(net, digits.test.X, digits.test.y) < 0.08


def test_fit_is_the_loop_that_one_would_write_by_hand(digits):
    X, y = torch.from_numpy(digits.train.X), torch.from_numpy(digits.train.y)
    by_hand = perceptron()
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(3)
    for _ in range(2):
        for batch in torch.randperm(len(X), generator=generator).split(100):
            optimizer.zero_grad()
            cross_entropy(by_hand(X[batch]), y[batch]).backward()
            optimizer.step()
    net = perceptron()
    history = train(net, (X, y), epochs=2, batch_size=100, optimizer=SGD, schedule=constant, seed=3)
    assert equal(net, by_hand)
    assert history.learning_rate == [0.1, 0.1]


def test_default_recipe_is_adamw_in_one_cycle():
    X, y = noise()
    by_hand = perceptron()
    parameters = by_hand.parameters()
    optimizer = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=1e-2, fused=True)
    schedule = OneCycleLR(optimizer, 3e-3, total_steps=9, pct_start=0.2, cycle_momentum=False)
    generator = torch.Generator().manual_seed(0)
    losses, rates = [], []
    for _ in range(3):
        losses.append(0)
        for batch in torch.randperm(96, generator=generator).split(40):
            optimizer.zero_grad()
            loss = cross_entropy(by_hand(X[batch]), y[batch])
            loss.backward()
            optimizer.step()
            losses[-1] += loss.item() * len(batch) / 96
            rates.append(optimizer.param_groups[0]["lr"])
            schedule.step()
    net = perceptron()
    history = train(net, (X, y), epochs=3, batch_size=40)
    assert equal(net, by_hand)
    assert history.train_loss == pytest.approx(losses)
    assert history.learning_rate == rates[2::3]


def test_every_sample_is_seen_once_an_epoch_and_in_another_order_each_time():
    X = torch.arange(10.0).reshape(10, 1).expand(10, 64).contiguous()
    seen = []
    keep = lambda batch: (seen.append(batch[:, 0].tolist()), batch)[1]  # noqa: E731
    train(perceptron(), (X, noise(10)[1]), epochs=3, batch_size=4, augment=keep)
    assert [len(batch) for batch in seen] == [4, 4, 2] * 3
    orders = [[*seen[i], *seen[i + 1], *seen[i + 2]] for i in (0, 3, 6)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6, 10, 100])
def test_one_cycle_rises_for_a_fifth_and_falls_to_nothing(steps):
    optimizer = torch.optim.SGD(perceptron().parameters(), lr=0.5)
    schedule = training.one_cycle(optimizer, steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[-1] < 1e-5
    assert max(rates) <= 0.5
    if steps >= 10:
        assert rates.index(max(rates)) == steps // 5 - 1
        assert max(rates) == pytest.approx(0.5)
    assert optimizer.param_groups[0]["momentum"] == 0


def test_arrays_tensors_and_parts_of_a_data_set_are_the_same(digits):
    X, y = digits.train.X, digits.train.y
    nets = [perceptron() for _ in range(3)]
    train(nets[0], digits.train, epochs=1)
    train(nets[1], (X.astype(np.float64), y.astype(np.uint8)), epochs=1)
    train(nets[2], (torch.from_numpy(X), torch.from_numpy(y)), epochs=1)
    assert equal(nets[0], nets[1])
    assert equal(nets[0], nets[2])


def test_weights_of_double_precision_get_samples_of_double_precision():
    net = perceptron().double()
    train(net, noise(), noise(seed=1), epochs=1)
    assert net[1].weight.dtype == torch.float64


def test_clip_bounds_the_norm_of_all_gradients_together_and_leaves_small_ones():
    for clip, norm in ((1e-3, 1e-3), (1e3, None)):
        net = perceptron()
        start = copy.deepcopy(net)
        train(
            net,
            noise(),
            epochs=1,
            optimizer=partial(torch.optim.SGD, lr=1.0),
            schedule=constant,
            clip=clip,
        )
        moved = [a - b for a, b in zip(net.parameters(), start.parameters(), strict=True)]
        found = torch.nn.utils.get_total_norm(moved).item()
        if norm is None:
            unclipped = perceptron()
            train(
                unclipped,
                noise(),
                epochs=1,
                optimizer=partial(torch.optim.SGD, lr=1.0),
                schedule=constant,
            )
            assert equal(net, unclipped)
            assert found > 1e-2
        else:
            assert found == pytest.approx(norm, rel=1e-3)


def test_bf16_computes_in_bfloat16_and_keeps_weights_and_validation_in_float32():
    net = perceptron()
    dtypes = {True: set(), False: set()}
    net[1].register_forward_hook(lambda module, _, out: dtypes[module.training].add(out.dtype))
    train(net, noise(), noise(), epochs=1, bf16=True)
    assert dtypes == {True: {torch.bfloat16}, False: {torch.float32}}
    assert {value.dtype for value in net.parameters()} == {torch.float32}


# Seeds


def test_the_same_seed_gives_the_same_weights_bit_for_bit_and_another_seed_others():
    nets = [perceptron(dropout=0.5) for _ in range(3)]
    runs = [
        train(net, noise(), noise(seed=1), epochs=3, batch_size=20, seed=seed, augment=shift)
        for net, seed in zip(nets, (5, 5, 6), strict=True)
    ]
    assert equal(nets[0], nets[1])
    assert runs[0].validation_loss == runs[1].validation_loss
    assert not equal(nets[0], nets[2])


def test_dropout_and_augmentation_follow_the_seed_alone():
    nets = [perceptron(dropout=0.5) for _ in range(3)]
    for net, seed, before in zip(nets, (5, 5, 6), (1, 2, 1), strict=True):
        torch.manual_seed(before)
        # One batch of all: the order of the samples makes no difference but rounding.
        train(net, noise(), epochs=1, seed=seed, augment=shift, optimizer=SGD, schedule=constant)
    assert equal(nets[0], nets[1])
    assert not torch.allclose(nets[0][1].weight, nets[2][1].weight)


def test_the_callers_random_numbers_go_on_undisturbed():
    net = perceptron(dropout=0.5)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train(net, noise(), epochs=1, augment=shift)
    assert torch.equal(torch.rand(3), expected)


def test_order_of_the_samples_depends_on_the_seed_alone():
    X = torch.arange(40.0).reshape(40, 1).expand(40, 64).contiguous()

    def order(dropout, hooks=()):
        seen = []
        train(
            perceptron(dropout=dropout),
            (X, noise(40)[1]),
            epochs=2,
            batch_size=8,
            hooks=hooks,
            augment=lambda batch: (seen.append(batch[:, 0].tolist()), batch)[1],
        )
        return seen

    drawing = Recorder("after_step", lambda step: torch.rand(3))
    assert order(0.0) == order(0.5) == order(0.0, [drawing])


# Hooks


def test_hooks_are_called_at_their_moments_in_the_order_of_the_list():
    calls = []

    class Hook:
        def __init__(self, name):
            self.name = name

    def method(moment):
        return lambda self, step: calls.append((moment, self.name, step.epoch, step.number))

    for moment in MOMENTS:
        setattr(Hook, moment, method(moment))
    train(perceptron(), noise(), epochs=2, batch_size=48, hooks=[Hook("a"), Hook("b")])
    expected = []
    for epoch in range(2):
        for number in (2 * epoch, 2 * epoch + 1):
            expected += [(m, name, epoch, number) for m in MOMENTS[:3] for name in "ab"]
        expected += [("end_of_epoch", name, epoch, 2 * epoch + 1) for name in "ab"]
    assert calls == expected


def test_each_moment_is_where_it_says():
    net = perceptron()
    first = net[1].weight.detach().clone()
    seen = {}

    def before_step(step):
        assert step.model is net
        assert net.training
        assert step.steps == 2
        seen.setdefault("outputs", []).clear()

    def after_backward(step):
        if step.number == 0:
            assert torch.equal(net[1].weight, first)
        # Neither used nor clipped yet.
        assert torch.nn.utils.get_total_norm([p.grad for p in net.parameters()]) > 0.1
        seen["gradient"] = net[1].weight.grad.clone()
        seen["weight"] = net[1].weight.detach().clone()

    def after_step(step):
        assert torch.nn.utils.get_total_norm([p.grad for p in net.parameters()]) < 0.0101
        rate = step.optimizer.param_groups[0]["lr"]
        moved = seen["weight"] - net[1].weight.detach()
        # The rate that a proximal step needs is that of this move.
        assert torch.allclose(moved, rate * net[1].weight.grad, atol=1e-7)
        assert moved.abs().max() > 0

    recorders = [
        Recorder(function.__name__, function)
        for function in (before_step, after_backward, after_step)
    ]
    halving = lambda optimizer, steps: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.1)  # noqa: E731
    history = train(
        net,
        noise(),
        epochs=1,
        batch_size=48,
        optimizer=SGD,
        schedule=halving,
        clip=0.01,
        hooks=recorders,
    )
    assert [len(recorder.steps) for recorder in recorders] == [2, 2, 2]
    assert history.learning_rate == pytest.approx([0.01])


def test_before_step_comes_before_the_batch_goes_through_the_model():
    net = perceptron()
    calls = []
    net.register_forward_hook(lambda *_: calls.append("model") if net.training else None)
    hooks = [Recorder(m, lambda _, m=m: calls.append(m)) for m in MOMENTS[:2]]
    train(net, noise(), epochs=1, hooks=hooks)
    assert calls == ["before_step", "model", "after_backward"]


def test_a_mask_put_back_after_each_step_holds():
    net = perceptron()
    mask = torch.rand(32, 64) < 0.3

    class Mask:
        def after_step(self, step):
            step.model[1].weight.data.mul_(mask)

    train(net, noise(), epochs=2, batch_size=32, hooks=[Mask()])
    assert not net[1].weight[~mask].any()
    assert net[1].weight[mask].all()


def test_what_the_hooks_leave_at_the_end_of_an_epoch_is_validated():
    def lose(step):
        nn.init.zeros_(step.model[-1].weight)
        step.model[-1].bias.data = torch.arange(10.0).neg()

    X, y = noise()
    hooks = [Recorder("end_of_epoch", lose)]
    history = train(perceptron(), (X, y), (X, torch.zeros_like(y)), epochs=1, hooks=hooks)
    assert history.validation_error == [0.0]


def test_a_hook_without_a_known_method_is_refused():
    class Misspelt:
        def after_steps(self, step): ...

    good = Recorder("after_step")
    with pytest.raises(ValueError, match=r"hooks\[1\].*after_step, end_of_epoch, got .*Misspelt"):
        train(perceptron(), noise(), epochs=1, hooks=[good, Misspelt()])
    assert not good.steps


# Augmentation


def test_shift_rolls_the_whole_batch_by_up_to_a_pixel_in_each_direction():
    X = torch.rand(3, 2, 5, 4)
    rolled = {(i, j): X.roll((i, j), (2, 3)) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    torch.manual_seed(0)
    found = []
    for _ in range(200):
        shifted = shift(X)
        found += [distance for distance, image in rolled.items() if torch.equal(image, shifted)]
    assert len(found) == 200
    assert set(found) == set(rolled)


def test_augmentation_changes_what_is_trained_on_and_neither_validation_nor_the_data():
    X, y = noise()
    given = X.clone()
    net, seen = perceptron(), {True: [], False: []}
    net.register_forward_hook(lambda module, inputs, _: seen[module.training].append(inputs[0]))
    train(net, (X, y), (X, y), epochs=1, augment=lambda batch: batch.zero_())
    assert not torch.cat(seen[True]).any()
    assert all(images.any() for images in seen[False])
    assert torch.equal(X, given)


# Validation


def test_validation_samples_are_never_trained_on(digits):
    def trained(validation, **options):
        net = convolutional()
        train(net, digits.train, validation, epochs=2, **options)
        return net

    X, y = digits.validation.X, digits.validation.y
    alone = trained(None)
    assert equal(alone, trained((X, y)))
    assert equal(alone, trained((1e3 * X, (y + 1) % 10)))


def test_validation_loss_and_error_are_those_of_the_weights_at_the_end_of_the_epoch(digits):
    net = convolutional()
    history = train(net, digits.train, digits.validation, epochs=2, batch_size=100)
    X, y = torch.from_numpy(digits.validation.X), torch.from_numpy(digits.validation.y)
    with torch.no_grad():
        scores = net.eval()(X)
    assert history.validation_loss[-1] == pytest.approx(cross_entropy(scores, y).item(), rel=1e-4)
    assert history.validation_error[-1] == (scores.argmax(1) != y).double().mean().item()


def test_without_validation_there_is_none():
    history = train(perceptron(), noise(), epochs=2)
    assert all(math.isnan(value) for value in history.validation_error + history.validation_loss)
    assert str(history) == f"loss {history.train_loss[-1]:.3f}"


@pytest.fixture
def made_up_errors(monkeypatch):
    """Let the validation error of each epoch be a given one."""

    def use(errors):
        remaining = iter(errors)
        monkeypatch.setattr(loop, "evaluate", lambda *_: (1.0, next(remaining)))

    return use


@pytest.mark.parametrize(
    ("patience", "n_epochs", "best"), [(1, 3, 1), (2, 5, 2), (3, 8, 4), (9, 8, 4)]
)
def test_training_stops_after_epochs_without_gain_and_the_best_weights_are_restored(
    made_up_errors, patience, n_epochs, best
):
    made_up_errors(
        {1: [0.5, 0.4, 0.4], 2: [0.5, 0.6, 0.4, 0.4, 0.5]}.get(
            patience, [0.5, 0.4, 0.41, 0.42, 0.3, 0.35, 0.3, 0.31]
        )
    )
    net, weights = convolutional(), []
    keep = Recorder("end_of_epoch", lambda step: weights.append(copy.deepcopy(net)))
    history = train(net, noise(), noise(), epochs=8, patience=patience, hooks=[keep])
    assert len(history) == n_epochs
    assert history.best_epoch == best
    assert equal(net, weights[best])
    assert not equal(net, weights[-1])


def test_without_patience_the_last_weights_stay(made_up_errors):
    made_up_errors([0.1, 0.2, 0.3])
    net, weights = perceptron(), []
    keep = Recorder("end_of_epoch", lambda step: weights.append(copy.deepcopy(net)))
    history = train(net, noise(), noise(), epochs=3, hooks=[keep])
    assert history.best_epoch == 0
    assert equal(net, weights[2])


# Checkpoints


class Interruption(BaseException):
    """As from the keyboard."""


def stop_at(moment, number):
    def stop(step):
        if step.number == number:
            raise Interruption

    return Recorder(moment, stop)


RUN = {
    "epochs": 4,
    "batch_size": 20,
    "augment": shift,
    "patience": 3,
    "seed": 2,
    "optimizer": partial(torch.optim.AdamW, lr=3e-2),
}


def dropping():
    """Everything that has a state: dropout, batch norm, a convolution."""
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(), nn.Linear(144, 10)
    return nn.Sequential(*layers)


# 5 steps an epoch: the first epoch, between two, in the midst of one, the last one of all.
@pytest.mark.parametrize(
    "interruption",
    [("after_step", 3), ("before_step", 10), ("after_backward", 12), ("before_step", 19)],
)
def test_a_resumed_run_ends_like_one_that_was_never_interrupted(tmp_path, interruption):
    undisturbed = dropping()
    expected = train(undisturbed, noise(), noise(seed=1), **RUN)

    path = tmp_path / "new" / "run.pt"
    hooks = [stop_at(*interruption)]
    with pytest.raises(Interruption):
        train(dropping(), noise(), noise(seed=1), checkpoint=path, hooks=hooks, **RUN)
    resumed = dropping()
    torch.manual_seed(99)
    for parameter in resumed.parameters():
        nn.init.normal_(parameter)
    counter = Recorder("before_step")
    history = train(resumed, noise(), noise(seed=1), checkpoint=path, hooks=[counter], **RUN)
    assert equal(resumed, undisturbed)
    frames = [run.to_frame().drop(columns="seconds") for run in (history, expected)]
    assert frames[0].equals(frames[1])
    assert counter.steps[0].number == interruption[1] // 5 * 5
    assert os.listdir(path.parent) == ["run.pt"]


def test_a_run_that_stopped_early_is_not_trained_on(tmp_path, made_up_errors):
    path = tmp_path / "run.pt"
    errors = [0.3, 0.2, 0.5, 0.4]
    made_up_errors(errors)
    net = dropping()
    options = {**RUN, "epochs": 9, "patience": 2, "checkpoint": path}
    train(net, noise(), noise(), **options)
    again, counter = dropping(), Recorder("before_step")
    history = train(again, noise(), noise(), hooks=[counter], **options)
    assert not counter.steps
    assert history.validation_error == errors
    assert equal(again, net)


def test_an_interrupted_write_leaves_the_checkpoint_before_it(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    write = torch.save

    def write_half(content, file):
        if len(content["states"][4]["train_loss"]) == 2:
            file.write_bytes(path.read_bytes()[:1000])
            raise Interruption
        write(content, file)

    monkeypatch.setattr(checkpoint.torch, "save", write_half)
    with pytest.raises(Interruption):
        train(dropping(), noise(), noise(seed=1), checkpoint=path, **RUN)
    monkeypatch.undo()
    resumed, undisturbed = dropping(), dropping()
    counter = Recorder("before_step")
    train(resumed, noise(), noise(seed=1), checkpoint=path, hooks=[counter], **RUN)
    assert counter.steps[0].epoch == 1
    train(undisturbed, noise(), noise(seed=1), **RUN)
    assert equal(resumed, undisturbed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 5}, "epochs: 4 there, 5 here"),
        ({"seed": 3}, "seed: 2 there, 3 here"),
        ({"batch_size": 30}, "batch_size: 20 there, 30 here"),
        ({"clip": 1.0}, "clip: None there, 1.0 here"),
        ({"patience": None}, "patience: 3 there, None here"),
        ({"bf16": True}, "bf16: False there, True here"),
        ({"schedule": constant}, "schedule: OneCycleLR there, LambdaLR here"),
        (
            {"optimizer": partial(torch.optim.AdamW, lr=1e-2)},
            r"optimizer: initial_lr: .*max_lr: 0.03 .*max_lr: 0.01 ",
        ),
        ({"train": noise(90)}, "samples: 96 there, 90 here"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, changed, message):
    path = tmp_path / "run.pt"
    hooks = [stop_at("before_step", 0)]
    with pytest.raises(Interruption):
        train(perceptron(), noise(), noise(), checkpoint=path, hooks=hooks, **RUN)
    options = {**RUN, "train": noise(), **changed}
    samples = options.pop("train")
    with pytest.raises(ValueError, match=f"run.pt is of another run .*{message}.*remove it"):
        train(perceptron(), samples, noise(), checkpoint=path, **options)


def test_a_file_that_is_no_checkpoint_is_refused_and_runs_nothing(tmp_path):
    path, mark = tmp_path / "run.pt", tmp_path / "mark"

    class Malice:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    good = tmp_path / "good.pt"
    train(perceptron(), noise(), epochs=1, checkpoint=good)
    contents = [
        b"",
        b"something else",
        good.read_bytes()[:2000],
        pickle.dumps({"settings": Malice(), "states": []}, protocol=2),
    ]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"run\.pt cannot be read .*remove it, or name"):
            train(perceptron(), noise(), epochs=1, checkpoint=path)
    assert not mark.exists()


def test_what_cannot_be_read_back_is_found_out_at_once(tmp_path):
    optimizer = partial(torch.optim.SGD, lr=np.float64(0.1))
    counter = Recorder("before_step")
    options = {"optimizer": optimizer, "checkpoint": tmp_path / "run.pt", "hooks": [counter]}
    with pytest.raises(ValueError, match="NumPy number"):
        train(perceptron(), noise(), epochs=1, **options)
    assert not counter.steps


# Stop where nothing can come of it


def test_a_loss_that_is_not_finite_stops_with_epoch_step_and_advice():
    steps = count()

    def infinite_at_step_4(scores, y):
        return cross_entropy(scores, y) * (math.inf if next(steps) == 4 else 1.0)

    done = Recorder("after_step")
    options = {"loss": infinite_at_step_4, "optimizer": SGD, "schedule": constant, "hooks": [done]}
    message = r"the loss is inf, in epoch 1, step 4 of 6.*lower learning rate.* 0\.1\).*clip"
    net = perceptron()
    with pytest.raises(NonFiniteError, match=message):
        train(net, noise(), epochs=2, batch_size=32, **options)
    assert len(done.steps) == 4
    assert all(value.isfinite().all() for value in net.parameters())


def test_a_gradient_that_is_not_finite_stops_before_it_is_used():
    def root_of_zero(scores, y):
        return cross_entropy(scores, y) + (scores - scores).pow(2).sum().sqrt()

    net, start = perceptron(), perceptron()
    with pytest.raises(NonFiniteError, match="norm of the gradient is nan, in epoch 0, step 0"):
        train(net, noise(), epochs=1, loss=root_of_zero)
    assert equal(net, start)


def test_a_run_with_too_large_a_learning_rate_stops():
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Linear(10, 10))
    options = {"optimizer": partial(torch.optim.SGD, lr=1e9), "schedule": constant}
    with pytest.raises(NonFiniteError, match=r"in epoch \d, step \d.*here it is 1e\+09"):
        train(net, noise(), epochs=9, **options)


@pytest.mark.parametrize(
    ("moment", "number", "where"),
    [
        ("after_step", 1, "epoch 0, step 2"),
        ("after_step", 5, "epoch 1, step 5"),
        ("end_of_epoch", 5, "epoch 1, step 5"),
    ],
)
def test_weights_that_are_not_finite_are_named(moment, number, where):
    def poison(step):
        if step.number == number:
            step.model[1].bias.data[0] = math.nan

    message = rf"not finite: the weights 1\.bias, in {where} of 6"
    with pytest.raises(NonFiniteError, match=message):
        train(perceptron(), noise(), epochs=2, batch_size=32, hooks=[Recorder(moment, poison)])


def test_a_validation_that_is_not_finite_stops():
    def poison(step):
        step.model[1].running_var[0] = math.nan

    hooks = [Recorder("end_of_epoch", poison)]
    with pytest.raises(NonFiniteError, match="the validation loss is nan, in epoch 0"):
        train(convolutional(), noise(), noise(), epochs=1, hooks=hooks)


# What it leaves as it was


def layout(net):
    return [value.stride() for value in net.parameters()]


@pytest.mark.parametrize("fails", [False, True])
def test_modes_and_memory_layout_are_given_back(fails):
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 8, 3), nn.Flatten(), nn.Linear(128, 10))
    net[2].eval()
    before = layout(net)
    hooks = [stop_at("after_step", 0)] if fails else []
    with pytest.raises(Interruption) if fails else nullcontext():
        train(net, noise(), noise(), epochs=1, hooks=hooks)
    assert [module.training for module in net.modules()] == [True, True, True, False, True]
    assert layout(net) == before
    assert net[1].weight.is_contiguous()


def test_error_leaves_a_model_in_training_mode_and_layout():
    net = convolutional()
    assert net.training
    before = copy.deepcopy(net)
    error(net, *noise())
    assert net.training
    assert all(module.training for module in net.modules())
    assert layout(net) == layout(before)
    assert equal(net, before)
    net.eval()
    error(net, *noise())
    assert not any(module.training for module in net.modules())


def test_a_hook_that_measures_an_error_changes_nothing():
    def net():
        torch.manual_seed(0)
        layers = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 8, 3), nn.Dropout()
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128, 10))

    alone, measured, layouts = net(), net(), []
    measure = Recorder("after_step", lambda step: error(step.model, *noise(), device="cpu"))
    look = Recorder("after_step", lambda step: layouts.append(layout(measured)))
    train(alone, noise(), epochs=2, batch_size=20)
    train(measured, noise(), epochs=2, batch_size=20, hooks=[look, measure, look])
    assert equal(measured, alone)
    assert len(set(map(str, layouts))) == 1


def test_convolutions_compute_with_channels_last_and_others_do_not():
    seen = []
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 10))

    def note(module, inputs, output):
        for tensor in (inputs[0], module.weight, output):
            seen.append(tensor.is_contiguous(memory_format=torch.channels_last))

    net[0].register_forward_hook(note)
    train(net, noise(shape=(3, 8, 8)), noise(shape=(3, 8, 8)), epochs=1)
    error(net, *noise(shape=(3, 8, 8)), device="cpu")
    assert seen
    assert all(seen)

    flat, strides = perceptron(inputs=192), set()
    flat.register_forward_hook(lambda _, inputs, __: strides.add(inputs[0].stride()))
    train(flat, noise(shape=(3, 8, 8)), epochs=1)
    assert strides == {(192, 64, 8, 1)}


def test_convolutions_over_three_dimensions_have_no_such_layout_and_are_trained_all_the_same():
    net = nn.Sequential(nn.Conv3d(1, 2, 3), nn.Flatten(), nn.Linear(16, 10))
    history = train(net, noise(shape=(1, 4, 4, 4)), epochs=1)
    assert len(history) == 1


def test_gradients_are_tracked_while_training_alone():
    net, tracked = convolutional(), {True: set(), False: set()}
    net.register_forward_hook(
        lambda module, _, scores: tracked[module.training].add(scores.requires_grad)
    )
    train(net, noise(), noise(), epochs=1)
    error(net, *noise())
    assert tracked == {True: {True}, False: {False}}


def test_threads_are_left_alone(monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", None)
    threads = torch.get_num_threads()
    train(perceptron(), noise(), epochs=1)
    assert torch.get_num_threads() == threads


@NEEDS_CUDA
def test_a_model_comes_back_from_the_gpu(digits):
    net = convolutional()
    places = []
    look = Recorder("after_step", lambda step: places.append(net[0].weight.device.type))
    fit(net, digits.train, digits.validation, epochs=5, hooks=[look])
    assert set(places) == {"cuda"}
    assert {value.device.type for value in net.parameters()} == {"cpu"}
    on_gpu = error(net, digits.validation.X, digits.validation.y)
    assert on_gpu == pytest.approx(
        error(net, digits.validation.X, digits.validation.y, device="cpu"), abs=0.01
    )
    assert on_gpu < 0.2


# Errors of the user


def inputs(**changes):
    X, y = noise(20)
    values = {"X": X, "y": y, **changes}
    return values["X"], values["y"]


BAD_SAMPLES = {
    "pixels": (inputs(X=noise(20)[0].mul(255).byte()), r"X .*floats, got torch.uint8.*X / 255"),
    "labels in floats": (inputs(y=torch.rand(20)), r"y .*integer dtype, got torch.float32"),
    "labels as truth values": (inputs(y=torch.rand(20) > 0), r"y .*integer dtype, got torch.bool"),
    "one-hot labels": (inputs(y=torch.eye(20).long()), r"got \(20, 1, 8, 8\) and \(20, 20\)"),
    "too few labels": (inputs(y=noise(19)[1]), r"got \(20, 1, 8, 8\) and \(19,\)"),
    "one number a sample": (inputs(X=torch.rand(20)), r"got \(20,\) and \(20,\)"),
    "none": ((torch.zeros(0, 64), torch.zeros(0).long()), r"not be empty, got .*\(0, 64\)"),
    "nan": (inputs(X=torch.full((20, 64), math.nan)), r"finite, got nan at index \(0, 0\)"),
    "label too large": (inputs(y=torch.arange(20) % 11), r"0 to 9, .*10 scores, got 0 to 10"),
    "label too small": (inputs(y=torch.full((20,), -1)), r"classes 0 to 9, .*got -1 to -1"),
    "other images": (inputs(X=torch.rand(20, 1, 9, 9)), r"not take .* shape \(1, 9, 9\): .*81"),
    "no pair": (torch.rand(3, 64), r"must be \(X, y\), .*got Tensor"),
    "text": ((["a"], ["b"]), r"must be \(X, y\), .*got tuple"),
    "nothing": (None, r"train must be \(X, y\), .*got NoneType"),
}


@pytest.mark.parametrize("case", BAD_SAMPLES)
def test_samples_that_cannot_be_trained_on_are_refused_in_words(case):
    given, message = BAD_SAMPLES[case]
    net, start = perceptron(), perceptron()
    with pytest.raises(ValueError, match=message) as caught:
        train(net, given, epochs=1)
    assert "train" in str(caught.value)
    assert equal(net, start)
    assert net.training
    if given is None:
        return
    with pytest.raises(ValueError, match=message.replace("train", "validation")) as caught:
        train(net, noise(), given, epochs=1)
    assert "validation" in str(caught.value)
    assert equal(net, start)
    if len(given) == 2:
        with pytest.raises(ValueError, match=message):
            error(net, *given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"epochs": 1.5}, "epochs must be a whole number .*got 1.5"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"seed": -1}, "seed must be a whole number >= 0, got -1"),
        ({"clip": 0}, "clip must be > 0, got 0"),
        ({"patience": 0}, "patience must be at least 1, got 0"),
        ({"patience": 2, "validation": None}, "patience = 2 needs validation samples"),
        ({"optimizer": SGD(perceptron().parameters())}, "optimizer must be a function .*got SGD"),
        ({"schedule": None}, "schedule must be a function .*got NoneType"),
        ({"model": nn.Flatten()}, "model must have parameters, got Flatten"),
        ({"model": nn.Linear(8, 10)}, r"model must give scores .*got shape \(1, 1, 8, 10\)"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_words(options, message):
    given = {"model": perceptron(), "train": noise(), "validation": noise(), "epochs": 1, **options}
    with pytest.raises(ValueError, match=message):
        train(**given)


# The error


def test_error_is_the_share_of_wrong_answers_whatever_the_batches():
    X, y = noise(101)
    net = perceptron(dropout=0.9)
    with torch.no_grad():
        answers = net.eval()(X).argmax(1)
    y[:40] = answers[:40]
    expected = (answers != y).sum().item() / 101
    assert 0.3 < expected < 0.61
    net.train()
    for batch_size in (1, 50, 101, 256):
        assert error(net, X, y, batch_size=batch_size, device="cpu") == expected
    assert error(net, X.numpy(), y.numpy().astype(np.int32), device="cpu") == expected


def test_scores_that_are_not_finite_have_no_error():
    net = perceptron()
    net[1].weight.data[0] = math.nan
    with pytest.raises(NonFiniteError, match="scores are not finite"):
        error(net, *noise())


# The history and the bar


def test_history_has_a_row_for_each_epoch():
    history = train(perceptron(), noise(), noise(), epochs=3)
    frame = history.to_frame()
    assert list(frame.index) == [0, 1, 2]
    assert frame.index.name == "epoch"
    columns = ["train_loss", "validation_loss", "validation_error", "learning_rate", "seconds"]
    assert list(frame.columns) == columns
    assert np.isfinite(frame.to_numpy()).all()
    assert (frame.seconds > 0).all()
    assert len(history) == 3


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def _bars(monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)  # the configuration of stored outputs


def bar(monkeypatch, stream, **options):
    monkeypatch.setattr(sys, "stderr", stream)
    train(perceptron(), noise(), noise(), epochs=2, batch_size=48, **options)
    return stream.getvalue()


@pytest.mark.usefixtures("_bars")
def test_bar_counts_steps_and_shows_loss_and_validation_error(monkeypatch):
    monkeypatch.setattr(loop, "tqdm", partial(loop.tqdm, mininterval=0, ncols=150))
    shown = bar(monkeypatch, Terminal())
    assert "4/4" in shown
    assert "validation error" in shown
    assert "loss" in shown


@pytest.mark.usefixtures("_bars")
def test_bar_is_quiet_where_nobody_looks(monkeypatch):
    assert bar(monkeypatch, io.StringIO()) == ""
    assert bar(monkeypatch, Terminal(), progress=False) == ""
    assert bar(monkeypatch, Terminal()) != ""
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert bar(monkeypatch, Terminal()) == ""
