"""Where the keys of a token's issuer are: in a file that is part of the policy, or at an URL.

A file is read with the policy, so that changing it is changing the policy. What stands at an URL
is fetched by the service and given to each appraisal; ``SubjectKeys`` keeps it for ``max_age_s``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Never, TypeAlias

from msgspec import Meta

from keystead.appraisal.policy_tables import wrong
from keystead.errors import ConfigurationError, KeysteadError, Reason
from keystead.jose.jwk import MAX_SET_BYTES, JwkSet

DEFAULT_JWKS_MAX_AGE_S: Final = 600
"""Providers announce new keys hours before they sign with them."""

_SECURE: Final = r"(https://[^/?#\s]+|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?)"
Url = Annotated[str, Meta(pattern=rf"^{_SECURE}(/[^?#\s]*)?$", max_length=1024)]
"""https; http for loopback alone, where a developer's identity provider runs."""

JwksMaxAge = Annotated[int, Meta(ge=60, le=86_400)]

IssuerKeys: TypeAlias = Mapping[str, JwkSet]
"""Issuer → its keys now: those of the issuers whose keys stand at an URL."""

NO_KEYS: Final[Mapping[str, Never]] = MappingProxyType({})
"""For evidence whose issuers all have their keys in files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySource:
    """Exactly one of ``keys`` (of a file) and ``url``."""

    url: str | None = None
    keys: JwkSet | None = field(default=None, repr=False, compare=False)
    max_age_s: int = DEFAULT_JWKS_MAX_AGE_S

    def of(self, issuer: str, given: IssuerKeys) -> JwkSet | None:
        """The keys of ``issuer``: those of the policy, or those that were fetched."""
        return self.keys if self.url is None else given.get(issuer)


def key_source(
    *,
    url: str | None,
    file: str | None,
    max_age_s: int,
    folder: Path,
    parse: Callable[[bytes], JwkSet],
    path: str,
) -> KeySource:
    """Where a table says the keys are; ConfigurationError names the entry at ``path``."""
    if (url is None) == (file is None):
        raise wrong(f"{path}: exactly one of jwks_url, jwks_file")
    if file is None:
        return KeySource(url=url, max_age_s=max_age_s)
    keys = _load(folder / file, parse)
    if not len(keys):
        raise wrong(f"{path}.jwks_file: {folder / file}: no key that verifies signatures")
    return KeySource(keys=keys, max_age_s=max_age_s)


def _load(file: Path, parse: Callable[[bytes], JwkSet]) -> JwkSet:
    try:
        with file.open("rb") as stream:
            return parse(stream.read(MAX_SET_BYTES + 1))
    except (OSError, KeysteadError) as error:
        raise ConfigurationError(Reason.CONFIGURATION_INVALID, f"{file}: {error}") from error
