"""What a lecture calls: claims that fail loudly, sources as they are, figures in words."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from sparsecourse import notebook
from sparsecourse.reference.least_squares import solve_qr


@pytest.fixture
def displayed():
    """Collects what display() shows; without a shell it would only be printed."""
    InteractiveShell.instance()
    with capture_output() as captured:
        yield captured


def test_a_true_claim_prints_a_tick_and_its_numbers(capsys):
    notebook.claim("pruned is close to dense", True, pruned=0.95349, dense=0.9611)
    assert (
        capsys.readouterr().out == "✓ pruned is close to dense  (pruned = 0.953, dense = 0.961)\n"
    )


def test_numbers_of_a_claim_are_readable(capsys):
    notebook.claim("x", True, a=2958.6, b=0.000123456, c=123.4, d=1.25e8)
    assert "(a = 2959, b = 0.000123, c = 123, d = 1.25e+08)" in capsys.readouterr().out


def test_a_false_claim_raises_with_its_numbers(capsys):
    with pytest.raises(notebook.ClaimError, match=r"does not hold here: better  \(a = 2\)"):
        notebook.claim("better", False, a=2)
    assert capsys.readouterr().out == ""


def test_numpy_truth_values_are_told_apart():
    notebook.claim("fine", np.True_)
    with pytest.raises(notebook.ClaimError):
        notebook.claim("not fine", np.False_)


@pytest.mark.parametrize("condition", [float("nan"), "False", lambda: False, 1, None])
def test_what_is_no_truth_value_is_refused(condition):
    with pytest.raises(TypeError, match="condition must be True or False"):
        notebook.claim("x", condition)


def test_source_is_shown_with_the_first_line_of_its_docstring(displayed):
    notebook.show_source(solve_qr)
    shown = displayed.outputs[0].data["text/markdown"]
    assert shown.startswith("`sparsecourse/reference/least_squares.py`\n```python\ndef solve_qr(")
    assert '"""Solve R b = Q\'y where X = QR: works on X itself, so keeps its condition' in shown
    assert "Parameters" not in shown
    assert "    Q, R = np.linalg.qr(X)\n" in shown


def test_source_of_a_compiled_function_is_refused():
    with pytest.raises(TypeError):
        notebook.show_source(len)


def test_a_figure_is_shown_with_its_words_and_closed(displayed):
    fig, _ = plt.subplots()
    notebook.show_figure(fig, "A line & a dot.")
    image, words = displayed.outputs
    assert image.data["text/plain"] == image.metadata["image/png"]["alt"] == "A line & a dot."
    assert image.data["image/png"].startswith("iVBOR")
    assert "A line &amp; a dot." in words.data["text/html"]
    assert not plt.fignum_exists(fig.number)


def test_a_figure_without_words_is_refused():
    fig, _ = plt.subplots()
    with pytest.raises(ValueError, match="alt must describe"):
        notebook.show_figure(fig, "  ")
    plt.close(fig)


def test_the_same_picture_gives_the_same_bytes():
    pictures = []
    for _ in range(2):
        fig, ax = plt.subplots()
        ax.plot([1, 2])
        pictures.append(notebook.png(fig))
        plt.close(fig)
    assert pictures[0] == pictures[1]
