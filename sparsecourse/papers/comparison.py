"""A published table beside our results, with what differs in the same row."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sparsecourse.papers.published import Row, Table, as_row, printed, spelled, table, unknown

RowName = str | tuple[str | int, ...]
Result = float | str | Sequence[float] | None
Results = Mapping[RowName, Mapping[str, Result]]

DASH = "–"
DIFFERS = ("what differs", "")
NUMBER = re.compile(r"-?\d+(?:\.(?P<decimals>\d+))?(?:e(?P<exponent>\d+)|(?P<unit> ?[kKMB]B?))?")
LAST_CELL = re.compile(r"<(t[dh])>([^<]*</t[dh]>\s*</tr>)")
LINK = re.compile(r"https://[^\s<]+")
FACTORS = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9}


class Comparison(pd.DataFrame):
    """A data frame of texts that shows itself whole.

    pandas would cut what differs, a sentence, after 50 characters.
    """

    @property
    def _constructor(self) -> type:
        return Comparison

    def _repr_html_(self) -> str:
        page = self.to_html().replace(" ± ", "&nbsp;±&nbsp;")
        if DIFFERS in self.columns[-1:]:
            page = LAST_CELL.sub(r'<\1 style="text-align: left">\2', page)
        below = "<br>".join(map(html.escape, self._below()))
        below = LINK.sub(r'<a href="\g<0>">\g<0></a>', below)
        return f"{page}\n<p><small>{below}</small></p>"

    def __repr__(self) -> str:
        """The figures, and below them what differs, as long lines do not fit beside."""
        figures = pd.DataFrame(self.drop(columns=[DIFFERS], errors="ignore"))
        lines = [figures.to_string(), ""]
        if DIFFERS in self.columns:
            for name, text in self[DIFFERS].items():
                if text:
                    lines.append(f"{', '.join(as_row(name))}: {text}")
        return "\n".join([*lines, *self._below()])

    def _below(self) -> list[str]:
        return self.attrs.get("below", [])


@dataclass(frozen=True)
class _Style:
    """How the paper prints a figure: `decimals` digits after the point, then `unit`."""

    decimals: int
    factor: float
    unit: str


def compare(
    name: str,
    ours: Results,
    differs: str | Mapping[RowName, str],
    *,
    recorded: Results | None = None,
    added: Collection[RowName] = (),
) -> Comparison:
    """Put our results beside those of a published table.

    Every row of the table is shown, with a dash where we have nothing, and every column for which
    we have a result. Our figures are printed as the paper prints its own: as many decimals, the
    same power of ten or unit; where the paper has no decimals, three significant digits.

    Parameters
    ----------
    name : str
        One of `tables()`.
    ours : mapping
        Row -> column -> what was measured here. A row is named as in ``table(name).rows``, a
        single name may stand without its tuple. A result is a number (a count), a list of numbers
        (one for each seed; several become mean ± standard deviation), a text ("diverged",
        "784-300-100") or None. Give parameters, bytes and multiply-adds without k, MB or e8.
    differs : str or mapping of row to str
        What differs from the paper (data, epochs, augmentation, how it was counted): one text for
        all our rows, or one for each.
    recorded : mapping, optional
        The same as `ours`, from a recorded run.
    added : collection of rows
        Rows of ours that the paper does not have; they follow the rows that begin alike. A row
        that is in neither is taken for a typing error.

    Returns
    -------
    comparison : DataFrame
        Index: the rows. Columns: (column, "paper"), (column, "ours") and (column, "recorded"), as
        far as there are such results, and ("what differs", ""): the text given, the number of
        seeds, and the errata of the figures shown in that row.

    Raises
    ------
    ValueError
        If there is no such table, row or column; if there are no results; if a result is NaN or
        infinite, or a number where the paper has a text; if a row of ours has no text in
        `differs`.
    """
    source = table(name)
    results = {
        "ours": {as_row(row): dict(cells) for row, cells in ours.items()},
        "recorded": {as_row(row): dict(cells) for row, cells in (recorded or {}).items()},
    }
    rows = _rows(source, results, {as_row(row) for row in added})
    columns = _columns(source, results)
    texts = _texts(source, results, differs)

    paper = dict(zip(source.rows, printed(name).to_dict("records"), strict=True))
    shown: dict[tuple[str, str], list[str]] = {}
    for column in columns:
        shown[column, "paper"] = [paper.get(row, {}).get(column) or DASH for row in rows]
        for origin, cells in results.items():
            if any(column in row for row in cells.values()):
                shown[column, origin] = [
                    _cell(cells.get(row, {}).get(column), row, column, paper) for row in rows
                ]
    shown[DIFFERS] = [
        " ".join([*texts.get(row, ()), *_errata(source, row, columns)]) for row in rows
    ]

    if len(source.row_columns) == 1:
        index = pd.Index([row[0] for row in rows], name=source.row_columns[0])
    else:
        index = pd.MultiIndex.from_tuples(rows, names=source.row_columns)
    comparison = Comparison(shown, index=index)
    comparison.attrs["below"] = [
        f"Paper: {source.citation}. {source.url}",
        *_errata(source, (), columns),
    ]
    return comparison


def _rows(source: Table, results: Mapping[str, Mapping], added: set[Row]) -> list[Row]:
    """The rows of the paper and those added, each behind the rows that begin alike."""
    mine = list(dict.fromkeys(row for cells in results.values() for row in cells))
    if not mine:
        raise ValueError("ours and recorded are empty: there is nothing to compare")
    for row in mine:
        if len(row) != len(source.row_columns) or row not in added.union(source.rows):
            parts = ", ".join(source.row_columns)
            raise ValueError(
                f"{source.name}: {unknown('row', row, source.rows)} "
                f"A row that only we have must be named in added, by its {parts}."
            )
    first = [row[0] for row in (*source.rows, *mine)]
    together = [*source.rows, *(row for row in mine if row not in source.rows)]
    return sorted(together, key=lambda row: first.index(row[0]))


def _columns(source: Table, results: Mapping[str, Mapping]) -> list[str]:
    known = [column for column in source.columns if column not in source.row_columns]
    given = {column for cells in results.values() for row in cells.values() for column in row}
    for column in sorted(given - set(known)):
        raise ValueError(f"{source.name}: {unknown('column', column, known)}")
    return [column for column in known if column in given]


def _texts(
    source: Table, results: Mapping[str, Mapping], differs: str | Mapping[RowName, str]
) -> dict[Row, list[str]]:
    """What differs in each row of ours: the text given and the number of seeds."""
    mine = dict.fromkeys(row for cells in results.values() for row in cells)
    if isinstance(differs, str):
        given = dict.fromkeys(mine, differs)
    else:
        given = {as_row(row): text for row, text in differs.items()}
    for row in given:
        if row not in mine:
            raise ValueError(
                f"differs speaks of the row {spelled(row)}, of which there is no result; "
                f"there are results of {', '.join(map(spelled, mine))}"
            )
    texts = {}
    for row in mine:
        if not given.get(row, "").strip():
            raise ValueError(
                f"say in differs what differs from the paper in the row {spelled(row)}; "
                "no figure of ours stands beside the paper's without it"
            )
        text = given[row].strip()
        texts[row] = [text if text.endswith((".", "!", "?")) else text + "."]
        seeds = [
            f"{origin}: {_seeds(cells[row].values())}"
            for origin, cells in results.items()
            if row in cells and _seeds(cells[row].values())
        ]
        if seeds:
            joined = "; ".join(seeds)
            texts[row].append(joined[0].upper() + joined[1:] + ".")
    return texts


def _seeds(values: Collection[Result]) -> str:
    counts = {len(value) for value in values if _is_list(value)}
    if not counts:
        return ""
    if counts == {1}:
        return "1 seed"
    number = " or ".join(map(str, sorted(counts)))
    return f"mean ± standard deviation of {number} seeds"


def _errata(source: Table, row: Row, columns: Collection[str]) -> Iterator[str]:
    """Sentences on the figures of the paper that are shown in this row; () is for all rows."""
    for erratum in source.errata:
        if erratum.row == row and (not erratum.columns or set(erratum.columns) & set(columns)):
            figures = " and ".join(erratum.columns) or "figures"
            yield f"Paper's {figures}: {erratum.what}. {erratum.text}"


def _is_list(value: Result) -> bool:
    return not isinstance(value, str) and np.ndim(value) == 1


def _cell(value: Result, row: Row, column: str, paper: Mapping[Row, Mapping[str, str]]) -> str:
    if value is None:
        return DASH
    if isinstance(value, str):
        return value
    where = f"the result of {spelled(row)}, {column!r},"
    numbers = np.asarray(value, dtype=float)
    if numbers.ndim > 1 or not numbers.size:
        raise ValueError(f"{where} must be a number, or one for each seed, got {value!r}")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{where} is not finite: {value!r}. Of a run that failed, say so in words")
    published = [cells[column] for cells in paper.values() if cells[column]]
    example = paper.get(row, {}).get(column) or _first_number(published)
    style = _style(example, published)
    if style is None:
        raise ValueError(f"{where} is {value!r}, but the paper prints {example!r}: give a text")
    scaled = numbers / style.factor
    mean = scaled.mean()
    deviation = scaled.std(ddof=1) if numbers.size > 1 else 0.0
    decimals = style.decimals
    if decimals == 0 and not (mean.is_integer() and float(deviation).is_integer()) and mean:
        decimals = max(0, 2 - math.floor(math.log10(abs(mean))))
    text = f"{mean:.{decimals}f}{style.unit}"
    return f"{text} ± {deviation:.{decimals}f}{style.unit}" if numbers.size > 1 else text


def _first_number(cells: Sequence[str]) -> str:
    return next(filter(NUMBER.fullmatch, cells), cells[0])


def _style(cell: str, column: Sequence[str]) -> _Style | None:
    """The power of ten or unit of a cell, the most decimals of its column; None for a text."""
    own = NUMBER.fullmatch(cell)
    if own is None:
        return None
    matches = filter(None, map(NUMBER.fullmatch, column))
    decimals = max(len(match["decimals"] or "") for match in matches)
    if own["exponent"]:
        return _Style(decimals, 10.0 ** int(own["exponent"]), f"e{own['exponent']}")
    unit = own["unit"] or ""
    return _Style(decimals, FACTORS[unit.strip()[0]] if unit else 1.0, unit)
