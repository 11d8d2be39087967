"""Choose the channels that a layer reads so that its outputs change least: reconstruction.

A layer computes Y = X W^T + bias. Its outputs are a sum over the channels that it reads,
Y = sum_i X_i W_i^T, where X_i holds what the kernel meets in channel i. A channel that is left out
is no longer read here, and the filter of the layer before that makes it can go too.

Conventions: `W` has shape (filters, channels, k_h, k_w). Samples are rows of `X`: each place where
the kernel is put is one, what `convolution.im2col` gives as columns, as rows. So channel i has the
k_h k_w columns from i k_h k_w on. A fully connected layer after a convolution is a kernel as large
as the image. `Y`, shape (n_samples, filters), is what to reconstruct, less the bias; where layers
are pruned one after the other, X comes from the pruned network and Y from the original one. A layer
that may change its bias too is called with X and Y less their means, as `low_rank.regress`.

Three ways choose by the outputs: the lasso of He, Zhang, Sun (`select_lasso`,
`select_alternating`), the greedy one of ThiNet (`select_thinet`) and a gradient (`select_gradient`,
discrimination-aware). `select_l1` and `select_random` do not look at them. Whatever chose,
`reconstruct` fits the weights that are left.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsecourse.reference import lasso, ridge
from sparsecourse.reference.convergence import Solution
from sparsecourse.reference.greedy import keep_largest
from sparsecourse.reference.least_squares import solve_minimum_norm
from sparsecourse.reference.validation import count, finite_array, positive, strength

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

MAX_SWEEPS = 10_000
LEAST_LAM = 1e-6  # the search for lam ends at this share of the lam that leaves no channel
LAM_RESOLUTION = 1e-4  # relative; closer together no two values of lam are told apart
FIRST_LAM, GROWTH = 0.01, 1.1  # where select_alternating starts, as a share, and its factor
STEPS_AT_MOST = 20  # of the alternation, for each lam


class Selection(NamedTuple):
    """Channels chosen by the lasso, and the solution that chose them.

    `kept`, shape (n_kept,), are the channels in rising order. `beta`, shape (channels,), is zero
    for all others, and belongs to weights with ||W_i||_F = 1. `lam` is where the search ended,
    `n_nonzero` is ||beta||_0 there. It is above the length of `kept` where no lam that was tried
    leaves exactly as many as asked for.
    """

    kept: Indices
    beta: Floats
    lam: float
    n_nonzero: int


class Alternation(NamedTuple):
    """Weights and coefficients after alternating steps: the layer is sum_i beta_i X_i W_i^T.

    `W`, shape (filters, channels, k_h, k_w), has ||W_i||_F = 1 (0 where a channel has no weights),
    `beta` shape (channels,). `history`, shape (n_values,), is the objective at the start and after
    each half step.
    """

    W: Floats
    beta: Floats
    history: Floats


class AlternatingSelection(NamedTuple):
    """Channels chosen by an alternation with growing lam: a `Selection` and what led to it.

    The coefficients belong to the weights `W`, shape (filters, channels, k_h, k_w). `history`,
    shape (n_values,), is the objective before and after each half step, each value at the lam that
    stands in `lams`, of the same shape.
    """

    kept: Indices
    beta: Floats
    lam: float
    n_nonzero: int
    W: Floats
    history: Floats
    lams: Floats


def channel_responses(W: ArrayLike, X: ArrayLike) -> Floats:
    """What each channel alone adds to the outputs: Z_i = X_i W_i^T.

    Parameters
    ----------
    W : array_like, shape (filters, channels, k_h, k_w)
    X : array_like, shape (n_samples, channels * k_h * k_w)

    Returns
    -------
    Z : ndarray, shape (channels, n_samples, filters)
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
    Z = np.empty((channels, len(X), filters))
    for i, X_i in enumerate(np.split(X, channels, axis=1)):
        Z[i] = X_i @ W[:, i].reshape(filters, -1).T
    return Z


def objective(W: ArrayLike, beta: ArrayLike, X: ArrayLike, Y: ArrayLike, lam: float) -> float:
    """Value of ||Y - sum_i beta_i X_i W_i^T||_F^2 / (2N) + lam ||beta||_1, of N samples.

    Parameters
    ----------
    W : array_like, shape (filters, channels, k_h, k_w)
        Unless ||W_i||_F = 1 for each channel, the second term says nothing: W_i can grow and
        beta_i shrink.
    beta : array_like, shape (channels,)
    X : array_like, shape (n_samples, channels * k_h * k_w)
    Y : array_like, shape (n_samples, filters)
    lam : float, >= 0

    Returns
    -------
    value : float

    Raises
    ------
    ValueError
        If `lam` is negative, if shapes do not match, or on bad input.

    References
    ----------
    He, Zhang, Sun, ICCV 2017, eq. (2).
    """
    W, X, Y = _layer_and_outputs(W, X, Y)
    beta = _coefficients(beta, W)
    residual = Y - np.tensordot(beta, channel_responses(W, X), axes=1)
    return float(np.sum(residual**2) / (2 * len(X)) + strength(lam) * np.abs(beta).sum())


def normalize(W: ArrayLike, beta: ArrayLike) -> tuple[Floats, Floats]:
    """Move the size of the weights into the coefficients: ||W_i||_F = 1, the product stays.

    Parameters
    ----------
    W : array_like, shape (filters, channels, k_h, k_w)
    beta : array_like, shape (channels,)

    Returns
    -------
    W : ndarray, shape (filters, channels, k_h, k_w)
        W_i / ||W_i||_F; where a channel has no weights they stay zero.
    beta : ndarray, shape (channels,)
        beta_i ||W_i||_F.

    Raises
    ------
    ValueError
        If shapes do not match, or on bad input.

    References
    ----------
    He, Zhang, Sun, ICCV 2017, below eq. (4).
    """
    W = finite_array("W", W, ndim=(4,))
    beta = _coefficients(beta, W)
    size = np.sqrt(np.sum(W**2, axis=(0, 2, 3)))
    return W / np.where(size > 0, size, 1)[:, None, None], beta * size


def solve_beta(
    W: ArrayLike,
    X: ArrayLike,
    Y: ArrayLike,
    lam: float,
    tol: float = 1e-8,
    beta0: ArrayLike | None = None,
) -> Solution[Floats]:
    """Minimise the objective over beta for fixed W: a lasso with one column for each channel.

    The column of a channel is Z_i written as one long vector, the target is Y written so. It has
    N times filters entries: the lam of `lasso` is the one here divided by the number of filters.

    Parameters
    ----------
    W : array_like, shape (filters, channels, k_h, k_w)
    X : array_like, shape (n_samples, channels * k_h * k_w)
    Y : array_like, shape (n_samples, filters)
    lam : float, > 0
        Without a penalty, for 0, it is what `rescale` solves.
    tol : float, > 0
        Bound on the duality gap, relative to the objective at zero.
    beta0 : array_like, shape (channels,), optional
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
    start = None if beta0 is None else _coefficients(beta0, W)
    return lasso.coordinate_descent(
        *_one_column_a_channel(W, X, Y), positive("lam", lam) / len(W), tol, MAX_SWEEPS, start
    )


def solve_weights(
    W: ArrayLike, beta: ArrayLike, X: ArrayLike, Y: ArrayLike, lam: float
) -> tuple[Floats, Floats]:
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
    W : array_like, shape (filters, channels, k_h, k_w)
    beta : array_like, shape (channels,)
    X : array_like, shape (n_samples, channels * k_h * k_w)
    Y : array_like, shape (n_samples, filters)
    lam : float, >= 0

    Returns
    -------
    W : ndarray, shape (filters, channels, k_h, k_w)
        With ||W_i||_F = 1; those of a channel with beta_i = 0 only normalised. Where lam = 0 and
        many W' are equally good, as with few samples, the one with the least
        sum_i |beta_i| ||W'_i||_F^2.
    beta : ndarray, shape (channels,)
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
    beta = _coefficients(beta, W)
    chosen = np.flatnonzero(beta)
    if len(chosen) > 0:
        root = np.sqrt(np.abs(beta[chosen]))
        V = ridge.svd_form(
            _columns(X, W, chosen) * np.repeat(root, W[0, 0].size), Y, len(X) * strength(lam)
        )
        signed = np.sign(beta[chosen]) / root
        W[:, chosen] = V.T.reshape(W[:, chosen].shape) * signed[:, None, None]
    return normalize(W, beta)


def alternate(
    W: ArrayLike, X: ArrayLike, Y: ArrayLike, lam: float, n_steps: int, tol: float = 1e-8
) -> Alternation:
    """Fix W and solve for beta, fix beta and solve for W, again and again, at one lam.

    With U_i = beta_i W_i and ||W_i||_F = 1 the objective is ||Y - sum_i X_i U_i^T||_F^2 / (2N) +
    lam sum_i ||U_i||_F: a group lasso with a group for each channel, whose minimum is a lower
    bound. It need not be reached: a channel that has left comes back only with the weights that it
    had.

    The step for W is `solve_weights` at the same lam, so that `history` never rises.

    Parameters
    ----------
    W : array_like, shape (filters, channels, k_h, k_w)
        Where to start, normalised.
    X : array_like, shape (n_samples, channels * k_h * k_w)
    Y : array_like, shape (n_samples, filters)
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
    W, beta = normalize(W, np.ones(W.shape[1]))
    history = [objective(W, beta, X, Y, lam)]
    for _ in range(count("n_steps", n_steps)):
        W, beta, values = _step(W, beta, X, Y, lam, tol)
        history += values
    return Alternation(W, beta, np.array(history))


def select_lasso(
    W: ArrayLike, X: ArrayLike, Y: ArrayLike, n_kept: int, tol: float = 1e-8
) -> Selection:
    """Choose channels by the lasso at the lam that leaves `n_kept` of them, W as it is.

    This is what the paper does in practice: steps for beta alone until few enough channels are
    left, and one for W at the end, which is `reconstruct`. The paper raises lam from zero. Here it
    is halved from the lam that leaves no channel, which is the quick end of the path, until
    `n_kept` or more are left, and then bisected. Where the path jumps from fewer to more, the
    `n_kept` largest |beta_i| of the side with more are kept, and `n_nonzero` says so.

    Parameters
    ----------
    W : array_like, shape (filters, channels, k_h, k_w)
    X : array_like, shape (n_samples, channels * k_h * k_w)
    Y : array_like, shape (n_samples, filters)
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
    channels = W.shape[1]
    n_kept = _in_range(n_kept, channels)
    W, _ = normalize(W, np.ones(channels))
    largest = _largest_lam(W, X, Y)
    above, lam = largest, largest / 2  # fewer than n_kept are left at lam = above
    beta = solve_beta(W, X, Y, lam, tol).coef
    while np.count_nonzero(beta) < n_kept and lam > LEAST_LAM * largest:
        above, lam = lam, lam / 2
        beta = solve_beta(W, X, Y, lam, tol, beta).coef
    while np.count_nonzero(beta) > n_kept and above > (1 + LAM_RESOLUTION) * lam:
        middle = np.sqrt(lam * above)
        between = solve_beta(W, X, Y, middle, tol, beta).coef
        if np.count_nonzero(between) < n_kept:
            above = middle
        else:
            lam, beta = middle, between
    left = keep_largest(beta, n_kept)
    return Selection(np.flatnonzero(left), left, float(lam), int(np.count_nonzero(beta)))


def select_alternating(
    W: ArrayLike, X: ArrayLike, Y: ArrayLike, n_kept: int, tol: float = 1e-8
) -> AlternatingSelection:
    """Choose channels by the whole alternation, with lam growing until `n_kept` are left.

    For each lam, steps of `alternate` go on until the channels with beta_i != 0 stay the same. Then
    lam grows by the factor GROWTH. Where that leaves fewer than `n_kept`, it is taken back, and lam
    grows by the square root of the factor instead. Where no growth of more than LAM_RESOLUTION will
    do, the `n_kept` largest |beta_i| are kept, and `n_nonzero` says so.

    Parameters
    ----------
    W : array_like, shape (filters, channels, k_h, k_w)
    X : array_like, shape (n_samples, channels * k_h * k_w)
    Y : array_like, shape (n_samples, filters)
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
    W, beta = normalize(W, np.ones(W.shape[1]))
    largest = _largest_lam(W, X, Y)
    lam, reached, growth = FIRST_LAM * largest, 0.0, GROWTH
    history: list[float] = []
    lams: list[float] = []
    while (
        np.count_nonzero(beta) > n_kept
        and growth > 1 + LAM_RESOLUTION
        and lam > LEAST_LAM * largest
    ):
        W_new, beta_new, values = W, beta, [objective(W, beta, X, Y, lam)]
        for _ in range(STEPS_AT_MOST):
            before = beta_new != 0
            W_new, beta_new, after = _step(W_new, beta_new, X, Y, lam, tol)
            values += after
            if np.array_equal(beta_new != 0, before):
                break
        if np.count_nonzero(beta_new) >= n_kept:
            W, beta, reached = W_new, beta_new, lam
            history, lams = history + values, lams + [lam] * len(values)
        elif reached > 0:
            growth = growth**0.5
        lam = reached * growth if reached > 0 else lam / 2
    left = keep_largest(beta, n_kept)
    n_nonzero = int(np.count_nonzero(beta))
    return AlternatingSelection(
        np.flatnonzero(left), left, reached, n_nonzero, W, np.array(history), np.array(lams)
    )


def select_thinet(W: ArrayLike, X: ArrayLike, n_kept: int) -> Indices:
    """Choose channels as ThiNet: let those go, one by one, whose sum of responses is smallest.

    The set T of channels to remove starts empty. Each step adds the channel that makes
    ||sum of Z_j over T||_F^2 smallest, which is the error of the outputs without T, the weights
    left as they are. The paper takes one random filter for each sample; here all count.

    Parameters
    ----------
    W : array_like, shape (filters, channels, k_h, k_w)
    X : array_like, shape (n_samples, channels * k_h * k_w)
    n_kept : int, 1 to channels

    Returns
    -------
    kept : ndarray of int64, shape (n_kept,)
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
    Z = channel_responses(W, X)
    left = list(range(len(Z)))
    removed = np.zeros_like(Z[0])
    for _ in range(len(Z) - _in_range(n_kept, len(Z))):
        errors = [np.sum((removed + Z[j]) ** 2) for j in left]
        removed = removed + Z[left.pop(int(np.argmin(errors)))]
    return np.array(left, dtype=np.int64)


def select_l1(W: ArrayLike, n_kept: int) -> Indices:
    """Choose the channels that are read with the largest weights, by the sum of their sizes.

    Parameters
    ----------
    W : array_like, shape (filters, channels, k_h, k_w)
    n_kept : int, 1 to channels

    Returns
    -------
    kept : ndarray of int64, shape (n_kept,)
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
    W = finite_array("W", W, ndim=(4,))
    n_kept = _in_range(n_kept, W.shape[1])
    return _largest(np.abs(W).sum(axis=(0, 2, 3)), n_kept)


def select_random(W: ArrayLike, n_kept: int, seed: int) -> Indices:
    """Choose channels by chance: what every other way must beat.

    Parameters
    ----------
    W : array_like, shape (filters, channels, k_h, k_w)
    n_kept : int, 1 to channels
    seed : int, >= 0

    Returns
    -------
    kept : ndarray of int64, shape (n_kept,)
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
    W = finite_array("W", W, ndim=(4,))
    n_kept = _in_range(n_kept, W.shape[1])
    rng = np.random.default_rng(count("seed", seed))
    return np.sort(rng.permutation(W.shape[1])[:n_kept])


def select_gradient(gradient: ArrayLike, chosen: ArrayLike, n_new: int) -> Indices:
    """Add the channels along whose weights the loss falls most steeply: a greedy step.

    Discrimination-aware channel pruning starts with no channel, the weights of all zero. Each step
    adds the channel with the largest ||dL/dW_i||_F^2, then optimises L over the weights of the
    channels chosen, which is left to the caller. L = L_M + lambda L_S is the error of the outputs
    and a loss that tells the classes apart, measured at this layer.

    Parameters
    ----------
    gradient : array_like, shape (filters, channels, k_h, k_w)
        dL/dW where the channels not chosen are zero.
    chosen : array_like of int, shape (n_chosen,)
        Channels that are there already; may be empty.
    n_new : int, 1 to the number of other channels
        The paper adds one at a time.

    Returns
    -------
    chosen : ndarray of int64, shape (n_chosen + n_new,)
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
    gradient = finite_array("gradient", gradient, ndim=(4,))
    channels = gradient.shape[1]
    already = _channels("chosen", chosen, channels)
    if not 1 <= count("n_new", n_new) <= channels - len(already):
        raise ValueError(
            f"n_new must be between 1 and {channels - len(already)}, the channels not chosen, "
            f"got {n_new}"
        )
    steepness = np.sum(gradient**2, axis=(0, 2, 3))
    steepness[already] = -1  # below all others
    return np.sort(np.concatenate([already, _largest(steepness, n_new)]))


def reconstruct(W: ArrayLike, X: ArrayLike, Y: ArrayLike, kept: ArrayLike) -> Floats:
    """Minimise ||Y - X' W'^T||_F over the weights of the channels that are kept.

    Parameters
    ----------
    W : array_like, shape (filters, channels, k_h, k_w)
        Says the shape of the kernel; what was learnt is in `Y`.
    X : array_like, shape (n_samples, channels * k_h * k_w)
    Y : array_like, shape (n_samples, filters)
    kept : array_like of int, shape (n_kept,)

    Returns
    -------
    W : ndarray, shape (filters, n_kept, k_h, k_w)
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
    return solve_minimum_norm(_columns(X, W, chosen), Y).T.reshape(W[:, chosen].shape)


def rescale(W: ArrayLike, X: ArrayLike, Y: ArrayLike, kept: ArrayLike) -> Floats:
    """As `reconstruct`, but with one factor for each channel: ThiNet's smaller least squares.

    Parameters
    ----------
    W : array_like, shape (filters, channels, k_h, k_w)
    X : array_like, shape (n_samples, channels * k_h * k_w)
    Y : array_like, shape (n_samples, filters)
    kept : array_like of int, shape (n_kept,)

    Returns
    -------
    W : ndarray, shape (filters, n_kept, k_h, k_w)
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
    columns, target = _one_column_a_channel(W, X, Y)
    return W[:, chosen] * solve_minimum_norm(columns[:, chosen], target)[:, None, None]


def output_error(W: ArrayLike, X: ArrayLike, Y: ArrayLike, kept: ArrayLike) -> float:
    """How far the outputs of a pruned layer are off: ||Y - X' W^T||_F / ||Y||_F.

    Parameters
    ----------
    W : array_like, shape (filters, n_kept, k_h, k_w)
        The weights of the channels kept, as `reconstruct` returns them.
    X : array_like, shape (n_samples, channels * k_h * k_w)
        Of all channels. Samples that the weights were not fitted to show what is gained.
    Y : array_like, shape (n_samples, filters), not all zero
    kept : array_like of int, shape (n_kept,)
        In the order of `W`.

    Returns
    -------
    error : float, >= 0
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
    W = finite_array("W", W, ndim=(4,))
    X, Y = finite_array("X", X, ndim=(2,)), finite_array("Y", Y, ndim=(2,))
    size = W[0, 0].size
    if X.shape[1] % size:
        raise ValueError(
            f"X must have a multiple of {size} columns, the entries of a kernel of W of shape "
            f"{W.shape}, got shape {X.shape}"
        )
    chosen = _channels("kept", kept, X.shape[1] // size)
    if len(chosen) != W.shape[1]:
        raise ValueError(f"kept must name {W.shape[1]} channels, those of W, got {len(chosen)}")
    _check_outputs(Y, W, X)
    if not Y.any():
        raise ValueError("Y must not be zero: no error is small relative to it")
    fitted = _columns(X, W, chosen) @ W.reshape(len(W), -1).T
    return float(np.linalg.norm(Y - fitted) / np.linalg.norm(Y))


def _step(
    W: Floats, beta: Floats, X: Floats, Y: Floats, lam: float, tol: float
) -> tuple[Floats, Floats, list[float]]:
    """One step for beta, one for W, and the objective after each."""
    beta = solve_beta(W, X, Y, lam, tol, beta).coef
    after_beta = objective(W, beta, X, Y, lam)
    W, beta = solve_weights(W, beta, X, Y, lam)
    return W, beta, [after_beta, objective(W, beta, X, Y, lam)]


def _one_column_a_channel(W: Floats, X: Floats, Y: Floats) -> tuple[Floats, Floats]:
    """The design and the target of a regression of Y on the responses of the channels."""
    return channel_responses(W, X).reshape(W.shape[1], -1).T, Y.ravel()


def _largest_lam(W: Floats, X: Floats, Y: Floats) -> float:
    """The smallest lam that leaves no channel."""
    largest = lasso.lambda_max(*_one_column_a_channel(W, X, Y)) * len(W)
    if largest == 0:
        raise ValueError("Y must not be orthogonal to the responses of all channels: none helps")
    return largest


def _columns(X: Floats, W: Floats, kept: Indices) -> Floats:
    """The columns of X that belong to these channels, in their order."""
    size = W[0, 0].size
    return X[:, (kept[:, None] * size + np.arange(size)).ravel()]


def _largest(scores: Floats, number: int) -> Indices:
    return np.sort(np.argsort(-scores, kind="stable")[:number])


def _layer(W: ArrayLike, X: ArrayLike) -> tuple[Floats, Floats]:
    W, X = finite_array("W", W, ndim=(4,)), finite_array("X", X, ndim=(2,))
    if X.shape[1] != W[0].size:
        raise ValueError(
            f"X must have {W[0].size} columns to match W of shape {W.shape}, got shape {X.shape}"
        )
    return W, X


def _layer_and_outputs(W: ArrayLike, X: ArrayLike, Y: ArrayLike) -> tuple[Floats, Floats, Floats]:
    W, X = _layer(W, X)
    Y = finite_array("Y", Y, ndim=(2,))
    _check_outputs(Y, W, X)
    return W, X, Y


def _check_outputs(Y: Floats, W: Floats, X: Floats) -> None:
    if Y.shape != (len(X), len(W)):
        raise ValueError(
            f"Y must have shape {(len(X), len(W))}, a row for each sample and a column for each "
            f"filter, got {Y.shape}"
        )


def _coefficients(beta: ArrayLike, W: Floats) -> Floats:
    beta = finite_array("beta", beta, ndim=(1,))
    if len(beta) != W.shape[1]:
        raise ValueError(f"beta must have shape ({W.shape[1]},), one a channel, got {beta.shape}")
    return beta


def _kept(kept: ArrayLike, W: Floats) -> Indices:
    checked = _channels("kept", kept, W.shape[1])
    if len(checked) == 0:
        raise ValueError("kept must name at least one channel, got none")
    return checked


def _channels(name: str, channels: ArrayLike, n_channels: int) -> Indices:
    indices = np.asarray(channels)
    if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
        raise ValueError(f"{name} must list channels, got {channels!r}")
    if len(np.unique(indices)) < len(indices) or not np.isin(indices, range(n_channels)).all():
        raise ValueError(
            f"{name} must list each channel once at most, of 0 to {n_channels - 1}, "
            f"got {channels!r}"
        )
    return indices.astype(np.int64)


def _in_range(n_kept: int, channels: int) -> int:
    if not 1 <= count("n_kept", n_kept) <= channels:
        raise ValueError(
            f"n_kept must be between 1 and {channels}, the number of channels, got {n_kept}"
        )
    return n_kept
