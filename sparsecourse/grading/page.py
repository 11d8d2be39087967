"""Pages that are files: each holds all it shows, loads nothing, and runs nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sparsecourse.grading.exercise import Exercise

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates" / "pages"),
    autoescape=True,  # students and graders write part of what is shown
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["points"] = lambda points: f"{points:.4g}"


def write(path: Path, template: str, **values: Any) -> None:
    """Fill in a template, and write it to `path`, whole or not at all."""
    text = _TEMPLATES.get_template(f"{template}.html.j2").render(values)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    # File names that are no text come out of the system as lone surrogates.
    partial.write_text(text, encoding="utf-8", errors="replace")
    partial.replace(path)


def title(exercise: Exercise) -> str:
    """What the exercise calls itself."""
    return _heading("#", exercise.released.cells[0].source) or exercise.topic


def headings(exercise: Exercise) -> dict[str, str]:
    """What stands above each question: by function, or by nbgrader's id of a manual answer."""
    questions = {grade_id: name for name, grade_id in exercise.grade_ids.items()}
    questions |= {grade_id: grade_id for grade_id in exercise.manual}
    found, last = {}, ""
    for cell in exercise.released.cells:
        if cell.cell_type == "markdown":
            last = _heading("##", cell.source) or last
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if grade_id in questions:
            found[questions[grade_id]] = last
    return found


def _heading(level: str, text: str) -> str | None:
    match = re.search(rf"^{level} +(.+?)(?: \(\d+ points?\))?$", text, re.MULTILINE)
    return match[1] if match else None
