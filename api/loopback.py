"""Whether something is on this machine alone."""

import ipaddress
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


def is_trusted_url(url: str) -> bool:
    """Whether what a URL answers can be trusted to come from there: https, or a server on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
