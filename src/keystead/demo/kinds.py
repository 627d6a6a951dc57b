"""The kinds of evidence that the demo can play."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from keystead.demo.evidence import Evidence
from keystead.demo.evidence_oidc import JobEvidence
from keystead.demo.evidence_tpm2 import TpmEvidence

KINDS: Final[Mapping[str, Evidence]] = {
    "tpm2": TpmEvidence(),
    "oidc": JobEvidence(),
}
DEFAULT_KIND: Final = "tpm2"
