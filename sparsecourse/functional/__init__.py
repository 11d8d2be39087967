"""PyTorch implementations to be run: the names of `sparsecourse.reference`, on any device.

`WITHOUT_REFERENCE` lists the public functions that have no namesake there, each with the reason.
"""

WITHOUT_REFERENCE: dict[str, str] = {
    "lasso.solve": "chooses the fastest safe way to what each solver of reference/lasso reaches",
    "group_lasso.solve": "as lasso.solve",
    "working_set.solve_path": "the engine of the two",
}
