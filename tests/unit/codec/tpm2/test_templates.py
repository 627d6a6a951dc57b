import pytest

from keystead.codec.tpm2 import ObjectAttributes, parse_template, signing_key_template, templates
from keystead.errors import Malformed, Reason

# From the EK Credential Profile v2.5, Annex B: what a TPM must be given, byte by byte.
POLICY_A = "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa"
L_1 = "0001000b000300b20020" + POLICY_A + "000600800043" + "0010" + "080000000000" + "0100"
L_2 = "0023000b000300b20020" + POLICY_A + "000600800043" + "0010" + "00030010"
SRK = "0023000b000304720000" + "000600800043" + "0010" + "00030010"
ZERO_POINT = "0020" + "00" * 32 + "0020" + "00" * 32


def test_low_range_templates_are_those_of_the_profile() -> None:
    assert templates.EK_RSA_2048.encode().hex() == L_1 + "00" * 256
    assert templates.EK_P256.encode().hex() == L_2 + ZERO_POINT


def test_storage_root_template_is_that_of_the_provisioning_guidance() -> None:
    assert templates.SRK_P256.encode().hex() == SRK + ZERO_POINT


@pytest.mark.parametrize(
    "template",
    [
        templates.EK_HIGH_RSA_2048,
        templates.EK_HIGH_P256,
        templates.EK_HIGH_P384,
        templates.EK_HIGH_RSA_3072,
    ],
)
def test_high_range_templates_take_a_password(template: templates.PublicTemplate) -> None:
    assert ObjectAttributes.USER_WITH_AUTH in template.head.attributes
    assert len(template.head.auth_policy) == template.head.name_algorithm.digest_size
    unique = bytes(2) if isinstance(template.shape, templates.RsaShape) else bytes(4)
    assert template.encode().endswith(unique)


@pytest.mark.parametrize(
    "template", [templates.EK_RSA_2048, templates.EK_P256, templates.EK_HIGH_P384]
)
def test_parses_the_template_it_encodes(template: templates.PublicTemplate) -> None:
    assert parse_template(template.encode()) == template


def test_rejects_a_truncated_template() -> None:
    raw = templates.EK_P256.encode()
    for length in range(len(raw)):
        with pytest.raises(Malformed):
            parse_template(raw[:length])


def test_rejects_bytes_behind_a_template() -> None:
    with pytest.raises(Malformed):
        parse_template(templates.EK_P256.encode() + b"\0")


def test_a_nonce_fills_unique_from_the_left() -> None:
    rsa = templates.EK_RSA_2048.with_nonce(b"nonce")
    assert rsa.encode().endswith(bytes.fromhex("0100") + b"nonce" + bytes(251))
    ecc = templates.EK_P256.with_nonce(b"nonce")
    assert ecc.encode().endswith(
        bytes.fromhex("0020") + b"nonce" + bytes(27) + bytes.fromhex("0020") + bytes(32)
    )


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_signing_keys_cannot_leave_their_tpm(algorithm: str) -> None:
    head = signing_key_template(algorithm, restricted=False).head
    kept = (
        ObjectAttributes.FIXED_TPM
        | ObjectAttributes.FIXED_PARENT
        | ObjectAttributes.SENSITIVE_DATA_ORIGIN
        | ObjectAttributes.SIGN
        | ObjectAttributes.USER_WITH_AUTH
        | ObjectAttributes.NO_DA
    )
    assert head.attributes == kept


def test_an_attestation_key_is_restricted() -> None:
    head = signing_key_template("ES256", restricted=True).head
    assert ObjectAttributes.RESTRICTED in head.attributes
    assert ObjectAttributes.DECRYPT not in head.attributes


def test_a_key_under_a_policy_has_no_password() -> None:
    head = signing_key_template("ES256", restricted=False, auth_policy=bytes(32)).head
    assert ObjectAttributes.USER_WITH_AUTH not in head.attributes
    assert head.auth_policy == bytes(32)


def test_refuses_another_algorithm() -> None:
    with pytest.raises(Malformed) as caught:
        signing_key_template("HS256", restricted=False)
    assert caught.value.reason is Reason.ALGORITHM_NOT_ALLOWED
