"""Read a student's notebook: bytes that anybody may have made, to the cells that grading needs.

Only text, who a cell says it is, and pasted pictures are kept. A cell that is no cell is left out,
as Jupyter would show the rest; a notebook that cannot be graded at all is refused with the reason.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import Any

from sparsecourse.grading.harmless import PICTURES
from sparsecourse.grading.results import Cell

MAX_CELLS = 2000
MAX_TEXT = 2_000_000  # characters of all sources together
MAX_PICTURES = 5_000_000  # bytes of all pictures together
MAX_NAME = 100

# Kernels whose name alone tells the language, for notebooks that do not say it.
OTHER_KERNELS = {"ir": "R", "julia": "Julia", "octave": "Octave", "bash": "Bash", "deno": "Deno"}


class Ungradable(Exception):  # noqa: N818
    """A submission that cannot be graded: the message is its status, and says why."""


def read(content: bytes, functions: Sequence[str]) -> list[Cell]:
    """Cells of a notebook, without their outputs.

    Parameters
    ----------
    content : bytes
        The file as handed in.
    functions : sequence of str
        Names of those that the exercise asks for.

    Returns
    -------
    cells : list of Cell
        Code and texts, in order. A cell without a readable source is left out; so is a picture
        that cannot be shown, and then the text of its cell ends with a line that says so.

    Raises
    ------
    Ungradable
        If it is no notebook, too large, for another language, or for another exercise.
    """
    notebook = _parsed(content)
    _refuse_other_languages(notebook.get("metadata"))
    found = _cells_of(notebook)
    if not found:
        raise Ungradable("it has no cells")
    if len(found) > MAX_CELLS:
        raise Ungradable(f"it has {len(found)} cells; at most {MAX_CELLS} are read")
    cells: list[Cell] = []
    room = {"text": MAX_TEXT, "pictures": MAX_PICTURES}
    for cell in found:
        source = _source(cell)
        if source is None:
            continue
        room["text"] -= len(source)
        if room["text"] < 0:
            raise Ungradable(f"it holds more than {MAX_TEXT // 1_000_000} million characters")
        if cell["cell_type"] == "code":
            cells.append(Cell("code", source, _grade_id(cell)))
        else:
            images, lost = _pictures(cell.get("attachments"), room)
            text = "\n\n".join([source, *(f"[left out: {what}]" for what in lost)])
            cells.append(Cell("markdown", text, _grade_id(cell), images))
    if not cells:
        raise Ungradable(f"none of its {len(found)} cells can be read")
    asked = re.compile(rf"\b(?:{'|'.join(map(re.escape, functions))})\b")
    if not any(cell.kind == "code" and asked.search(cell.source) for cell in cells):
        raise Ungradable(
            f"it holds none of the functions {', '.join(functions)}: is it another exercise?"
        )
    return cells


def _parsed(content: bytes) -> dict[str, Any]:
    if not content.strip():
        raise Ungradable("empty file")
    try:
        # Whole numbers are read as float, which is quick however many digits they have.
        notebook = json.loads(content.decode("utf-8-sig"), parse_int=float)
    except UnicodeDecodeError:
        raise Ungradable("it is not a notebook: not text in UTF-8") from None
    except json.JSONDecodeError as error:
        raise Ungradable(
            f"it is not a notebook: its JSON breaks off or is wrong in line {error.lineno}"
        ) from None
    except RecursionError:
        raise Ungradable("it is not a notebook: its JSON is nested too deeply") from None
    if not isinstance(notebook, dict):
        raise Ungradable("it is not a notebook: its JSON is no object")
    return notebook


def _refuse_other_languages(metadata: Any) -> None:
    """A notebook that says nothing of its language is taken for Python."""
    metadata = _object(metadata)
    kernel = _object(metadata.get("kernelspec"))
    language_info = _object(metadata.get("language_info"))
    name = _short(kernel.get("name"))
    said = [_short(kernel.get("language")), _short(language_info.get("name"))]
    languages = [language for language in said if language]
    if not languages:
        other = OTHER_KERNELS.get(re.split(r"[-_.\d]", name)[0].lower())
        languages = [other] if other else []
    if languages and not any("python" in language.lower() for language in languages):
        which = f"{name!r} ({languages[0]})" if name else languages[0]
        raise Ungradable(f"its kernel is {which}, expected Python")


def _cells_of(notebook: dict[str, Any]) -> list:
    """Cells of version 4, or those of all worksheets of version 3."""
    cells = notebook.get("cells")
    if isinstance(cells, list):
        return cells
    sheets = notebook.get("worksheets")
    inner = [_object(sheet).get("cells") for sheet in sheets] if isinstance(sheets, list) else []
    return [cell for cells in inner if isinstance(cells, list) for cell in cells]


def _source(cell: Any) -> str | None:
    """Text of a cell of code or markdown; None for any other, and for what is no cell."""
    if not isinstance(cell, dict) or cell.get("cell_type") not in ("code", "markdown"):
        return None
    return _text(cell.get("source", cell.get("input")))  # "input" in version 3


def _text(value: Any) -> str | None:
    """A string, given whole or in lines, in characters that every file and database takes."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        value = "".join(value)
    if not isinstance(value, str):
        return None
    return re.sub("[\0\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", value)


def _grade_id(cell: dict[str, Any]) -> str | None:
    about = _object(_object(cell.get("metadata")).get("nbgrader"))
    given = _text(about.get("grade_id"))
    return given if given and len(given) <= MAX_NAME else None


def _pictures(
    attachments: Any, room: dict[str, int]
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Pictures of a cell that a page can show, and a few words on the others."""
    kept: dict[str, dict[str, str]] = {}
    lost = []
    for name, bundle in _object(attachments).items():
        kind = next((kind for kind in _object(bundle) if kind in PICTURES), None)
        data = _decoded(bundle[kind]) if kind and len(name) <= MAX_NAME else None
        if data is None:
            lost.append(f"{_short(name)} is no picture that can be shown")
        elif len(data) > room["pictures"]:
            megabytes = MAX_PICTURES // 1_000_000
            lost.append(f"{_short(name)}; pictures may have {megabytes} MB in all")
        else:
            room["pictures"] -= max(len(data), 1000)  # so that there are not many tiny ones either
            kept[_text(name)] = {kind: base64.b64encode(data).decode()}
    return kept, lost[:3] + ([f"{len(lost) - 3} more"] if len(lost) > 3 else [])


def _decoded(value: Any) -> bytes | None:
    try:
        return base64.b64decode("".join((_text(value) or "").split()), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _short(value: Any) -> str:
    """A name to show: printable, in one line, not long; empty if there is none."""
    text = value if isinstance(value, str) else ""
    return "".join(c if c.isprintable() else "?" for c in text[:MAX_NAME])
