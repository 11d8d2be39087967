"""Every explorer, without a browser: each control at both ends and in between, against the pure
function behind it. A new explorer joins by being in sparsecourse.widgets."""

import base64
import inspect
import itertools
import warnings

import ipywidgets
import numpy as np
import pytest
from sklearn.linear_model import LassoCV, LassoLars
from sklearn.model_selection import PredefinedSplit

from sparsecourse import widgets
from sparsecourse.data import load
from sparsecourse.reference import lasso
from sparsecourse.reference.convergence import ConvergenceWarning
from sparsecourse.reference.cross_validation import folds
from sparsecourse.reference.least_squares import polynomial_features
from sparsecourse.widgets.coordinate_steps import START, STEPS, design, minimise
from sparsecourse.widgets.explorer import Explorer
from sparsecourse.widgets.first_pruning import prune_weights, train_classifier, validation_accuracy
from sparsecourse.widgets.group_paths import L1_RATIO, expanded_diabetes, hats, look_at
from sparsecourse.widgets.lasso_path import SHARES, standardised
from sparsecourse.widgets.norm_ball import EXPONENTS, GRAM, ball_edge, best_on_ball
from sparsecourse.widgets.polynomial_fit import fit_polynomials, sample_sine
from sparsecourse.widgets.thresholds import PENALTIES, shrink
from tests.widgets.test_filter_explorer import filters_on_digits
from tests.widgets.trained import convolution_on_digits, lenet_on_digits

EXPLORERS = {
    name: getattr(widgets, name)
    for name in widgets.__all__
    if inspect.signature(getattr(widgets, name)).return_annotation == "Explorer"
}
# Of those that take some: what is called to get their arguments.
ARGUMENTS = {
    "channel_explorer": convolution_on_digits,
    "filter_explorer": filters_on_digits,
    "rank_explorer": convolution_on_digits,
    "weight_threshold": lenet_on_digits,
}


def make(name):
    return EXPLORERS[name](*ARGUMENTS.get(name, tuple)())


def settings_of(control):
    """Minimum, default and maximum, or every option."""
    if hasattr(control, "options"):
        options = control.options
        values = options.values() if isinstance(options, dict) else options
        return [v[1] if isinstance(v, tuple) else v for v in values]
    return [control.min, control.value, control.max]


def every_state(explorer):
    names = list(explorer.controls)
    for values in itertools.product(*map(settings_of, explorer.controls.values())):
        for name, value in zip(names, values, strict=True):
            explorer.controls[name].value = value
        yield dict(zip(names, values, strict=True))


def test_there_are_explorers():
    assert EXPLORERS


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_control_changes_the_picture(name):
    explorer = make(name)
    assert 1 <= len(explorer.controls) <= 3
    pictures = {}
    for values in every_state(explorer):
        picture = bytes(explorer.picture.value)
        assert picture.startswith(b"\x89PNG")
        assert explorer.alt
        assert explorer.alt in explorer.sentence.value
        pictures[tuple(values.values())] = picture
    for i, control in enumerate(explorer.controls):
        same_but_for_it = {}
        for setting, picture in pictures.items():
            same_but_for_it.setdefault(setting[:i] + setting[i + 1 :], set()).add(picture)
        assert any(len(group) > 1 for group in same_but_for_it.values()), f"{control} is dead"


@pytest.mark.parametrize("name", EXPLORERS)
def test_a_page_without_a_kernel_gets_a_described_picture(name):
    data, metadata = make(name)._repr_mimebundle_()
    assert data["image/png"]
    assert data["text/plain"] == metadata["image/png"]["alt"]


def test_errors_of_the_callback_are_shown_and_raised():
    def refuse(n):
        if n == 2:
            raise ValueError("two is <not> allowed")
        return n

    slider = ipywidgets.IntSlider(1, 0, 3)
    explorer = Explorer(refuse, lambda figure, n: f"n is {n}", {"n": slider})
    with pytest.raises(ValueError, match="two is <not> allowed"):
        slider.value = 2
    assert "two is &lt;not&gt; allowed" in explorer.sentence.value
    slider.value = 3
    assert explorer.sentence.value == "<p role='status'>n is 3</p>"


def test_the_still_picture_is_the_live_one_where_no_other_is_given():
    def draw(figure, n):
        figure.text(0.5, 0.5, n)
        return f"n is {n}"

    def still(figure, n):
        figure.text(0.5, 0.5, f"only here, {n}")

    slider = ipywidgets.IntSlider(1, 0, 3)
    alike = Explorer(lambda n: n, draw, {"n": slider})
    other = Explorer(lambda n: n, draw, {"n": slider}, still=still)
    seen = set()
    for slider.value in (1, 2):
        assert base64.b64decode(alike._repr_mimebundle_()[0]["image/png"]) == alike.picture.value
        assert other.picture.value == alike.picture.value
        seen |= {
            other._repr_mimebundle_()[0]["image/png"],
            alike._repr_mimebundle_()[0]["image/png"],
        }
    assert len(seen) == 4


def test_an_explorer_without_controls_is_refused():
    with pytest.raises(ValueError, match="at least one widget"):
        Explorer(lambda: 0, lambda figure, state: "", {})


def test_first_pruning_shows_what_the_pure_functions_give():
    explorer = widgets.first_pruning()
    for values in every_state(explorer):
        pruned = prune_weights(train_classifier().coef_, **values)
        np.testing.assert_array_equal(explorer.state.weights, pruned)
        assert explorer.state.accuracy == validation_accuracy(pruned)
        assert f"{validation_accuracy(pruned):.1%} of the validation digits" in explorer.alt


def test_pruning_removes_just_the_share_asked_for():
    W = np.array([[3.0, -0.5], [0.1, -2.0]])
    np.testing.assert_array_equal(prune_weights(W, 0.5, "magnitude"), [[3, 0], [0, -2]])
    for share in (0, 0.25, 0.5, 1):
        assert np.count_nonzero(prune_weights(W, share, "random")) == 4 - 4 * share
    with pytest.raises(ValueError, match=r"share must be in \[0, 1\], got 2"):
        prune_weights(W, 2, "random")
    with pytest.raises(ValueError, match="order must be"):
        prune_weights(W, 0.5, "largest")


def test_polynomial_fit_shows_what_numpy_fits():
    explorer = widgets.polynomial_fit()
    explorer.controls["n_samples"].value = 30
    explorer.controls["degree"].value = 5
    x, y = sample_sine(30, seed=1)
    expected = np.polynomial.polynomial.polyfit(x, y, 5)
    np.testing.assert_allclose(explorer.state.b, expected, rtol=1e-8)
    loss = np.mean((y - polynomial_features(x, 5) @ expected) ** 2)
    assert explorer.state.train_loss[5] == pytest.approx(loss, rel=1e-10)
    assert f"training loss {loss:.2g}" in explorer.alt
    assert f"degree {explorer.state.best_degree}." in explorer.alt


def test_training_loss_never_rises_with_the_degree():
    for n_samples in (6, 12, 60):
        losses = fit_polynomials(0, n_samples).train_loss
        assert (np.diff(losses) <= 1e-9).all()


@pytest.mark.parametrize("p", EXPONENTS.values(), ids=EXPONENTS)
def test_norm_ball_finds_the_best_point_of_the_whole_ball(p):
    b1, b2 = np.meshgrid(np.linspace(-1, 1, 801), np.linspace(-1, 1, 801))
    size = np.maximum(abs(b1), abs(b2)) if np.isinf(p) else abs(b1) ** p + abs(b2) ** p
    ball = np.stack([b1, b2], axis=-1)[size <= 1]
    for angle in np.radians([7, 30, 55, 81, 200, 310]):
        center = 2 * np.array([np.cos(angle), np.sin(angle)])
        b = best_on_ball(p, 1.0, center)
        assert np.linalg.norm(b, ord=p) == pytest.approx(1, abs=1e-9)
        on_grid = np.einsum("ni,ij,nj->n", ball - center, GRAM, ball - center).min()
        assert on_grid - 0.02 <= (b - center) @ GRAM @ (b - center) <= on_grid + 1e-12


def test_norm_ball_for_p_1_and_2_is_the_lasso_and_ridge():
    """Solved through their conditions of optimality, for loss (b - c)' G (b - c)."""
    c = np.array([1.2, 1.6])
    assert np.linalg.norm(best_on_ball(2.0, 3.0, c) - c) == 0
    b = best_on_ball(2.0, 0.7, c)
    gradient = GRAM @ (b - c)
    assert gradient[0] * b[1] == pytest.approx(gradient[1] * b[0], abs=1e-6)
    b = best_on_ball(1.0, 1.3, c)
    gradient = GRAM @ (b - c)
    assert (b > 0).all()
    assert gradient[0] == pytest.approx(gradient[1], abs=1e-6)
    np.testing.assert_array_equal(best_on_ball(1.0, 0.2, c), [0.2, 0])
    gradient = GRAM @ ([0.2, 0] - c)
    assert -gradient[0] > abs(gradient[1])


def test_norm_ball_shows_what_it_computes():
    explorer = widgets.norm_ball()
    explorer.controls["exponent"].value = 4 / 3
    explorer.controls["radius"].value = 0.5
    explorer.controls["angle"].value = 55
    state = explorer.state
    b = best_on_ball(4 / 3, 0.5, state.center)
    np.testing.assert_array_equal(state.b, b)
    assert f"b = ({b[0]:.3g}, {b[1]:.3g}), off the axes" in explorer.alt
    sizes = (np.abs(state.path) ** (4 / 3)).sum(axis=1) ** 0.75
    np.testing.assert_allclose(sizes, np.arange(1, 101) * 0.02, rtol=1e-12)
    assert np.abs(state.path[24] - b).max() < 0.01
    np.testing.assert_allclose(np.linalg.norm(ball_edge(2, np.arange(6)), axis=1), 1)


@pytest.mark.parametrize("lam", [0.0, 0.35, 1.0, 2.0])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_thresholds_shows_the_lowest_point_of_the_objective(penalty, lam):
    fine = np.linspace(-4, 4, 80001)
    price = {
        "least squares": 0 * fine,
        "ridge": fine**2 / 2,
        "lasso": np.abs(fine),
        "root": np.abs(fine) ** 0.5,
        "count": np.where(fine == 0, 0.0, 1.0),
    }[penalty]
    for w in np.linspace(-3, 3, 41):
        state = shrink(penalty, lam, float(w))
        value = (fine - w) ** 2 / 2 + lam * price
        at_x = (state.x - w) ** 2 / 2 + lam * np.interp(state.x, fine, price)
        assert value.min() - 1e-8 <= at_x <= value.min() + 1e-8


def test_thresholds_draws_what_it_computes():
    explorer = widgets.thresholds()
    explorer.controls["w"].value = -2.5
    explorer.controls["lam"].value = 0.75
    state = explorer.state
    assert state.x == -1.75
    assert "w = -2.50 is shrunk by 0.75" in explorer.alt
    grid = np.linspace(-3, 3, 601)
    np.testing.assert_allclose(state.loss + state.price, (grid + 2.5) ** 2 / 2 + 0.75 * abs(grid))
    for name, curve in state.curves.items():
        one_by_one = [shrink(name, 0.75, w).x for w in grid]
        np.testing.assert_allclose(curve, one_by_one, rtol=0, atol=1e-15)
    explorer.controls["w"].value = 0.7
    assert "w = 0.70 is set to exactly zero" in explorer.alt


def test_coordinate_steps_are_those_of_the_reference():
    explorer = widgets.coordinate_steps()
    for values in every_state(explorer):
        state = explorer.state
        X, y = design(values["correlation"])
        sweeps = values["step"] // 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = lasso.coordinate_descent(
                X, y, values["lam"], tol=1e-15, max_iter=sweeps, b0=START
            )
        np.testing.assert_allclose(state.b[2 * sweeps], found.coef, atol=1e-12)
        assert state.gap[2 * sweeps] == pytest.approx(found.gap, abs=1e-12)
        assert f"Step {values['step']}, " in explorer.alt
        assert len(state.b) == STEPS + 1
        assert (np.diff(state.above) <= 1e-15).all()
        assert (state.above <= state.gap + 1e-15).all()


@pytest.mark.parametrize("lam", [0.05, 0.5, 1.3, 2.5])
@pytest.mark.parametrize("correlation", [-0.95, -0.4, 0.0, 0.6, 0.95])
def test_coordinate_steps_mark_the_minimum(correlation, lam):
    X, y = design(correlation)
    np.testing.assert_allclose(np.mean(X**2, axis=0), 1)
    assert np.mean(X[:, 0] * X[:, 1]) == pytest.approx(correlation)
    assert lasso.duality_gap(X, y, minimise(correlation, lam), lam) < 1e-14


def test_lasso_path_shows_what_scikit_learn_finds():
    explorer = widgets.lasso_path()
    explorer.controls["data"].value = "10 measurements"
    explorer.controls["n_folds"].value = 5
    explorer.controls["index"].value = 20
    state = explorer.state
    X, y, names = standardised(False)
    lams = np.abs(X.T @ y).max() / len(y) * SHARES
    np.testing.assert_allclose(state.lams, lams, rtol=1e-12)
    theirs = LassoLars(alpha=lams[20], fit_intercept=False).fit(X, y).coef_
    np.testing.assert_allclose(state.coef[20], theirs, atol=0.01)
    assert state.names == names
    assert f"{np.count_nonzero(theirs)} of 10 columns kept" in explorer.alt
    fold_of = np.empty(len(y), dtype=int)
    for i, part in enumerate(folds(len(y), 5)):
        fold_of[part] = i
    errors = LassoCV(alphas=lams, cv=PredefinedSplit(fold_of), tol=1e-8).fit(X, y).mse_path_.T
    np.testing.assert_allclose(state.errors, errors, rtol=1e-4)
    assert state.best == errors.mean(axis=0).argmin()


def test_lasso_path_never_looks_at_the_test_patients():
    patients = load("diabetes")
    fitted = np.concatenate([patients.train.y, patients.validation.y])
    X, y, _ = standardised(True)
    assert X.shape == (354, 65)
    np.testing.assert_allclose(y, fitted - fitted.mean())
    np.testing.assert_allclose(X.std(axis=0), 1)


@pytest.mark.parametrize("penalty", L1_RATIO)
def test_group_paths_shows_solutions_that_meet_the_conditions_of_optimality(penalty):
    X, y, groups, _ = expanded_diabetes()
    for step in (0, 5, 11, 16):
        path = look_at(penalty, step)
        b, lam, alpha = path.coefs[step], path.lams[step], L1_RATIO[penalty]
        pull = X.T @ (y - X @ b) / len(y)
        for g in groups:
            weight = lam * (1 - alpha) * np.sqrt(len(g))
            inner = np.sign(pull[g]) * np.maximum(np.abs(pull[g]) - lam * alpha, 0)
            if not b[g].any():
                assert np.linalg.norm(inner) <= weight + 0.02 * lam
                continue
            balance = pull[g] - weight * b[g] / np.linalg.norm(b[g])
            at = b[g] != 0
            assert np.abs(balance[at] - lam * alpha * np.sign(b[g][at])).max() <= 0.1 * lam
            assert (np.abs(balance[~at]) <= 1.1 * lam * alpha).all()


def test_group_paths_says_who_is_in():
    explorer = widgets.group_paths()
    assert "In: bmi, bp, s3, s5 (4 of 10 measurements). 16 of their 16 coeff" in explorer.alt
    explorer.controls["step"].value = 0
    assert explorer.alt.endswith("No measurement is in.")
    explorer.controls["step"].value = 16
    assert explorer.alt.endswith("37 of their 37 coefficients are not zero.")
    explorer.controls["penalty"].value = "lasso"
    n_columns = np.count_nonzero(explorer.state.coefs[16])
    assert n_columns < 37
    assert f" {n_columns} of their " in explorer.alt


def test_a_sum_of_hats_is_the_curve_through_its_heights():
    knots = np.array([0.0, 1.0, 4.0])
    at = np.array([-1, 0, 0.5, 1, 2, 4, 9])
    expected = np.interp(at, knots, [0, 10, -2])
    np.testing.assert_allclose(hats(at, knots) @ [10, -2], expected, atol=1e-12)
