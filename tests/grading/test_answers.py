"""What is read from a student's notebook, and what is refused with a reason."""

import base64
import json

import pytest

from sparsecourse.grading import answers
from sparsecourse.grading.answers import Ungradable, read
from sparsecourse.grading.results import Cell

ANSWER = {"cell_type": "code", "source": "def f(x): ..."}
PIXEL = base64.b64encode(b"\x89PNG and so on").decode()


def packed(*cells, **more):
    return json.dumps({"nbformat": 4, "cells": [ANSWER, *cells], **more}).encode()


def others(*cells):
    """What is read of `cells`, beside the answer."""
    return read(packed(*cells), ["f"])[1:]


def refusal(content, functions=("f", "g", "h")):
    with pytest.raises(Ungradable) as caught:
        read(content, functions)
    return str(caught.value)


def text_with(**attachments):
    return {"cell_type": "markdown", "source": "see:", "attachments": attachments}


def test_code_and_texts_are_kept_in_order_and_outputs_are_not():
    code = {
        "cell_type": "code",
        "source": ["a = 1\n", "b = 2"],
        "outputs": [{"text": "secret"}],
        "metadata": {"nbgrader": {"grade_id": "one"}},
    }
    text = {"cell_type": "markdown", "source": "why"}
    assert others(code, text) == [Cell("code", "a = 1\nb = 2", "one"), Cell("markdown", "why")]


def test_a_byte_order_mark_and_nan_are_read_over():
    content = b'\xef\xbb\xbf{"x": [NaN, Infinity, %s], %s' % (b"9" * 5000, packed()[1:])
    assert read(content, ["f"]) == [Cell("code", ANSWER["source"])]


def test_cells_of_version_3_are_read():
    cells = [{"cell_type": "code", "input": ["def f(x):\n", "  ..."]}]
    notebook = {"nbformat": 3, "worksheets": [{"cells": cells}, "none"]}
    assert read(json.dumps(notebook).encode(), ["f"]) == [Cell("code", "def f(x):\n  ...")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty file"),
        (b" \n", "empty file"),
        (b"\xff\xfe{\x00}\x00", "not text in UTF-8"),
        (b'{"cells": [\n{"cell_type": "co', "its JSON breaks off or is wrong in line 2"),
        (b"print('hello')", "its JSON breaks off or is wrong in line 1"),
        (b'{"a": ' * 100_000, "nested too deeply"),
        (b"[1, 2]", "its JSON is no object"),
        (b"null", "its JSON is no object"),
        (b"{}", "it has no cells"),
        (b'{"cells": 3, "worksheets": [null, {"cells": 3}]}', "it has no cells"),
        (b'{"cells": []}', "it has no cells"),
        (b'{"cells": [1, null, {"cell_type": "code"}]}', "none of its 3 cells can be read"),
    ],
)
def test_what_is_no_notebook_is_refused_with_the_reason(content, said):
    assert said in refusal(content)


@pytest.mark.parametrize(
    "malformed",
    [
        None,
        [],
        "text",
        {},
        {"cell_type": "raw", "source": "x"},
        {"cell_type": ["code"], "source": "x"},
        {"cell_type": "code"},
        {"cell_type": "code", "source": None},
        {"cell_type": "code", "source": 3},
        {"cell_type": "code", "source": ["x", 3]},
        {"cell_type": "code", "source": {"x": "y"}},
    ],
)
def test_a_malformed_cell_is_left_out_alone(malformed):
    assert others(malformed, ANSWER) == [Cell("code", ANSWER["source"])]


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        3,
        {"nbgrader": 3},
        {"nbgrader": {"grade_id": 3}},
        {"nbgrader": {"grade_id": "x" * 101}},
    ],
)
def test_a_malformed_or_long_grade_id_is_none(metadata):
    assert others({**ANSWER, "metadata": metadata}) == [Cell("code", ANSWER["source"])]


def test_characters_that_no_file_takes_are_replaced():
    content = packed({"cell_type": "markdown", "source": "a\ud800b\0c\N{GRINNING FACE}"})
    assert b"\\ud800b\\u0000" in content
    assert read(content, ["f"])[1].source == "a�b�c\N{GRINNING FACE}"


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (
            {"kernelspec": {"name": "ir", "language": "R"}},
            "its kernel is 'ir' (R), expected Python",
        ),
        ({"kernelspec": {"name": "ir"}}, "its kernel is 'ir' (R), expected Python"),
        ({"kernelspec": {"name": "julia-1.9"}}, "its kernel is 'julia-1.9' (Julia)"),
        ({"language_info": {"name": "scala"}}, "its kernel is scala, expected Python"),
        ({"kernelspec": {"name": "a\n=b", "language": "R"}}, "its kernel is 'a?=b' (R)"),
    ],
)
def test_another_language_is_named(metadata, said):
    assert said in refusal(packed(metadata=metadata))


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        [],
        {"kernelspec": None, "language_info": 3},
        {"kernelspec": {"name": "conda-env-sparse-py"}},
        {"kernelspec": {"name": "python3", "language": "python"}},
        {
            "kernelspec": {"name": "sagemath", "language": "sage"},
            "language_info": {"name": "python"},
        },
        {"language_info": {"name": "ipython"}},
    ],
)
def test_python_under_any_name_and_no_word_on_it_are_taken(metadata):
    assert read(packed(metadata=metadata), ["f"])


def test_a_notebook_without_any_function_is_told_from_one_with_a_wrong_one():
    text = {"cell_type": "markdown", "source": "f g h"}
    code = {"cell_type": "code", "source": "ff = fg"}
    said = refusal(json.dumps({"cells": [text, code]}).encode())
    assert said == "it holds none of the functions f, g, h: is it another exercise?"
    assert read(packed(), ["g", "f"])


def test_too_many_cells_and_too_much_text_are_refused(monkeypatch):
    monkeypatch.setattr(answers, "MAX_CELLS", 2)
    assert len(others(ANSWER)) == 1
    assert refusal(packed(ANSWER, ANSWER)) == "it has 3 cells; at most 2 are read"
    long = {"cell_type": "markdown", "source": "x" * (answers.MAX_TEXT - len(ANSWER["source"]))}
    assert others(long)
    assert refusal(packed({**long, "source": long["source"] + "x"})) == (
        "it holds more than 2 million characters"
    )


def test_pasted_pictures_are_kept():
    cell = text_with(**{"a.png": {"image/png": PIXEL}, "b.jpg": {"image/jpeg": [PIXEL, "\n"]}})
    images = {"a.png": {"image/png": PIXEL}, "b.jpg": {"image/jpeg": PIXEL}}
    assert others(cell) == [Cell("markdown", "see:", None, images)]


@pytest.mark.parametrize(
    "bundle",
    [
        {"image/svg+xml": PIXEL},
        {"text/html": "<script>"},
        {"image/png": "no base64!"},
        {"image/png": 3},
        {"image/png": ""},
        {},
        None,
    ],
)
def test_what_is_no_picture_is_left_out_and_the_text_says_so(bundle):
    said = "see:\n\n[left out: a is no picture that can be shown]"
    assert others(text_with(a=bundle)) == [Cell("markdown", said)]


def test_a_picture_with_a_long_name_is_left_out():
    (cell,) = others(text_with(**{"x" * 101: {"image/png": PIXEL}}))
    assert not cell.images
    assert cell.source == f"see:\n\n[left out: {'x' * 100} is no picture that can be shown]"


def test_pictures_are_bounded_over_all_cells(monkeypatch):
    monkeypatch.setattr(answers, "MAX_PICTURES", 2_000_000)
    large = {"image/png": base64.b64encode(bytes(1_200_000)).decode()}
    small = {"image/png": base64.b64encode(bytes(700_000)).decode()}
    first, second = others(text_with(a=large), text_with(b=large, c=small))
    assert set(first.images) == {"a"}
    assert set(second.images) == {"c"}
    assert second.source == "see:\n\n[left out: b; pictures may have 2 MB in all]"


def test_a_crowd_of_tiny_pictures_is_bounded():
    (cell,) = others(text_with(**{f"p{i}": {"image/png": "AAAA"} for i in range(6000)}))
    assert len(cell.images) == 5000
    assert cell.source.endswith("\n\n[left out: 997 more]")
    assert len(cell.source) < 300
    assert not others({**ANSWER, "attachments": {"a": {"image/png": PIXEL}}})[0].images
