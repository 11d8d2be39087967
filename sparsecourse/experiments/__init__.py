"""A paper's table as something that runs: specifications, a runner, and what it has recorded.

Each module here that defines `EXPERIMENT` is one experiment; `records/` holds the results, a file
for each, which lectures read.
"""

from sparsecourse.experiments.record import load
from sparsecourse.experiments.specification import Experiment, all_of_them, find

__all__ = ["Experiment", "all_of_them", "find", "load"]
