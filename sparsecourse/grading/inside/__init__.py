"""What goes into the sandbox: the runner of a student's cells, and a stub of this package.

Nothing here may import the rest of the package: inside, the rest does not exist.
"""
