"""Channel selection on tensors: the twins of `sparsecourse.reference.channel_selection`.

Samples matter only through the triangular factor in [X Y] = QR: ||Y - X M||_F is the norm of R's
last columns less its first ones times M, for any M. So there are never more rows to work on than
columns, however many samples there are. The design of the lasso is made small in the same way.

One layer at a time. The work is done in float64; the weights, and coefficients, that come back have
the dtype and device of `W`; objectives and strengths are in float64. Nothing carries a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sparsecourse.functional import lasso, ridge
from sparsecourse.functional.greedy import keep_largest
from sparsecourse.functional.least_squares import solve_minimum_norm
from sparsecourse.functional.validation import finite_tensor, strength
from sparsecourse.reference.channel_selection import (
    FIRST_LAM,
    GROWTH,
    LAM_RESOLUTION,
    LEAST_LAM,
    MAX_SWEEPS,
    STEPS_AT_MOST,
)
from sparsecourse.reference.convergence import Solution
from sparsecourse.reference.validation import count, positive

Channels = Tensor | Sequence[int]

LEAST_RIDGE = 1e-8  # of the mean square of a column; below it a Cholesky factor is not accurate


class Selection(NamedTuple):
    """Channels chosen by the lasso, and the solution that chose them.

    `kept`, shape (n_kept,), are the channels in rising order. `beta`, shape (channels,), is zero
    for all others, and belongs to weights with ||W_i||_F = 1. `lam` is where the search ended,
    `n_nonzero` is ||beta||_0 there. It is above the length of `kept` where no lam that was tried
    leaves exactly as many as asked for.
    """

    kept: Tensor
    beta: Tensor
    lam: Tensor
    n_nonzero: Tensor


class Alternation(NamedTuple):
    """Weights and coefficients after alternating steps: the layer is sum_i beta_i X_i W_i^T.

    `W`, shape (filters, channels, k_h, k_w), has ||W_i||_F = 1 (0 where a channel has no weights),
    `beta` shape (channels,). `history`, shape (n_values,), is the objective at the start and after
    each half step.
    """

    W: Tensor
    beta: Tensor
    history: Tensor


class AlternatingSelection(NamedTuple):
    """Channels chosen by an alternation with growing lam: a `Selection` and what led to it.

    The coefficients belong to the weights `W`, shape (filters, channels, k_h, k_w). `history`,
    shape (n_values,), is the objective before and after each half step, each value at the lam that
    stands in `lams`, of the same shape.
    """

    kept: Tensor
    beta: Tensor
    lam: Tensor
    n_nonzero: Tensor
    W: Tensor
    history: Tensor
    lams: Tensor


def channel_responses(W: Tensor, X: Tensor) -> Tensor:
    """What each channel alone adds to the outputs: Z_i = X_i W_i^T.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, k_h, k_w)
    X : Tensor, shape (n_samples, channels * k_h * k_w)

    Returns
    -------
    Z : Tensor, shape (channels, n_samples, filters)
        Their sum over channels is X W^T.

    Raises
    ------
    ValueError
        If `X` does not have the columns of `W`, or on bad input.

    References
    ----------
    He, Zhang, Sun, Channel pruning for accelerating very deep neural networks, ICCV 2017, eq. (3).
    """
    W, X = _layer(W, X)
    filters, channels = W.shape[:2]
    blocks = X.reshape(len(X), channels, -1).transpose(0, 1)
    return blocks @ W.transpose(0, 1).reshape(channels, filters, -1).mT


def objective(W: Tensor, beta: Tensor, X: Tensor, Y: Tensor, lam: float) -> Tensor:
    """Value of ||Y - sum_i beta_i X_i W_i^T||_F^2 / (2N) + lam ||beta||_1, of N samples.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, k_h, k_w)
        Unless ||W_i||_F = 1 for each channel, the second term says nothing: W_i can grow and
        beta_i shrink.
    beta : Tensor, shape (channels,)
    X : Tensor, shape (n_samples, channels * k_h * k_w)
    Y : Tensor, shape (n_samples, filters)
    lam : float, >= 0

    Returns
    -------
    value : Tensor, 0-D

    Raises
    ------
    ValueError
        If `lam` is negative, if shapes do not match, or on bad input.

    References
    ----------
    He, Zhang, Sun, ICCV 2017, eq. (2).
    """
    W, X, Y = _layer_and_outputs(W, X, Y)
    beta = _coefficients("beta", beta, W)
    return _objective(W, beta, _Problem(X, Y, len(X)), strength(lam))


def normalize(W: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    """Move the size of the weights into the coefficients: ||W_i||_F = 1, the product stays.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, k_h, k_w)
    beta : Tensor, shape (channels,)

    Returns
    -------
    W : Tensor, shape (filters, channels, k_h, k_w)
        W_i / ||W_i||_F; where a channel has no weights they stay zero.
    beta : Tensor, shape (channels,)
        beta_i ||W_i||_F.

    Raises
    ------
    ValueError
        If shapes do not match, or on bad input.

    References
    ----------
    He, Zhang, Sun, ICCV 2017, below eq. (4).
    """
    W = _kernel("W", W)
    beta = _coefficients("beta", beta, W)
    size = torch.linalg.vector_norm(W, dim=(0, 2, 3))
    return W / torch.where(size > 0, size, 1)[:, None, None], beta * size


def solve_beta(
    W: Tensor,
    X: Tensor,
    Y: Tensor,
    lam: float,
    tol: float = 1e-8,
    beta0: Tensor | None = None,
) -> Solution[Tensor]:
    """Minimise the objective over beta for fixed W: a lasso with one column for each channel.

    The column of a channel is Z_i written as one long vector, the target is Y written so. It has
    N times filters entries: the lam of `lasso` is the one here divided by the number of filters.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, k_h, k_w)
    X : Tensor, shape (n_samples, channels * k_h * k_w)
    Y : Tensor, shape (n_samples, filters)
    lam : float, > 0
        Without a penalty, for 0, it is what `rescale` solves.
    tol : float, > 0
        Bound on the duality gap, relative to the objective at zero.
    beta0 : Tensor, shape (channels,), optional
        Where to start; the objective is not above that of the start. Default: zero.

    Returns
    -------
    solution : Solution, with coef of shape (channels,)

    Raises
    ------
    ValueError
        If `lam` or `tol` is not positive, if shapes do not match, or on bad input.

    References
    ----------
    He, Zhang, Sun, ICCV 2017, eq. (3).
    """
    W, X, Y = _layer_and_outputs(W, X, Y)
    start = None if beta0 is None else _coefficients("beta0", beta0, W).double()
    responses = _one_column_a_channel(W.double(), _problem(X, Y))
    solution = responses.solve(positive("lam", lam), tol, start)
    coef = solution.coef.to(W.dtype)
    return Solution(coef, responses.gap(coef.double(), lam), solution.n_iter)


def solve_weights(
    W: Tensor, beta: Tensor, X: Tensor, Y: Tensor, lam: float
) -> tuple[Tensor, Tensor]:
    """Solve for the weights for fixed beta, then normalise them.

    For lam = 0 this is the paper's step: least squares, ||Y - X' W'^T||_F with X' = [beta_i X_i]
    of the channels with beta_i != 0. It can raise the objective: least squares knows of no penalty,
    and where it makes W_i longer, normalising makes beta_i so.

    For the lam of the objective it cannot. As u v <= (u^2 + v^2) / 2, the penalty after
    normalising, lam sum_i |beta_i| ||W'_i||_F, is at most lam / 2 times
    sum_i |beta_i| (||W'_i||_F^2 + 1), and equal to it at the start, where ||W_i||_F = 1. So what
    lowers ||Y - X' W'^T||_F^2 / (2N) plus that bound lowers the objective. The minimum of the two
    is ridge regression on the columns sqrt(|beta_i|) X_i, of strength N lam, for the weights
    V_i = sqrt(|beta_i|) W'_i.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, k_h, k_w)
    beta : Tensor, shape (channels,)
    X : Tensor, shape (n_samples, channels * k_h * k_w)
    Y : Tensor, shape (n_samples, filters)
    lam : float, >= 0

    Returns
    -------
    W : Tensor, shape (filters, channels, k_h, k_w)
        With ||W_i||_F = 1; those of a channel with beta_i = 0 only normalised. Where lam = 0 and
        many W' are equally good, as with few samples, the one with the least
        sum_i |beta_i| ||W'_i||_F^2.
    beta : Tensor, shape (channels,)
        beta_i ||W'_i||_F.

    Raises
    ------
    ValueError
        If `lam` is negative, if shapes do not match, or on bad input.

    References
    ----------
    He, Zhang, Sun, ICCV 2017, eq. (4); the bound: Bach, Jenatton, Mairal, Obozinski, Optimization
    with sparsity-inducing penalties, Foundations and Trends in Machine Learning 2012, section 5.
    """
    W, X, Y = _layer_and_outputs(W, X, Y)
    beta = _coefficients("beta", beta, W)
    W_new, beta_new = _solve_weights(W.double(), beta.double(), _problem(X, Y), strength(lam))
    return W_new.to(W.dtype), beta_new.to(W.dtype)


def alternate(
    W: Tensor, X: Tensor, Y: Tensor, lam: float, n_steps: int, tol: float = 1e-8
) -> Alternation:
    """Fix W and solve for beta, fix beta and solve for W, again and again, at one lam.

    With U_i = beta_i W_i and ||W_i||_F = 1 the objective is ||Y - sum_i X_i U_i^T||_F^2 / (2N) +
    lam sum_i ||U_i||_F: a group lasso with a group for each channel, whose minimum is a lower
    bound. It need not be reached: a channel that has left comes back only with the weights that it
    had.

    The step for W is `solve_weights` at the same lam, so that `history` never rises.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, k_h, k_w)
        Where to start, normalised.
    X : Tensor, shape (n_samples, channels * k_h * k_w)
    Y : Tensor, shape (n_samples, filters)
    lam : float, > 0
    n_steps : int, >= 0
        Pairs of half steps.
    tol : float, > 0
        Bound on the relative duality gap of each lasso.

    Returns
    -------
    alternation : Alternation
        `history` has 2 n_steps + 1 values.

    Raises
    ------
    ValueError
        If `lam` or `tol` is not positive, `n_steps` is negative or not whole, if shapes do not
        match, or on bad input.

    References
    ----------
    He, Zhang, Sun, ICCV 2017, section 3.2; the group lasso: Yuan, Lin, Model selection and
    estimation in regression with grouped variables, JRSS B 2006.
    """
    W, X, Y = _layer_and_outputs(W, X, Y)
    lam, problem = positive("lam", lam), _problem(X, Y)
    V, beta = normalize(W.double(), W.new_ones(W.shape[1]).double())
    history = [_objective(V, beta, problem, lam)]
    for _ in range(count("n_steps", n_steps)):
        V, beta, values = _step(V, beta, problem, lam, tol)
        history += values
    return Alternation(V.to(W.dtype), beta.to(W.dtype), torch.stack(history))


def select_lasso(W: Tensor, X: Tensor, Y: Tensor, n_kept: int, tol: float = 1e-8) -> Selection:
    """Choose channels by the lasso at the lam that leaves `n_kept` of them, W as it is.

    This is what the paper does in practice: steps for beta alone until few enough channels are
    left, and one for W at the end, which is `reconstruct`. The paper raises lam from zero. Here it
    is halved from the lam that leaves no channel, which is the quick end of the path, until
    `n_kept` or more are left, and then bisected. Where the path jumps from fewer to more, the
    `n_kept` largest |beta_i| of the side with more are kept, and `n_nonzero` says so.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, k_h, k_w)
    X : Tensor, shape (n_samples, channels * k_h * k_w)
    Y : Tensor, shape (n_samples, filters)
    n_kept : int, 1 to channels
        The paper's c'.
    tol : float, > 0
        Bound on the relative duality gap.

    Returns
    -------
    selection : Selection
        With fewer channels than `n_kept` only where the others add nothing: lam has then come down
        to LEAST_LAM of where it started.

    Raises
    ------
    ValueError
        If `n_kept` is out of range, if no response is correlated with `Y`, if shapes do not match,
        or on bad input.

    References
    ----------
    He, Zhang, Sun, ICCV 2017, section 3.2.
    """
    W, X, Y = _layer_and_outputs(W, X, Y)
    n_kept = _in_range(n_kept, W.shape[1])
    V, _ = normalize(W.double(), W.new_ones(W.shape[1]).double())
    responses = _one_column_a_channel(V, _problem(X, Y))
    largest = responses.largest_lam()
    above, lam = largest, largest / 2  # fewer than n_kept are left at lam = above
    beta = responses.solve(lam, tol, None).coef
    while beta.count_nonzero() < n_kept and lam > LEAST_LAM * largest:
        above, lam = lam, lam / 2
        beta = responses.solve(lam, tol, beta).coef
    while beta.count_nonzero() > n_kept and above > (1 + LAM_RESOLUTION) * lam:
        middle = (lam * above) ** 0.5
        between = responses.solve(middle, tol, beta).coef
        if between.count_nonzero() < n_kept:
            above = middle
        else:
            lam, beta = middle, between
    return _select(beta, n_kept, lam, W)


def select_alternating(
    W: Tensor, X: Tensor, Y: Tensor, n_kept: int, tol: float = 1e-8
) -> AlternatingSelection:
    """Choose channels by the whole alternation, with lam growing until `n_kept` are left.

    For each lam, steps of `alternate` go on until the channels with beta_i != 0 stay the same. Then
    lam grows by the factor GROWTH. Where that leaves fewer than `n_kept`, it is taken back, and lam
    grows by the square root of the factor instead. Where no growth of more than LAM_RESOLUTION will
    do, the `n_kept` largest |beta_i| are kept, and `n_nonzero` says so.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, k_h, k_w)
    X : Tensor, shape (n_samples, channels * k_h * k_w)
    Y : Tensor, shape (n_samples, filters)
    n_kept : int, 1 to channels
    tol : float, > 0
        Bound on the relative duality gap of each lasso.

    Returns
    -------
    selection : AlternatingSelection
        `history` never rises from one value to the next of the same lam; where lam grows, the
        objective rises with it. Empty, with a lam of zero, where no channel had to go.

    Raises
    ------
    ValueError
        If `n_kept` is out of range, if no response is correlated with `Y`, if shapes do not match,
        or on bad input.

    References
    ----------
    He, Zhang, Sun, ICCV 2017, section 3.2.
    """
    W, X, Y = _layer_and_outputs(W, X, Y)
    n_kept, tol = _in_range(n_kept, W.shape[1]), positive("tol", tol)
    problem = _problem(X, Y)
    V, beta = normalize(W.double(), W.new_ones(W.shape[1]).double())
    largest = _one_column_a_channel(V, problem).largest_lam()
    lam, reached, growth = FIRST_LAM * largest, 0.0, GROWTH
    history: list[Tensor] = []
    lams: list[float] = []
    while (
        beta.count_nonzero() > n_kept and growth > 1 + LAM_RESOLUTION and lam > LEAST_LAM * largest
    ):
        V_new, beta_new, values = V, beta, [_objective(V, beta, problem, lam)]
        for _ in range(STEPS_AT_MOST):
            before = beta_new != 0
            V_new, beta_new, after = _step(V_new, beta_new, problem, lam, tol)
            values += after
            if torch.equal(beta_new != 0, before):
                break
        if beta_new.count_nonzero() >= n_kept:
            V, beta, reached = V_new, beta_new, lam
            history, lams = history + values, lams + [lam] * len(values)
        elif reached > 0:
            growth = growth**0.5
        lam = reached * growth if reached > 0 else lam / 2
    return AlternatingSelection(
        *_select(beta, n_kept, reached, W),
        V.to(W.dtype),
        torch.stack(history) if history else beta[:0],
        beta.new_tensor(lams),
    )


def select_thinet(W: Tensor, X: Tensor, n_kept: int) -> Tensor:
    """Choose channels as ThiNet: let those go, one by one, whose sum of responses is smallest.

    The set T of channels to remove starts empty. Each step adds the channel that makes
    ||sum of Z_j over T||_F^2 smallest, which is the error of the outputs without T, the weights
    left as they are. The paper takes one random filter for each sample; here all count.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, k_h, k_w)
    X : Tensor, shape (n_samples, channels * k_h * k_w)
    n_kept : int, 1 to channels

    Returns
    -------
    kept : Tensor of int64, shape (n_kept,)
        In rising order. Where two are equally good to remove, the earlier one goes.

    Raises
    ------
    ValueError
        If `n_kept` is out of range, if `X` does not have the columns of `W`, or on bad input.

    References
    ----------
    Luo, Wu, Lin, ThiNet: a filter level pruning method for deep neural network compression, ICCV
    2017, section 3.2, eq. (6) and algorithm 1.
    """
    W, X = _layer(W, X)
    channels = W.shape[1]
    Z = _responses(W.double(), _triangle(X.double()))
    G = Z.mT @ Z  # what is known of the responses: their products
    left = torch.ones(channels, dtype=torch.bool, device=W.device)
    for _ in range(channels - _in_range(n_kept, channels)):
        # What the error grows by if a channel goes too.
        growth = G.diagonal() + 2 * G[:, ~left].sum(1)
        left[int(torch.where(left, growth, torch.inf).argmin())] = False
    return left.nonzero().squeeze(-1)


def select_l1(W: Tensor, n_kept: int) -> Tensor:
    """Choose the channels that are read with the largest weights, by the sum of their sizes.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, k_h, k_w)
    n_kept : int, 1 to channels

    Returns
    -------
    kept : Tensor of int64, shape (n_kept,)
        In rising order; where two tie the earlier one stays.

    Raises
    ------
    ValueError
        If `n_kept` is out of range, or on bad input.

    References
    ----------
    Li, Kadav, Durdanovic, Samet, Graf, Pruning filters for efficient ConvNets, ICLR 2017, rank
    filters by it; here it ranks what the layer reads.
    """
    W = _kernel("W", W)
    return _largest(W.abs().sum((0, 2, 3)), _in_range(n_kept, W.shape[1]))


def select_random(W: Tensor, n_kept: int, seed: int) -> Tensor:
    """Choose channels by chance: what every other way must beat.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, k_h, k_w)
    n_kept : int, 1 to channels
    seed : int, >= 0

    Returns
    -------
    kept : Tensor of int64, shape (n_kept,)
        In rising order.

    Raises
    ------
    ValueError
        If `n_kept` is out of range, `seed` is negative or not whole, or on bad input.

    References
    ----------
    Mittal, Bhardwaj, Khapra, Ravindran, Recovering from random pruning: on the plasticity of deep
    convolutional neural networks, WACV 2018.
    """
    W = _kernel("W", W)
    n_kept = _in_range(n_kept, W.shape[1])
    order = np.random.default_rng(count("seed", seed)).permutation(W.shape[1])
    return torch.as_tensor(np.sort(order[:n_kept]), device=W.device)


def select_gradient(gradient: Tensor, chosen: Channels, n_new: int) -> Tensor:
    """Add the channels along whose weights the loss falls most steeply: a greedy step.

    Discrimination-aware channel pruning starts with no channel, the weights of all zero. Each step
    adds the channel with the largest ||dL/dW_i||_F^2, then optimises L over the weights of the
    channels chosen, which is left to the caller. L = L_M + lambda L_S is the error of the outputs
    and a loss that tells the classes apart, measured at this layer.

    Parameters
    ----------
    gradient : Tensor, shape (filters, channels, k_h, k_w)
        dL/dW where the channels not chosen are zero.
    chosen : Tensor or sequence of int, shape (n_chosen,)
        Channels that are there already; may be empty.
    n_new : int, 1 to the number of other channels
        The paper adds one at a time.

    Returns
    -------
    chosen : Tensor of int64, shape (n_chosen + n_new,)
        In rising order. Where two tie the earlier one joins.

    Raises
    ------
    ValueError
        If `chosen` holds what is no channel or one twice, if `n_new` is out of range, or on bad
        input.

    References
    ----------
    Zhuang et al., Discrimination-aware channel pruning for deep neural networks, NeurIPS 2018,
    algorithm 2.
    """
    gradient = _kernel("gradient", gradient)
    channels = gradient.shape[1]
    already = _channels("chosen", chosen, channels, gradient)
    if not 1 <= count("n_new", n_new) <= channels - len(already):
        raise ValueError(
            f"n_new must be between 1 and {channels - len(already)}, the channels not chosen, "
            f"got {n_new}"
        )
    steepness = gradient.square().sum((0, 2, 3))
    steepness[already] = -1  # below all others
    return torch.cat([already, _largest(steepness, n_new)]).sort().values


def reconstruct(W: Tensor, X: Tensor, Y: Tensor, kept: Channels) -> Tensor:
    """Minimise ||Y - X' W'^T||_F over the weights of the channels that are kept.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, k_h, k_w)
        Says the shape of the kernel; what was learnt is in `Y`.
    X : Tensor, shape (n_samples, channels * k_h * k_w)
    Y : Tensor, shape (n_samples, filters)
    kept : Tensor or sequence of int, shape (n_kept,)

    Returns
    -------
    W : Tensor, shape (filters, n_kept, k_h, k_w)
        In the order of `kept`. Where many are equally good, as with fewer samples than
        ``n_kept * k_h * k_w``, the shortest one.

    Raises
    ------
    ValueError
        If `kept` is empty, holds what is no channel or one twice, if shapes do not match, or on
        bad input.

    References
    ----------
    He, Zhang, Sun, ICCV 2017, eq. (4).
    """
    W, X, Y = _layer_and_outputs(W, X, Y)
    chosen = _kept(kept, W)
    problem = _problem(_columns(X, W, chosen), Y)
    weights = solve_minimum_norm(problem.X, problem.Y)
    return weights.mT.reshape(W[:, chosen].shape).to(W.dtype)


def rescale(W: Tensor, X: Tensor, Y: Tensor, kept: Channels) -> Tensor:
    """As `reconstruct`, but with one factor for each channel: ThiNet's smaller least squares.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, k_h, k_w)
    X : Tensor, shape (n_samples, channels * k_h * k_w)
    Y : Tensor, shape (n_samples, filters)
    kept : Tensor or sequence of int, shape (n_kept,)

    Returns
    -------
    W : Tensor, shape (filters, n_kept, k_h, k_w)
        The weights of the channels kept, in the order of `kept`, times their factors.

    Raises
    ------
    ValueError
        If `kept` is empty, holds what is no channel or one twice, if shapes do not match, or on
        bad input.

    References
    ----------
    Luo, Wu, Lin, ThiNet, ICCV 2017, section 3.2, eq. (7).
    """
    W, X, Y = _layer_and_outputs(W, X, Y)
    chosen = _kept(kept, W)
    responses = _one_column_a_channel(W.double(), _problem(X, Y))
    factors = solve_minimum_norm(responses.columns[:, chosen], responses.target)
    return W[:, chosen] * factors.to(W.dtype)[:, None, None]


def output_error(W: Tensor, X: Tensor, Y: Tensor, kept: Channels) -> Tensor:
    """How far the outputs of a pruned layer are off: ||Y - X' W^T||_F / ||Y||_F.

    Parameters
    ----------
    W : Tensor, shape (filters, n_kept, k_h, k_w)
        The weights of the channels kept, as `reconstruct` returns them.
    X : Tensor, shape (n_samples, channels * k_h * k_w)
        Of all channels. Samples that the weights were not fitted to show what is gained.
    Y : Tensor, shape (n_samples, filters), not all zero
    kept : Tensor or sequence of int, shape (n_kept,)
        In the order of `W`.

    Returns
    -------
    error : Tensor, 0-D, >= 0
        1 for a layer that puts out zero.

    Raises
    ------
    ValueError
        If `Y` is zero, if `kept` is empty, holds what is no channel or one twice, if shapes do not
        match, or on bad input.

    References
    ----------
    He, Zhang, Sun, Channel pruning for accelerating very deep neural networks, ICCV 2017, eq. (1),
    relative to the outputs.
    """
    W = _kernel("W", W)
    X, Y = _matrix("X", X, W), _matrix("Y", Y, W)
    size = W[0, 0].numel()
    if X.shape[1] % size:
        raise ValueError(
            f"X must have a multiple of {size} columns, the entries of a kernel of W of shape "
            f"{tuple(W.shape)}, got shape {tuple(X.shape)}"
        )
    chosen = _channels("kept", kept, X.shape[1] // size, W)
    if len(chosen) != W.shape[1]:
        raise ValueError(f"kept must name {W.shape[1]} channels, those of W, got {len(chosen)}")
    _check_outputs(Y, W, X)
    if not Y.any():
        raise ValueError("Y must not be zero: no error is small relative to it")
    fitted = _columns(X, W, chosen) @ W.flatten(1).mT
    return torch.linalg.matrix_norm(Y - fitted) / torch.linalg.matrix_norm(Y)


@dataclass(frozen=True)
class _Problem:
    """Rows that have the errors of all samples, and how many samples they stand for."""

    X: Tensor
    Y: Tensor
    n: int


@dataclass(frozen=True)
class _Responses:
    """The regression of Y on one column a channel; its errors are those of n samples."""

    columns: Tensor
    target: Tensor
    n: int

    def of_rows(self, lam: float) -> float:
        """What lam is in `lasso`, which divides the squared error by twice the rows."""
        return lam * self.n / len(self.target)

    def solve(self, lam: float, tol: float, start: Tensor | None) -> Solution[Tensor]:
        return lasso.solve(self.columns, self.target, self.of_rows(lam), tol, MAX_SWEEPS, start)

    def gap(self, beta: Tensor, lam: float) -> float:
        return float(lasso.duality_gap(self.columns, self.target, beta, self.of_rows(lam)))

    def largest_lam(self) -> float:
        """The smallest lam that leaves no channel."""
        largest = float(lasso.lambda_max(self.columns, self.target)) * len(self.target) / self.n
        if largest == 0:
            raise ValueError(
                "Y must not be orthogonal to the responses of all channels: none helps"
            )
        return largest


def _triangle(A: Tensor) -> Tensor:
    """R of A = QR where it has fewer rows than A."""
    return torch.linalg.qr(A, mode="r").R if A.shape[0] > A.shape[1] else A


def _problem(X: Tensor, Y: Tensor) -> _Problem:
    R = _triangle(torch.cat([X, Y], dim=1).double())
    return _Problem(R[:, : X.shape[1]], R[:, X.shape[1] :], len(X))


def _responses(W: Tensor, X: Tensor) -> Tensor:
    """The response of each channel as a column, shape (n_samples * filters, channels)."""
    return channel_responses(W, X).flatten(1).mT


def _one_column_a_channel(W: Tensor, problem: _Problem) -> _Responses:
    target = problem.Y.reshape(-1, 1)
    R = _triangle(torch.cat([_responses(W, problem.X), target], dim=1))
    return _Responses(R[:, :-1], R[:, -1], problem.n)


def _objective(W: Tensor, beta: Tensor, problem: _Problem, lam: float) -> Tensor:
    U = (W * beta[:, None, None]).flatten(1)
    squares = (problem.Y - problem.X @ U.mT).square().sum()
    return squares / (2 * problem.n) + lam * beta.abs().sum()


def _solve_weights(W: Tensor, beta: Tensor, problem: _Problem, lam: float) -> tuple[Tensor, Tensor]:
    chosen = beta.nonzero().squeeze(-1)
    if len(chosen) > 0:
        root = beta[chosen].abs().sqrt()
        X = _columns(problem.X, W, chosen) * root.repeat_interleave(W[0, 0].numel())
        G, strength_of_ridge = X.mT @ X, problem.n * lam
        if strength_of_ridge > LEAST_RIDGE * float(G.diagonal().mean()):
            G.diagonal().add_(strength_of_ridge)
            V = torch.cholesky_solve(X.mT @ problem.Y, torch.linalg.cholesky(G))
        else:
            V = ridge.svd_form(X, problem.Y, strength_of_ridge)
        signed = beta[chosen].sign() / root
        W = W.clone()
        W[:, chosen] = V.mT.reshape(W[:, chosen].shape) * signed[:, None, None]
    return normalize(W, beta)


def _step(
    W: Tensor, beta: Tensor, problem: _Problem, lam: float, tol: float
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """One step for beta, one for W, and the objective after each."""
    beta = _one_column_a_channel(W, problem).solve(lam, tol, beta).coef
    after_beta = _objective(W, beta, problem, lam)
    W, beta = _solve_weights(W, beta, problem, lam)
    return W, beta, [after_beta, _objective(W, beta, problem, lam)]


def _select(beta: Tensor, n_kept: int, lam: float, W: Tensor) -> Selection:
    left = keep_largest(beta, n_kept)
    kept, n_nonzero = left.nonzero().squeeze(-1), beta.count_nonzero()
    return Selection(kept, left.to(W.dtype), beta.new_tensor(lam), n_nonzero)


def _columns(X: Tensor, W: Tensor, kept: Tensor) -> Tensor:
    """The columns of X that belong to these channels, in their order."""
    return X.reshape(len(X), -1, W[0, 0].numel())[:, kept].flatten(1)


def _largest(scores: Tensor, number: int) -> Tensor:
    return scores.sort(descending=True, stable=True).indices[:number].sort().values


def _kernel(name: str, value: Tensor) -> Tensor:
    value = finite_tensor(name, value, least_ndim=4)
    if value.ndim != 4:
        raise ValueError(f"{name} must be 4-D, got shape {tuple(value.shape)}: one layer at a time")
    return value.detach()


def _matrix(name: str, value: Tensor, W: Tensor) -> Tensor:
    value = finite_tensor(name, value, least_ndim=2)
    if value.ndim != 2:
        raise ValueError(f"{name} must be 2-D, got shape {tuple(value.shape)}")
    if (value.dtype, value.device) != (W.dtype, W.device):
        raise ValueError(
            f"{name} must be {W.dtype} on {W.device} like W, got {value.dtype} on {value.device}"
        )
    return value.detach()


def _layer(W: Tensor, X: Tensor) -> tuple[Tensor, Tensor]:
    W = _kernel("W", W)
    X = _matrix("X", X, W)
    if X.shape[1] != W[0].numel():
        raise ValueError(
            f"X must have {W[0].numel()} columns to match W of shape {tuple(W.shape)}, got shape "
            f"{tuple(X.shape)}"
        )
    return W, X


def _layer_and_outputs(W: Tensor, X: Tensor, Y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    W, X = _layer(W, X)
    Y = _matrix("Y", Y, W)
    _check_outputs(Y, W, X)
    return W, X, Y


def _check_outputs(Y: Tensor, W: Tensor, X: Tensor) -> None:
    if Y.shape != (len(X), len(W)):
        raise ValueError(
            f"Y must have shape {(len(X), len(W))}, a row for each sample and a column for each "
            f"filter, got {tuple(Y.shape)}"
        )


def _coefficients(name: str, beta: Tensor, W: Tensor) -> Tensor:
    beta = finite_tensor(name, beta, least_ndim=1)
    if beta.shape != W.shape[1:2]:
        raise ValueError(
            f"{name} must have shape ({W.shape[1]},), one a channel, got {tuple(beta.shape)}"
        )
    if (beta.dtype, beta.device) != (W.dtype, W.device):
        raise ValueError(
            f"{name} must be {W.dtype} on {W.device} like W, got {beta.dtype} on {beta.device}"
        )
    return beta.detach()


def _kept(kept: Channels, W: Tensor) -> Tensor:
    checked = _channels("kept", kept, W.shape[1], W)
    if len(checked) == 0:
        raise ValueError("kept must name at least one channel, got none")
    return checked


def _channels(name: str, channels: Channels, n_channels: int, like: Tensor) -> Tensor:
    indices = torch.as_tensor(channels, device=like.device)
    if indices.ndim != 1 or (len(indices) > 0 and indices.dtype not in (torch.int32, torch.int64)):
        raise ValueError(f"{name} must list channels, got {channels!r}")
    is_channel = (indices >= 0) & (indices < n_channels)
    if len(set(indices.tolist())) < len(indices) or not is_channel.all():
        raise ValueError(
            f"{name} must list each channel once at most, of 0 to {n_channels - 1}, "
            f"got {channels!r}"
        )
    return indices.long()


def _in_range(n_kept: int, channels: int) -> int:
    if not 1 <= count("n_kept", n_kept) <= channels:
        raise ValueError(
            f"n_kept must be between 1 and {channels}, the number of channels, got {n_kept}"
        )
    return n_kept
