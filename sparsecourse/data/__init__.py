"""Data sets of the course: found, verified, split, and the same for everyone.

Importing this package needs the standard library only; NumPy comes with the first use of `load`
(PEP 562), because ``doctor`` lists the data sets on a Python where nothing is installed yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparsecourse.data.catalogue import available
from sparsecourse.data.errors import DamagedDataError, DataNotFoundError

if TYPE_CHECKING:
    from sparsecourse.data.loading import load
    from sparsecourse.data.samples import Dataset, Split

__all__ = ["DamagedDataError", "DataNotFoundError", "Dataset", "Split", "available", "load"]


def __getattr__(name: str):
    if name == "load":
        from sparsecourse.data.loading import load

        return load
    if name in ("Dataset", "Split"):
        from sparsecourse.data import samples

        return getattr(samples, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
