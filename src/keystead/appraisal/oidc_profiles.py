"""What the tokens of each platform say of a workload, as plain names and texts.

A reader takes a platform's claims out of a token whose signature was verified, and refuses those
that contradict each other. Claims whose value splits into parts are split by
``identity.claim_paths``. ``docs/evidence/oidc.md`` has a table of the names of each profile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Final

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.errors import EvidenceRejected, Malformed, Reason
from keystead.model import OidcProfile

MAX_CLAIM_CHARS: Final = 1_024
"""A workflow reference and a resource identifier are a few hundred."""

_STS: Final = "https://sts.amazonaws.com/"
_ARN_PARTS: Final = 6
_ARN_ACCOUNT: Final = 4

Claims = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRules:
    """How tokens of a platform are read, and what a rule about them has to say.

    Each rule writes out all of ``written``, and values (not "any") for one of ``identity`` at
    least, or of any claim where that is None: without one it would let in strangers.
    ``caller_chooses_audience`` says whether the workload itself may name its token's audience.
    """

    read: Callable[[Mapping[str, JSON]], Claims]
    written: frozenset[str]
    identity: frozenset[str] | None
    caller_chooses_audience: bool


def _scalar(value: JSON, name: str) -> str:
    """Numbers in decimal, truth values as JSON spells them."""
    if isinstance(value, str):
        if len(value) > MAX_CLAIM_CHARS or json.has_control(value):
            raise Malformed(Reason.MALFORMED, f"{name} is too long, or has a control character")
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    raise Malformed(Reason.MALFORMED, f"{name} is no text, number or truth value")


def _take(
    claims: Mapping[str, JSON], names: Iterable[str], *, required: Set[str] = frozenset()
) -> Claims:
    """Those of ``names`` that are there and not empty; GitHub writes an empty text for none."""
    found = {}
    for name in names:
        value = claims.get(name)
        if value is not None and value != "":
            found[name] = _scalar(value, name)
    if not found.keys() >= required:
        raise EvidenceRejected(Reason.CLAIM_MISSING, ", ".join(sorted(required - found.keys())))
    return found


def _contradiction(detail: str) -> EvidenceRejected:
    return EvidenceRejected(Reason.CLAIM_INVALID, detail)


_GITHUB: Final = (
    "sub",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "repository_visibility",
    "ref",
    "ref_type",
    "ref_protected",
    "sha",
    "environment",
    "workflow",
    "workflow_ref",
    "workflow_sha",
    "job_workflow_ref",
    "job_workflow_sha",
    "run_id",
    "run_number",
    "run_attempt",
    "runner_environment",
    "event_name",
    "actor_id",
    "enterprise_id",
)
_GITHUB_REQUIRED: Final = frozenset(
    {"sub", "repository", "repository_id", "repository_owner", "repository_owner_id"}
)


def _github(claims: Mapping[str, JSON]) -> Claims:
    found = _take(claims, _GITHUB, required=_GITHUB_REQUIRED)
    if found["repository"].split("/")[0] != found["repository_owner"]:
        raise _contradiction("the repository is not its owner's")
    return found


_KUBERNETES_OBJECTS: Final = ("serviceaccount", "pod", "node")


def _kubernetes(claims: Mapping[str, JSON]) -> Claims:
    """A token of the TokenRequest API or a projected file; EKS issues these too."""
    bound = json.find_object(claims, "kubernetes.io") or {}
    found = _take(claims, ("sub",), required=frozenset({"sub"}))
    found |= _take(bound, ("namespace",), required=frozenset({"namespace"}))
    for name in _KUBERNETES_OBJECTS:
        member = json.find_object(bound, name) or {}
        for field, value in _take(member, ("name", "uid")).items():
            found[name if field == "name" else f"{name}_{field}"] = value
    if "serviceaccount" not in found:
        raise EvidenceRejected(Reason.CLAIM_MISSING, "serviceaccount")
    if found["sub"] != f"system:serviceaccount:{found['namespace']}:{found['serviceaccount']}":
        raise _contradiction("sub is of another service account")
    return found


_STS_NAMES: Final = (
    "aws_account",
    "source_region",
    "org_id",
    "ou_path",
    "ec2_source_instance_arn",
    "lambda_source_function_arn",
)


def _aws_sts(claims: Mapping[str, JSON]) -> Claims:
    """A token of GetWebIdentityToken, AWS's outbound federation."""
    found = _take(claims, ("sub",), required=frozenset({"sub"}))
    session = json.find_object(claims, _STS) or {}
    found |= _take(session, _STS_NAMES, required=frozenset({"aws_account"}))
    parts = found["sub"].split(":", _ARN_PARTS - 1)
    if len(parts) != _ARN_PARTS or parts[_ARN_ACCOUNT] != found["aws_account"]:
        raise _contradiction("sub is of another account")
    return found


_AZURE: Final = ("sub", "oid", "tid", "appid", "azp", "idtyp", "xms_mirid", "xms_az_rid")


def _azure(claims: Mapping[str, JSON]) -> Claims:
    """A token of Entra ID for an application, such as a managed identity."""
    if "scp" in claims:
        raise _contradiction("a person's token, which an application only carries")
    found = _take(claims, _AZURE, required=frozenset({"sub", "oid", "tid"}))
    if f"/{found['tid']}/" not in json.get_str(claims, "iss") + "/":
        raise _contradiction("tid is not the issuer's tenant")
    if found.get("idtyp", "app") != "app":
        raise _contradiction("not an application's token")
    return found


_GCP_ENGINE: Final = ("project_id", "project_number", "zone", "instance_id", "instance_name")


def _gcp(claims: Mapping[str, JSON]) -> Claims:
    """An identity token of the metadata server, with ``format=full`` for an instance's claims."""
    found = _take(claims, ("sub", "azp", "email"), required=frozenset({"sub"}))
    if "email" in found and json.find_bool(claims, "email_verified") is not True:
        raise _contradiction("an e-mail address that was not verified")
    google = json.find_object(claims, "google") or {}
    return found | _take(json.find_object(google, "compute_engine") or {}, _GCP_ENGINE)


def _other(claims: Mapping[str, JSON]) -> Claims:
    """Every claim that is a short text, a whole number or a truth value."""
    plain = [
        name
        for name, value in claims.items()
        if isinstance(value, int) or (isinstance(value, str) and len(value) <= MAX_CLAIM_CHARS)
    ]
    return _take(claims, plain, required=frozenset({"sub"}))


_SERVICE_ACCOUNT: Final = ProfileRules(
    read=_kubernetes,
    written=frozenset({"namespace", "serviceaccount"}),
    identity=frozenset({"namespace", "serviceaccount_uid"}),
    caller_chooses_audience=True,
)

PROFILES: Final[Mapping[OidcProfile, ProfileRules]] = {
    # Names of owners and repositories are given to others once they are free; ids are not.
    OidcProfile.GITHUB_ACTIONS: ProfileRules(
        read=_github,
        written=frozenset({"repository_id"}),
        identity=frozenset({"repository_id", "repository_owner_id"}),
        caller_chooses_audience=True,
    ),
    OidcProfile.AWS_EKS: _SERVICE_ACCOUNT,
    OidcProfile.AWS_STS: ProfileRules(
        read=_aws_sts,
        written=frozenset({"sub"}),
        identity=frozenset({"sub", "aws_account"}),
        caller_chooses_audience=True,
    ),
    OidcProfile.AZURE: ProfileRules(
        read=_azure,
        written=frozenset({"oid"}),
        identity=frozenset({"oid", "xms_mirid"}),
        caller_chooses_audience=False,
    ),
    # Everybody with an account at Google has tokens of this issuer.
    OidcProfile.GCP: ProfileRules(
        read=_gcp,
        written=frozenset({"sub"}),
        identity=frozenset({"sub", "project_number"}),
        caller_chooses_audience=True,
    ),
    OidcProfile.KUBERNETES: _SERVICE_ACCOUNT,
    OidcProfile.OTHER: ProfileRules(
        read=_other,
        written=frozenset({"sub"}),
        identity=None,
        caller_chooses_audience=True,
    ),
}


def read_claims(profile: OidcProfile, claims: Mapping[str, JSON], *, step: int) -> Claims:
    """The claims of ``profile``; EvidenceRejected (claim_missing, claim_invalid) at ``step``."""
    try:
        return PROFILES[profile].read(claims)
    except EvidenceRejected as error:
        raise EvidenceRejected(error.reason, error.detail, step=step) from error
    except Malformed as error:
        raise EvidenceRejected(Reason.CLAIM_INVALID, error.detail, step=step) from error
