"""Make a student's Markdown safe to show: nothing in it runs, or loads from elsewhere.

The one text is read by several parsers (nbconvert's in formgrader, JupyterLab's in the notebook),
which do not agree on where code or a formula begins. So what is taken out is taken out
everywhere, without asking what surrounds it.
"""

from __future__ import annotations

import base64
import binascii
import re

MAX_CHARACTERS = 20_000  # a proof has a few thousand; nbconvert takes quadratic time, in the worst
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")

Images = dict[str, dict[str, str]]  # name -> {MIME type: base64}

_DELIMITER = re.compile(r"(\$\$?|\\\\[()\[\]]|\\(?:begin|end)\{\w+\*?\})")
_PICTURE = re.compile(r"!\[([^\[\]]*)\]\(attachment:([^()\s]+)\)")
_DIAGRAM = re.compile(r"(```|~~~)[ \t]*mermaid", re.IGNORECASE)


def markdown(text: str, images: Images) -> str:
    r"""The same text without HTML, links, and pictures other than those attached to it.

    Formulas stay formulas: there, ``<`` becomes ``\lt``. Addresses stay readable.

    Parameters
    ----------
    text : str
    images : dict
        Pictures attached to it, as `pictures` returns them.

    Returns
    -------
    text : str
    """
    text = _without_html(cut(text))
    text = _DIAGRAM.sub(r"\1", text)  # a diagram may load pictures
    parts, end = [], 0
    for picture in _PICTURE.finditer(text):
        if picture[2] in images:
            parts += [_without_links(text[end : picture.start()]), picture[0]]
            end = picture.end()
    return "".join(parts) + _without_links(text[end:])


def pictures(images: Images) -> Images:
    """Those of a cell's attachments that are pictures, in formats that hold pixels only."""
    kept: Images = {}
    for name, formats in images.items():
        for kind in PICTURES:
            if kind in formats and _is_base64(formats[kind]):
                kept[name] = {kind: formats[kind]}
                break
    return kept


def cut(text: str) -> str:
    """Its beginning, if it is too long to be shown."""
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:MAX_CHARACTERS]}\n\n(cut here: it has {len(text)} characters)"


def _without_html(text: str) -> str:
    """No ``<`` is left; what replaces it reads as one, in formulas and elsewhere."""
    pieces = _DELIMITER.split(text)  # text, delimiter, text, delimiter, ..., text
    opened = None  # where the formula at hand began
    for at in range(1, len(pieces), 2):
        if opened is None:
            opened = at if _closing(pieces[at]) else None
        elif pieces[at] == _closing(pieces[opened]):
            for inside in range(opened + 1, at):
                pieces[inside] = pieces[inside].replace("<", r"\lt ")
            opened = None
    return "".join(pieces).replace("<", "&lt;")


def _closing(delimiter: str) -> str | None:
    """What ends the formula that `delimiter` begins; None if it begins none."""
    if delimiter.startswith("$"):
        return delimiter
    if delimiter.startswith(r"\begin"):
        return delimiter.replace("begin", "end", 1)
    return {r"\\(": r"\\)", r"\\[": r"\\]"}.get(delimiter)


def _without_links(text: str) -> str:
    """A link needs a bracket and what follows to touch: ``](`` in the text, ``]:`` below it."""
    return re.sub(r"\](?=[(:])", "] ", text)


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
