"""The tables as they are printed (`tables/*.csv`) and what is known of them (`tables.toml`)."""

from __future__ import annotations

import difflib
import functools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

FOLDER = Path(__file__).with_name("tables")

Row = tuple[str, ...]


@dataclass(frozen=True)
class Erratum:
    """What is known of some figures of a table.

    Attributes
    ----------
    what : "does not add up" or "counted otherwise"
        They contradict other figures, or follow another convention than ours.
    text : str
        Sentences, with the figure that does add up or the convention.
    row : tuple of str
        Name of the row; empty if it holds for all rows.
    columns : tuple of str
        Empty if it holds for all columns.
    """

    what: Literal["does not add up", "counted otherwise"]
    text: str
    row: Row = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A published table.

    Attributes
    ----------
    name : str
    frame : DataFrame
        The figures as printed; columns whose cells are all numbers hold numbers, blanks are NaN.
        It is a copy, to be changed at will.
    citation : str
        Authors, title, venue, year, number of the table.
    url : str
        The paper.
    columns : mapping of str to str
        What each column says, with its unit.
    rows : tuple of tuple of str
        Name of each row, as `compare` takes it: the cells of the columns `row_columns`. Where a
        name repeats, the second one ends in " #2".
    row_columns : tuple of str
    errata : tuple of Erratum
    """

    name: str
    frame: pd.DataFrame
    citation: str
    url: str
    columns: Mapping[str, str]
    rows: tuple[Row, ...]
    row_columns: tuple[str, ...]
    errata: tuple[Erratum, ...]


def tables() -> list[str]:
    """Names of the published tables.

    Returns
    -------
    names : list of str
        In alphabetical order.
    """
    return sorted(_catalogue()["tables"])


def table(name: str) -> Table:
    """A published table, with its source and its errata.

    Parameters
    ----------
    name : str
        One of `tables()`.

    Returns
    -------
    table : Table

    Raises
    ------
    ValueError
        If there is no such table; the message names the nearest and lists them all.
    """
    if name not in tables():
        raise ValueError(unknown("table", name, tables()))
    about = _catalogue()["tables"][name]
    paper = _catalogue()["papers"][about["paper"]]
    texts = printed(name)
    return Table(
        name=name,
        frame=pd.read_csv(FOLDER / f"{name}.csv"),
        citation="{authors}. {title}. {venue}".format(**paper) + f", {about['place']}",
        url=paper["url"],
        columns=dict(about["columns"]),
        rows=_names_of_rows(texts[about["rows"]]),
        row_columns=tuple(about["rows"]),
        errata=tuple(
            Erratum(
                erratum["what"],
                erratum["text"],
                as_row(erratum.get("row", ())),
                tuple(erratum.get("columns", ())),
            )
            for erratum in about.get("errata", ())
        ),
    )


def printed(name: str) -> pd.DataFrame:
    """The cells of a table as text: 0.80 keeps its zero, 3.13e8 its exponent, a blank is ""."""
    return pd.read_csv(FOLDER / f"{name}.csv", dtype=str, keep_default_na=False)


def as_row(name: object) -> Row:
    """The name of a row as a tuple of texts, from a text, a number or a tuple of such."""
    return tuple(map(str, name)) if isinstance(name, tuple | list) else (str(name),)


def spelled(name: str | Row) -> str:
    """A name as one types it; a row of one part without its tuple."""
    return repr(name[0] if isinstance(name, tuple) and len(name) == 1 else name)


def unknown(kind: str, given: str | Row, known: Iterable[str | Row]) -> str:
    """What to say of a name that does not exist."""
    names = list(map(spelled, known))
    near = difflib.get_close_matches(spelled(given), names)
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    return f"there is no {kind} {spelled(given)}: {guess}Known are {', '.join(names)}."


@functools.cache
def _catalogue() -> dict:
    path = Path(__file__).with_name("tables.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _names_of_rows(cells: pd.DataFrame) -> tuple[Row, ...]:
    names: list[Row] = []
    for *first, last in cells.itertuples(index=False):
        name, number = (*first, last), 1
        while name in names:
            number += 1
            name = (*first, f"{last} #{number}")
        names.append(name)
    return tuple(names)
