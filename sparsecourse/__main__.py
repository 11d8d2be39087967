"""The door: ``python3 -m sparsecourse lab`` and its siblings."""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "sparsecourse needs Python 3.11 or newer; this is Python %d.%d (%s).\n"
        "What to do: install a newer Python (python.org, your system's package manager, conda) "
        "and start it by name, for example: python3.12 -m sparsecourse lab"
        % (sys.version_info[0], sys.version_info[1], sys.executable)
    )

from sparsecourse.cli import main  # works only on the Pythons let through above

if __name__ == "__main__":
    sys.exit(main())
