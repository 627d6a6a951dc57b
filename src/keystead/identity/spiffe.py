"""SPIFFE IDs, and only their canonical form (SPIFFE-ID §2).

No case folding, no percent-encoding, no dot segments: one identity has one spelling, so that
policies may compare strings.
"""

from __future__ import annotations

import re

from keystead.errors import Malformed, Reason
from keystead.model import SpiffeId

# SPIFFE-ID §2.3 and §2.1: the longest ID, and the longest trust domain.
MAX_SPIFFE_ID_BYTES = 2_048
MAX_TRUST_DOMAIN_BYTES = 255

_SCHEME = "spiffe://"
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]+")
_SEGMENT = re.compile(r"[a-zA-Z0-9._-]+")


def parse_spiffe_id(text: str) -> SpiffeId:
    """``text`` as a SPIFFE ID, or ``Malformed`` (spiffe_id_invalid).

    The path may be absent: that is the trust domain itself. A port, user, query, fragment,
    percent-encoding, empty segment, trailing slash, ``.`` and ``..`` are all refused.
    """
    if len(text) > MAX_SPIFFE_ID_BYTES:
        raise _invalid(f"longer than {MAX_SPIFFE_ID_BYTES} bytes")
    if not text.startswith(_SCHEME):
        raise _invalid("does not start with spiffe://")
    domain, *segments = text[len(_SCHEME) :].split("/")
    check_trust_domain(domain)
    for segment in segments:
        _check_segment(segment)
    return SpiffeId(text)


def parse_workload_id(text: str) -> SpiffeId:
    """As ``parse_spiffe_id``, but with a path: no workload is a whole trust domain."""
    spiffe_id = parse_spiffe_id(text)
    if not path_of(spiffe_id):
        raise _invalid("names a trust domain, not a workload")
    return spiffe_id


def of_trust_domain(name: str) -> SpiffeId:
    """The ID of a trust domain itself."""
    return parse_spiffe_id(f"{_SCHEME}{name}")


def check_trust_domain(name: str) -> None:
    """Raise ``Malformed`` (spiffe_id_invalid) unless ``name`` is a trust domain's name."""
    if len(name) > MAX_TRUST_DOMAIN_BYTES:
        raise _invalid(f"trust domain longer than {MAX_TRUST_DOMAIN_BYTES} bytes")
    if not _TRUST_DOMAIN.fullmatch(name):
        raise _invalid("trust domain outside [a-z0-9._-]")


def trust_domain(spiffe_id: SpiffeId) -> str:
    """The trust domain's name, without the scheme."""
    return spiffe_id[len(_SCHEME) :].partition("/")[0]


def path_of(spiffe_id: SpiffeId) -> str:
    """The path with its leading slash, empty for a trust domain."""
    _domain, slash, path = spiffe_id[len(_SCHEME) :].partition("/")
    return slash + path


def _check_segment(segment: str) -> None:
    if segment in (".", ".."):
        raise _invalid("path has a dot segment")
    if not _SEGMENT.fullmatch(segment):
        raise _invalid("path segment is empty or outside [a-zA-Z0-9._-]")


def _invalid(detail: str) -> Malformed:
    return Malformed(Reason.SPIFFE_ID_INVALID, f"SPIFFE ID: {detail}")
