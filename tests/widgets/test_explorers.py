"""Every explorer, without a browser: each control at both ends and in between, against the pure
function behind it. A new explorer joins by being in sparsecourse.widgets."""

import inspect
import itertools

import ipywidgets
import numpy as np
import pytest

from sparsecourse import widgets
from sparsecourse.reference.least_squares import polynomial_features
from sparsecourse.widgets.explorer import Explorer
from sparsecourse.widgets.first_pruning import prune_weights, train_classifier, validation_accuracy
from sparsecourse.widgets.polynomial_fit import fit_polynomials, sample_sine

EXPLORERS = {
    name: getattr(widgets, name)
    for name in widgets.__all__
    if inspect.signature(getattr(widgets, name)).return_annotation == "Explorer"
}


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
    explorer = EXPLORERS[name]()
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
    data, metadata = EXPLORERS[name]()._repr_mimebundle_()
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
