"""The loop in which every network of the course is trained."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR
from tqdm.auto import tqdm

from sparsecourse.reference.validation import count, positive
from sparsecourse.training.checkpoint import Checkpoint
from sparsecourse.training.early_stop import EarlyStop
from sparsecourse.training.evaluation import evaluate
from sparsecourse.training.finite import require_finite, require_finite_weights
from sparsecourse.training.history import History
from sparsecourse.training.hooks import Step, notify, require_hooks
from sparsecourse.training.lending import lent
from sparsecourse.training.randomness import seeded
from sparsecourse.training.samples import Samples, samples

ADAMW = partial(AdamW, lr=3e-3, weight_decay=1e-2, fused=True)


def one_cycle(optimizer: Optimizer, steps: int) -> LRScheduler:
    """Let the learning rate rise to the optimizer's for a fifth of the steps, then fall to nothing.

    The momentum stays as it is.

    Parameters
    ----------
    optimizer : Optimizer
    steps : int

    Returns
    -------
    schedule : LRScheduler

    References
    ----------
    Smith, Topin, Super-convergence: very fast training of neural networks using large learning
    rates, 2018 (arXiv:1708.07120).
    """
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=steps,
        cycle_momentum=False,
        # A rise of a single step, a fifth of 5, is one that OneCycleLR divides by zero.
        pct_start=0.2 if steps > 5 else 0.3,
    )


def constant(optimizer: Optimizer, steps: int) -> LRScheduler:
    """Leave the learning rate as it is.

    Parameters
    ----------
    optimizer : Optimizer
    steps : int

    Returns
    -------
    schedule : LRScheduler
    """
    return LambdaLR(optimizer, lambda step: 1.0)


def shift(X: Tensor) -> Tensor:
    """Roll a batch of images by -1, 0 or 1 pixel, down and to the right.

    The whole batch is rolled by the same distance, drawn from torch's default generator. What
    leaves on one side comes in on the other.

    Parameters
    ----------
    X : Tensor, shape (n, channels, height, width)

    Returns
    -------
    shifted : Tensor, shape of `X`
    """
    down, right = torch.randint(-1, 2, (2,)).tolist()
    return X.roll((down, right), dims=(-2, -1))


def fit(
    model: nn.Module,
    train: Samples,
    validation: Samples | None = None,
    *,
    epochs: int,
    batch_size: int = 256,
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] = ADAMW,
    schedule: Callable[[Optimizer, int], LRScheduler] = one_cycle,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    seed: int = 0,
    device: torch.device | str | None = None,
    bf16: bool = False,
    hooks: Sequence[object] = (),
    augment: Callable[[Tensor], Tensor] | None = None,
    clip: float | None = None,
    patience: int | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> History:
    """Train a model in place; give back what happened in each epoch.

    Parameters
    ----------
    model : nn.Module, samples (n, ...) -> scores (n, classes)
        Starts from the weights that it has. Afterwards it is on the device and in the mode that
        it was before.
    train : Split or (X, y)
        X (n, ...), tensor or array of floats; y (n,), of classes. All of it goes to the device.
    validation : Split or (X, y), optional
        To choose settings by, and to stop early. The test set is for `error`, once, at the end.
    epochs : int
    batch_size : int
        The last batch of an epoch takes what is left.
    optimizer : callable, parameters -> Optimizer
        Default: AdamW, learning rate 3e-3, weight decay 1e-2.
        For another, ``partial(torch.optim.SGD, lr=0.1, momentum=0.9)``.
    schedule : callable, (optimizer, number of steps) -> LRScheduler
        Of the learning rate; it moves once a step. Default: `one_cycle`; see also `constant`.
    loss : callable, (scores, y) -> mean over the batch
    seed : int
        Of the order of the samples, and of torch's default generators, which dropout, augmentation
        and hooks draw from. They go on afterwards as if nothing had been drawn. The same seed gives
        the same weights, bit for bit, on a CPU with the same number of threads.
    device : torch.device or str, optional
        Default: CUDA if there is one, else the CPU.
    bf16 : bool
        Whether the model computes in bfloat16 where that is safe (autocast); weights and
        validation stay as they are. Meant for large networks on a GPU.
    hooks : sequence of objects
        With methods before_step, after_backward, after_step or end_of_epoch, which take a `Step`.
    augment : callable, X -> X, optional
        Changes the samples of a batch before the model sees them, as `shift` does.
    clip : float, optional
        Bound on the norm of the gradient, all weights together.
    patience : int, optional
        Stop after so many epochs without a lower validation error; in any case keep the weights of
        the best epoch, ``history.best_epoch``.
    checkpoint : str or Path, optional
        A file that is written after each epoch, and from which the run continues if it is there,
        to the same weights, bit for bit, as one that was never interrupted. It knows these numbers
        and the optimizer, but not the data, the loss, the augmentation and the hooks.
    progress : bool
        Whether to show a bar, in notebooks and terminals. The variable TQDM_DISABLE hides it, too.

    Returns
    -------
    history : History

    Raises
    ------
    ValueError
        On bad input, before anything is trained, and on a checkpoint of another run.
    NonFiniteError
        As soon as a loss or gradient is not finite, or, at the end of an epoch, a weight or the
        validation loss.

    Notes
    -----
    The number of threads is left as it is. Processes whose threads are more than the cores get in
    each other's way: a second one, of two threads, on two cores, has made epochs up to 20 times as
    long. Give each process its share (OMP_NUM_THREADS), and set OMP_WAIT_POLICY=PASSIVE.
    """
    _require_options(epochs, batch_size, seed, clip, patience, validation)
    _require_function("optimizer", optimizer, "parameters -> Optimizer")
    _require_function("schedule", schedule, "(optimizer, steps) -> LRScheduler")
    require_hooks(hooks)
    with lent(model, device) as device, seeded(seed, device) as randomness:
        X, y = samples("train", train, model)
        held_out = None if validation is None else samples("validation", validation, model)
        steps_per_epoch = math.ceil(len(X) / batch_size)
        steps = epochs * steps_per_epoch
        optimizer = optimizer(model.parameters())
        schedule = schedule(optimizer, steps)
        history = History()
        early_stop = EarlyStop(patience, history, model)

        saved = Checkpoint(
            checkpoint,
            [model, optimizer, schedule, randomness, history, early_stop],
            epochs=epochs,
            batch_size=batch_size,
            samples=len(X),
            seed=seed,
            bf16=bf16,
            clip=clip,
            patience=patience,
            schedule=type(schedule).__name__,
            optimizer=repr(optimizer),
        )
        saved.resume()

        with _progress_bar(progress, steps, done=len(history) * steps_per_epoch) as bar:
            for epoch in range(len(history), epochs):
                if early_stop.is_due():
                    break
                start = time.perf_counter()
                model.train()
                train_loss = 0.0
                order = torch.randperm(len(X), generator=randomness.order).to(device)
                for number, batch in enumerate(order.split(batch_size), epoch * steps_per_epoch):
                    step = Step(model, optimizer, epoch, number, steps)
                    notify(hooks, "before_step", step)
                    inputs = augment(X[batch]) if augment else X[batch]
                    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                        batch_loss = loss(model(inputs), y[batch])
                    train_loss += batch_loss.item() * len(batch) / len(X)
                    require_finite("the loss", train_loss, step)

                    optimizer.zero_grad()
                    batch_loss.backward()
                    notify(hooks, "after_backward", step)
                    norm = clip_grad_norm_(model.parameters(), clip or math.inf)
                    require_finite("the norm of the gradient", norm.item(), step)

                    optimizer.step()
                    notify(hooks, "after_step", step)
                    # After the hooks: a proximal step needs the learning rate of this move.
                    learning_rate = schedule.get_last_lr()[0]
                    schedule.step()
                    bar.update()
                notify(hooks, "end_of_epoch", step)
                require_finite_weights(step)

                validation_loss = validation_error = math.nan
                if held_out:
                    validation_loss, validation_error = evaluate(model, *held_out, loss, batch_size)
                    require_finite("the validation loss", validation_loss, step)
                history.append(
                    train_loss=train_loss,
                    validation_loss=validation_loss,
                    validation_error=validation_error,
                    learning_rate=learning_rate,
                    seconds=time.perf_counter() - start,
                )
                early_stop.note_epoch()
                saved.save()
                bar.set_postfix_str(str(history))
        early_stop.restore_best()
    return history


def _progress_bar(wanted: bool, steps: int, done: int) -> tqdm:
    # tqdm reads the variable itself, but not in notebooks. None: not where it goes to a file.
    disable = True if not wanted or os.environ.get("TQDM_DISABLE") else None
    return tqdm(total=steps, initial=done, unit="step", leave=False, disable=disable)


def _require_options(
    epochs: int,
    batch_size: int,
    seed: int,
    clip: float | None,
    patience: int | None,
    validation: Samples | None,
) -> None:
    count("seed", seed)
    for name, value in {"epochs": epochs, "batch_size": batch_size, "patience": patience}.items():
        if value is not None and count(name, value) < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if clip is not None:
        positive("clip", clip)
    if patience is not None and validation is None:
        raise ValueError(f"patience = {patience} needs validation samples, got none")


def _require_function(name: str, value: object, signature: str) -> None:
    if not callable(value):
        raise ValueError(f"{name} must be a function {signature}, got {type(value).__name__}")
