"""TPM 2.0 structures, both ways, without any trust and without any TSS.

    area = parse_tpm2b_public(evidence_bytes)
    area.name, area.has(ObjectAttributes.FIXED_TPM), jwk_members(area)
    attest = parse_attest(quote_bytes)
    attest.quote.selection == PcrSelection.of({HashAlgorithm.SHA256: range(8)})

Source: TCG TPM 2.0 Library, Part 2 (Structures).
"""

from keystead.codec.tpm2.attest import Attest, CertifyInfo, QuoteInfo, parse_attest
from keystead.codec.tpm2.constants import (
    Curve,
    KeyType,
    ObjectAttributes,
    Scheme,
    SymmetricAlgorithm,
    SymmetricMode,
)
from keystead.codec.tpm2.credential import (
    encode_ecc_encrypted_secret,
    encode_id_object,
    encode_rsa_encrypted_secret,
)
from keystead.codec.tpm2.pcrs import (
    PcrSelection,
    PcrValues,
    parse_pcr_selection,
    pcr_composite_digest,
    policy_pcr_digest,
)
from keystead.codec.tpm2.primitives import encode_tpm2b, parse_tpm2b
from keystead.codec.tpm2.public import (
    EccKey,
    PublicArea,
    RsaKey,
    SymmetricDefinition,
    jwk_members,
    parse_tpm2b_public,
    parse_tpmt_public,
)
from keystead.codec.tpm2.signature import (
    EcdsaSignature,
    RsaSignature,
    TpmSignature,
    parse_signature,
)
from keystead.codec.tpm2.templates import PublicTemplate, parse_template, signing_key_template

__all__ = [
    "Attest",
    "CertifyInfo",
    "Curve",
    "EccKey",
    "EcdsaSignature",
    "KeyType",
    "ObjectAttributes",
    "PcrSelection",
    "PcrValues",
    "PublicArea",
    "PublicTemplate",
    "QuoteInfo",
    "RsaKey",
    "RsaSignature",
    "Scheme",
    "SymmetricAlgorithm",
    "SymmetricDefinition",
    "SymmetricMode",
    "TpmSignature",
    "encode_ecc_encrypted_secret",
    "encode_id_object",
    "encode_rsa_encrypted_secret",
    "encode_tpm2b",
    "jwk_members",
    "parse_attest",
    "parse_pcr_selection",
    "parse_signature",
    "parse_template",
    "parse_tpm2b",
    "parse_tpm2b_public",
    "parse_tpmt_public",
    "pcr_composite_digest",
    "policy_pcr_digest",
    "signing_key_template",
]
