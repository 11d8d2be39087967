"""The guard that lets nbval say: no lecture needs a network."""

import socket

import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

# An address reserved for documentation: it belongs to no one.
CALL = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"


def test_in_this_process():
    with pytest.raises(OSError, match=r"a test called 192\.0\.2\.1"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(OSError, match=r"a test called example\.org"):
        socket.getaddrinfo("example.org", 80)


def test_in_a_kernel():
    notebook = new_notebook(cells=[new_code_cell(CALL)])
    with pytest.raises(CellExecutionError, match=r"a test called 192\.0\.2\.1"):
        NotebookClient(notebook, timeout=30, kernel_name="python3").execute()


def test_this_machine_can_be_called():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
