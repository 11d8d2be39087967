"""What a lecture calls beside the mathematics: claims, sources of functions, described figures."""

from __future__ import annotations

import ast
import base64
import html
import inspect
import io
import textwrap
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML, Markdown, display
from matplotlib.figure import Figure


class ClaimError(AssertionError):
    """A sentence of a lecture that turned out to be false."""


def claim(text: str, condition: bool | np.bool_, **values: float) -> None:
    """Print a tick, a sentence of the lecture and its numbers; raise if it is false.

    Parameters
    ----------
    text : str
        The sentence, as a reader would say it.
    condition : bool
        Whether it holds here.
    **values : float
        The numbers it speaks of, printed to three significant digits or more.

    Raises
    ------
    ClaimError
        If `condition` is false.
    TypeError
        If `condition` is no truth value: a function or a NaN would count as true.
    """
    if not isinstance(condition, bool | np.bool_):
        raise TypeError(f"condition must be True or False, got {condition!r} for {text!r}")
    numbers = ", ".join(f"{name} = {_short(float(value))}" for name, value in values.items())
    sentence = f"{text}  ({numbers})" if numbers else text
    if not condition:
        raise ClaimError(f"✗ does not hold here: {sentence}")
    print(f"✓ {sentence}")


def _short(value: float) -> str:
    """Three significant digits, or all those before the point: 0.953, 2959, 1.2e+08."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def show_source(function: Callable) -> None:
    """Display the source of a function as it is tested, its docstring cut to the first line.

    Parameters
    ----------
    function : callable
        Any Python function; ``help(function)`` shows the whole docstring.

    Raises
    ------
    TypeError
        If Python keeps no source for it (built-ins, compiled functions).
    """
    lines = textwrap.dedent(inspect.getsource(function)).splitlines()
    node = ast.parse("\n".join(lines)).body[0]
    docstring = ast.get_docstring(node)
    if docstring is not None:
        expression = node.body[0]
        indent = " " * expression.col_offset
        summary = docstring.partition("\n\n")[0].replace("\n", "\n" + indent)
        lines[expression.lineno - 1 : expression.end_lineno] = [f'{indent}"""{summary}"""']
    where = Path(inspect.getsourcefile(function)).name
    package = function.__module__.rpartition(".")[0].replace(".", "/")
    code = "\n".join(lines)
    display(Markdown(f"`{package}/{where}`\n```python\n{code}\n```"))


def png(figure: Figure) -> bytes:
    """Draw a figure as PNG, the same bytes for the same picture.

    Parameters
    ----------
    figure : matplotlib Figure

    Returns
    -------
    data : bytes
    """
    buffer = io.BytesIO()
    fast = {"compress_level": 2}  # widgets redraw while a slider moves
    figure.savefig(buffer, format="png", metadata={"Software": None}, pil_kwargs=fast)
    return buffer.getvalue()


def show_figure(figure: Figure, alt: str) -> None:
    """Display a figure with a description in words for those who cannot see it, and close it.

    JupyterLab renders no alternative text of images, so the words also follow below, folded.

    Parameters
    ----------
    figure : matplotlib Figure
    alt : str
        What the picture shows, in one to three sentences.

    Raises
    ------
    ValueError
        If `alt` is empty.
    """
    if not alt.strip():
        raise ValueError("alt must describe the figure in words, got an empty text")
    data = {"image/png": base64.b64encode(png(figure)).decode(), "text/plain": alt}
    display(data, metadata={"image/png": {"alt": alt}}, raw=True)
    display(
        HTML(
            "<details><summary><small>The picture in words</small></summary>"
            f"<small>{html.escape(alt)}</small></details>"
        )
    )
    plt.close(figure)
