"""NumPy implementations to be read next to the formulas: one idea a file, no cleverness."""
