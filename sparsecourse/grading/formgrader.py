"""nbgrader's settings for a grading folder: its own commands and formgrader work there, offline."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy.engine import make_url
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

SETTINGS = "nbgrader_config.py"
OWN_SETTINGS = "own_config.py"
COURSE = "sparsecourse"  # nbgrader's default is none, which databases that enforce keys refuse

_TEXT = '''\
"""Written anew by each grading run: settings of your own go into {own}.

Such as: c.LateSubmissionPlugin.penalty_method = "zero"
"""

from pathlib import Path

import nbgrader.server_extensions.formgrader

here = Path(__file__).resolve().parent

c.CourseDirectory.root = str(here)
c.CourseDirectory.course_id = {course!r}
c.CourseDirectory.db_url = {url}
c.FormgradeExtension.debug = False  # it would show these settings in the page
c.HTMLExporter.extra_template_basedirs = [
    {templates!r},
    str(Path(nbgrader.server_extensions.formgrader.__file__).parent / "templates"),
]
c.HTMLExporter.sanitize_html = True
c.HTMLExporter.exclude_anchor_links = True  # headings of students would name parts of the page

load_subconfig("{own}")
'''


def database(folder: Path, url: str | None) -> str:
    """The database of a folder: the one given, else the one used before, else gradebook.db in it.

    Parameters
    ----------
    folder : Path
    url : str, optional
        In SQLAlchemy's words.

    Returns
    -------
    url : str

    Raises
    ------
    ArgumentError
        SQLAlchemy's, if the URL is none.
    """
    if url is None:
        known = (folder / SETTINGS).is_file()
        return read_settings(folder).CourseDirectory.db_url if known else _own_database(folder)
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return url
    # A file may be named relative to where this command runs; nbgrader's run elsewhere.
    parsed = parsed.set(database=str(Path(parsed.database).resolve()))
    return parsed.render_as_string(hide_password=False)


def write_settings(folder: Path, url: str) -> None:
    """Write `folder`/nbgrader_config.py.

    Parameters
    ----------
    folder : Path
    url : str
        What `database` returned. It may hold a password, so others cannot read the file then.
    """
    # The folder's own database is found wherever the folder is moved.
    own = url == _own_database(folder)
    text = _TEXT.format(
        own=OWN_SETTINGS,
        course=COURSE,
        url="f\"sqlite:///{here / 'gradebook.db'}\"" if own else repr(url),
        templates=str(Path(__file__).parent / "templates" / "nbgrader"),
    )
    partial = folder / f"{SETTINGS}.partial"
    partial.unlink(missing_ok=True)
    mode = 0o666 if own else 0o600
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    partial.replace(folder / SETTINGS)


def read_settings(folder: Path) -> Config:
    """What nbgrader reads in `folder`, the instructor's own settings included."""
    return PyFileConfigLoader(SETTINGS, path=str(folder)).load_config()


def _own_database(folder: Path) -> str:
    return f"sqlite:///{folder.resolve() / 'gradebook.db'}"
