"""Loopback: whether an address, a request or a URL stays on this machine."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a host, as a name or an address, is this machine's loopback interface."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=64)
def names_loopback(authority: str) -> bool:
    """The same for `host:port`, as a Host header has it."""
    try:
        return is_loopback((urlsplit(f"//{authority}").hostname or "").rstrip("."))
    except ValueError:
        return False


def comes_from_here(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request, by its headers, names this machine and comes from no foreign web page.

    A page in this machine's browser can reach our port: by a name that resolves to it, or from another origin.
    """
    known = [(name, value.decode("latin-1")) for name, value in headers]
    hosts = [value for name, value in known if name == b"host"]
    origins = [value.rpartition("://")[2] for name, value in known if name == b"origin"]
    return len(hosts) == 1 and all(names_loopback(one) for one in (*hosts, *origins))


def is_trusted_url(url: str) -> bool:
    """Whether answers from a URL can be trusted to come from it: https, or a server on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
