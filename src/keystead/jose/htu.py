"""URLs as DPoP compares them: RFC 9449 §4.3 with the normalisation of RFC 3986 §6.2.2, §6.2.3.

Written out, because the standard library's ``urlsplit`` drops characters that a proof must not
contain, and two parsers that differ are how a proof for one place opens another.
"""

from __future__ import annotations

import re

from keystead.errors import Malformed, Reason

# What web servers accept as a request line.
MAX_URL_CHARS = 2_048

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65_535
# RFC 3986 §3, appendix A, for http and https; user information and percent signs in a host, which
# are legal there and only ever an attack here, do not match.
_PATH_CHARACTER = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})"
_URL = re.compile(
    r"(?P<scheme>[A-Za-z]+)://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=]+)"
    r"(?::(?P<port>[0-9]{0,5}))?"
    rf"(?P<path>(?:/{_PATH_CHARACTER}*+)?)"
    rf"(?:\?(?:{_PATH_CHARACTER}|\?)*+)?"
    rf"(?:#(?:{_PATH_CHARACTER}|\?)*+)?"
)
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def normalise_htu(url: str) -> str:
    """``url`` in its one spelling, without query and fragment.

    Scheme and host in lower case, no default port, ``/`` for an empty path, escapes in upper case
    and only where needed, no dot segments. The case of the path and empty segments stay. Raises
    ``Malformed`` for anything but an absolute http or https URL without user information.
    """
    if len(url) > MAX_URL_CHARS:
        raise Malformed(Reason.TOO_LARGE, f"a URL of more than {MAX_URL_CHARS} characters")
    match = _URL.fullmatch(url)
    if match is None:
        raise Malformed(Reason.MALFORMED, "not an absolute http or https URL")
    scheme = match["scheme"].lower()
    default_port = _DEFAULT_PORTS.get(scheme)
    if default_port is None:
        raise Malformed(Reason.MALFORMED, f"a URL of scheme {scheme!r}")
    port = int(match["port"] or default_port)
    if not 1 <= port <= _MAX_PORT:
        raise Malformed(Reason.MALFORMED, f"port {port}")
    authority = match["host"].lower() + ("" if port == default_port else f":{port}")
    return f"{scheme}://{authority}{_normalise_path(match['path'])}"


def _normalise_path(path: str) -> str:
    if "%" in path:
        path = _ESCAPE.sub(_normalise_escape, path)
    if "/." in path:
        path = _remove_dot_segments(path)
    return path or "/"


def _normalise_escape(match: re.Match[str]) -> str:
    character = chr(int(match[0][1:], 16))
    return character if character in _UNRESERVED else match[0].upper()


def _remove_dot_segments(path: str) -> str:
    """RFC 3986 §5.2.4 for a path that starts with a slash."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
