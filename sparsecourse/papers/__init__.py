"""The published tables of the course, with what is known of their figures, and ours beside them."""

from __future__ import annotations

from sparsecourse.papers.comparison import compare
from sparsecourse.papers.published import Erratum, Table, table, tables

__all__ = ["Erratum", "Table", "compare", "table", "tables"]
