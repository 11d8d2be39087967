"""On PYTHONPATH of every process that tests start: a connection off this machine is an error."""

import ipaddress
import socket


def _refuse_unless_local(host):
    if isinstance(host, bytes):
        host = host.decode()
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        local = host in ("", "localhost")
    if not local:
        raise OSError(f"a test called {host}: network calls off this machine are blocked in tests")


def _guard(name):
    original = getattr(socket.socket, name)

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse_unless_local(address[0])
        return original(self, address)

    setattr(socket.socket, name, guarded)


_guard("connect")
_guard("connect_ex")

_getaddrinfo = socket.getaddrinfo


def _guarded_getaddrinfo(host, *args, **kwargs):
    if host is not None and host not in ("0.0.0.0", "::", socket.gethostname()):
        _refuse_unless_local(host)
    return _getaddrinfo(host, *args, **kwargs)


socket.getaddrinfo = _guarded_getaddrinfo
