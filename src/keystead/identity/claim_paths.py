"""From the claims of a workload's token to a SPIFFE ID's path, by named parsers.

    spiffe_path("/ci/{repository.owner}/{repository.name}", claims, OidcProfile.GITHUB_ACTIONS)
    # → "/ci/acme/rocket"

A placeholder is a claim, in the names of its profile, or a part that the profile's parser of that
claim finds. What stands in its place is one path segment's text or nothing: a slash, a space or a
dot segment in a claim never makes another path. At most one placeholder stands in a segment, since
two would let different claims make one path. ``docs/evidence/oidc.md`` lists claims and parts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from keystead.errors import BindingRejected, Malformed, Reason
from keystead.identity.spiffe import MAX_SPIFFE_ID_BYTES
from keystead.model import OidcProfile

MAX_SEGMENTS: Final = 16
"""Deeper paths are nobody's names."""

_TEXT: Final = r"[A-Za-z0-9._-]"
_SEGMENT: Final = re.compile(rf"{_TEXT}+")
_TEMPLATE: Final = re.compile(
    rf"(?P<before>{_TEXT}*)\{{(?P<claim>[A-Za-z0-9_-]+)(?:\.(?P<part>[a-z_]+))?\}}(?P<after>{_TEXT}*)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parser:
    """Splits the values of one claim into the named groups of a pattern.

    ``any_case`` is for values whose spelling in capitals means nothing: parts are in lower case.
    """

    pattern: re.Pattern[str]
    any_case: bool = False

    @property
    def parts(self) -> frozenset[str]:
        """What it finds."""
        return frozenset(self.pattern.groupindex)

    def split(self, value: str) -> Mapping[str, str] | None:
        """The parts of ``value``, or None where it is no such value."""
        found = self.pattern.fullmatch(value.lower() if self.any_case else value)
        return None if found is None else found.groupdict()


def _split(pattern: str) -> Parser:
    return Parser(pattern=re.compile(pattern))


_RESOURCE: Final = Parser(
    pattern=re.compile(
        rf"/subscriptions/(?P<subscription>{_TEXT}+)/resourcegroups/(?P<resource_group>{_TEXT}+)"
        rf"/providers/{_TEXT}+/(?P<type>{_TEXT}+)/(?P<name>{_TEXT}+)"
    ),
    any_case=True,
)
_WORKFLOW: Final = _split(
    rf"(?P<owner>{_TEXT}+)/(?P<name>{_TEXT}+)/\.github/workflows/(?P<file>{_TEXT}+)@refs/.+"
)
_SERVICE_ACCOUNT: Final = _split(
    rf"system:serviceaccount:(?P<namespace>{_TEXT}+):(?P<serviceaccount>{_TEXT}+)"
)

PARSERS: Final[Mapping[OidcProfile, Mapping[str, Parser]]] = {
    OidcProfile.GITHUB_ACTIONS: {
        "repository": _split(rf"(?P<owner>{_TEXT}+)/(?P<name>{_TEXT}+)"),
        "workflow_ref": _WORKFLOW,
        "job_workflow_ref": _WORKFLOW,
        "ref": _split(rf"refs/(?P<type>heads|tags)/(?P<name>{_TEXT}+)"),
    },
    OidcProfile.AWS_EKS: {"sub": _SERVICE_ACCOUNT},
    OidcProfile.AWS_STS: {
        # A role's path is no part of its name, which is the account's only one.
        "sub": _split(
            r"arn:aws[a-z-]*:iam::(?P<account>[0-9]{12}):role/(?:[^:]*/)?(?P<role>[^/]+)"
        ),
        "ec2_source_instance_arn": _split(
            r"arn:aws[a-z-]*:ec2:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12})"
            r":instance/(?P<instance>[^/]+)"
        ),
        "lambda_source_function_arn": _split(
            r"arn:aws[a-z-]*:lambda:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12})"
            r":function:(?P<function>[^:]+)"
        ),
    },
    OidcProfile.AZURE: {"xms_mirid": _RESOURCE, "xms_az_rid": _RESOURCE},
    OidcProfile.GCP: {
        "email": _split(rf"(?P<name>{_TEXT}+)@(?P<project>{_TEXT}+)\.iam\.gserviceaccount\.com"),
    },
    OidcProfile.KUBERNETES: {"sub": _SERVICE_ACCOUNT},
    OidcProfile.OTHER: {},
}
"""Profile → claim → the parser that splits it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placeholder:
    before: str
    claim: str
    part: str | None
    after: str

    def __str__(self) -> str:
        return self.claim if self.part is None else f"{self.claim}.{self.part}"


def spiffe_path(template: str, claims: Mapping[str, str], profile: OidcProfile) -> str:
    """The path that ``template`` makes of ``claims``, which an appraisal verified.

    Raises ``Malformed`` (spiffe_id_invalid) for a template that is none; ``BindingRejected`` with
    claim_missing for a claim that is not there, claim_invalid for one that its parser does not
    split, spiffe_id_invalid for a value that is no path segment.
    """
    segments = [
        each if isinstance(each, str) else _fill(each, claims, profile)
        for each in _parse(template, profile)
    ]
    path = "".join(f"/{segment}" for segment in segments)
    if len(path) > MAX_SPIFFE_ID_BYTES:
        raise BindingRejected(Reason.SPIFFE_ID_INVALID, f"a path of {len(path)} characters")
    return path


def check_template(template: str, profile: OidcProfile) -> None:
    """``Malformed`` (spiffe_id_invalid) unless ``spiffe_path`` could use ``template``."""
    _parse(template, profile)


def _parse(template: str, profile: OidcProfile) -> list[str | _Placeholder]:
    if len(template) > MAX_SPIFFE_ID_BYTES or not template.startswith("/"):
        raise _no_template(f"{template[:64]!r} does not start with a slash, or is too long")
    segments = template[1:].split("/")
    if len(segments) > MAX_SEGMENTS:
        raise _no_template(f"{len(segments)} segments")
    return [_segment(each, profile) for each in segments]


def _segment(text: str, profile: OidcProfile) -> str | _Placeholder:
    if _is_segment(text):
        return text
    found = _TEMPLATE.fullmatch(text)
    if found is None:
        raise _no_template(f"segment {text[:64]!r}")
    placeholder = _Placeholder(**found.groupdict())
    if placeholder.part is not None:
        parser = PARSERS[profile].get(placeholder.claim)
        if parser is None or placeholder.part not in parser.parts:
            raise _no_template(f"{profile} has no parser for {placeholder}")
    return placeholder


def _fill(placeholder: _Placeholder, claims: Mapping[str, str], profile: OidcProfile) -> str:
    value = claims.get(placeholder.claim)
    if value is None:
        raise BindingRejected(Reason.CLAIM_MISSING, str(placeholder))
    if placeholder.part is not None:
        parts = PARSERS[profile][placeholder.claim].split(value)
        if parts is None:
            raise BindingRejected(Reason.CLAIM_INVALID, f"{placeholder.claim} does not split")
        value = parts[placeholder.part]
    if not _is_segment(value):
        raise BindingRejected(Reason.SPIFFE_ID_INVALID, f"{placeholder} is no path segment")
    return f"{placeholder.before}{value}{placeholder.after}"


def _is_segment(text: str) -> bool:
    return _SEGMENT.fullmatch(text) is not None and text not in (".", "..")


def _no_template(detail: str) -> Malformed:
    return Malformed(Reason.SPIFFE_ID_INVALID, f"path template: {detail}")
