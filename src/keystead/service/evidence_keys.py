"""The keys of those whose tokens are evidence: fetched before an appraisal, which asks nobody."""

from __future__ import annotations

from collections.abc import Mapping

from keystead.appraisal.issuer_keys import NO_KEYS, IssuerKeys
from keystead.evidence.signed_token import SignedToken
from keystead.service.subject_keys import SubjectKeys


class EvidenceKeys:
    """``sources`` has the issuers whose keys stand at an URL; the policy has the others' itself."""

    def __init__(self, sources: Mapping[str, SubjectKeys]) -> None:
        self._sources = sources

    async def keys_for(self, token: SignedToken | None) -> IssuerKeys:
        """The keys of the issuer that ``token`` names, unverified; Unavailable(keys_unavailable).

        Issuers that the policy does not name are not asked.
        """
        source = None if token is None else self._sources.get(token.issuer)
        if token is None or source is None:
            return NO_KEYS
        return {token.issuer: await source.key_set(kid=token.kid)}


def signer_of(token: SignedToken | None, keys: IssuerKeys) -> dict[str, str]:
    """The public JWK by which ``token`` verified, to be kept with it; empty where the policy has
    the key."""
    found = None if token is None else keys.get(token.issuer)
    if token is None or found is None:
        return {}
    key = next(iter(found), None) if token.kid is None else found.get(token.kid)
    return {} if key is None else dict(key.members)
