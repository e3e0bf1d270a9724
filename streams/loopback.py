"""Whether something is on this machine alone."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a host, as a name or an address, is this machine seen from itself."""
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
    """Whether a request, by its headers, was meant for this machine and sent by no page from elsewhere.

    A page in this machine's browser reaches our port, too: by a name that resolves to it, or from another origin.
    """
    known = [(name, value.decode("latin-1")) for name, value in headers]
    hosts = [value for name, value in known if name == b"host"]
    origins = [value.rpartition("://")[2] for name, value in known if name == b"origin"]
    return len(hosts) == 1 and all(names_loopback(one) for one in (*hosts, *origins))


def is_trusted_url(url: str) -> bool:
    """Whether what a URL answers can be trusted to come from there: https, or a server on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
