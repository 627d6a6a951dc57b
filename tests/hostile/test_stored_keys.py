"""The state file in the hands of somebody who can write it: keys stay what their TPM certified."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from keystead.codec import tpm2
from keystead.errors import ConfigurationError, Reason
from keystead.model import KeyPurpose, Kid, SigningKey, WrappedKey
from keystead.service.keyring import FACT_AK, public_jwk
from keystead.storage.sqlite import rows
from tests.service_parts import ADAM, DELEGATE, installation
from tests.software_hardware import SoftwareTpm

Change = Callable[[SigningKey], SigningKey]


def rewrite(folder: Path, kid: str, change: Change) -> None:
    """What an SQL shell on the state file can do to a key's row."""
    (file,) = folder.glob("*.sqlite3")
    with sqlite3.connect(file) as connection:
        (body,) = connection.execute("SELECT body FROM keys WHERE kid = ?", (kid,)).fetchone()
        key = change(rows.KEY.decode(body))
        connection.execute(
            "UPDATE keys SET kid = ?, purpose = ?, body = ? WHERE kid = ?",
            (key.kid, key.purpose.value, rows.KEY.encode(key), kid),
        )
    connection.close()


async def refusal(folder: Path, tpm: SoftwareTpm) -> str:
    async with installation(folder, tpm=tpm, opened=False) as second:
        with pytest.raises(ConfigurationError) as refused:
            await second.keyring.open()
        assert refused.value.reason is Reason.CONFIGURATION_INVALID
        assert second.keyring.all() == (), "nothing of it is published"
        return refused.value.detail


def as_purpose(purpose: KeyPurpose) -> Change:
    return lambda key: replace(key, purpose=purpose)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(as_purpose(KeyPurpose.TOKEN), id="signs tokens"),
        pytest.param(as_purpose(KeyPurpose.AUDIT), id="signs checkpoints"),
        pytest.param(lambda key: replace(key, owner="somebody else"), id="signs for another"),
        pytest.param(lambda key: replace(key, allow_digest=True), id="signs any digest"),
        pytest.param(lambda key: replace(key, algorithm="RS256"), id="another algorithm"),
        pytest.param(lambda key: replace(key, kid=Kid("another")), id="another kid"),
    ],
)
async def test_an_external_key_cannot_be_given_another_use(tmp_path: Path, change: Change) -> None:
    tpm = SoftwareTpm()
    async with installation(tmp_path, tpm=tpm) as first:
        key = await first.keys.create(
            ADAM, purpose="external", algorithm="ES256", owner=DELEGATE.name, allow_digest=False
        )
    rewrite(tmp_path, key.kid, change)
    assert "is not what this TPM certified" in await refusal(tmp_path, tpm)


async def test_a_token_key_cannot_be_lent_to_a_caller(tmp_path: Path) -> None:
    tpm = SoftwareTpm()
    async with installation(tmp_path, tpm=tpm) as first:
        kid = first.keyring.active(KeyPurpose.TOKEN).kid
    rewrite(
        tmp_path,
        kid,
        lambda key: replace(
            key, purpose=KeyPurpose.EXTERNAL, owner=DELEGATE.name, allow_digest=True
        ),
    )
    assert kid in await refusal(tmp_path, tpm)


async def test_blobs_of_two_purposes_cannot_be_swapped(tmp_path: Path) -> None:
    tpm = SoftwareTpm()
    async with installation(tmp_path, tpm=tpm) as first:
        token = first.keyring.active(KeyPurpose.TOKEN)
        ear = first.keyring.active(KeyPurpose.EAR)
    rewrite(tmp_path, token.kid, lambda key: replace(key, wrapped=ear.wrapped))
    assert token.kid in await refusal(tmp_path, tpm)


async def test_a_key_of_ones_own_is_not_published(tmp_path: Path) -> None:
    """The thief's software key in the row of a token key, with all names made to fit."""
    tpm = SoftwareTpm()
    async with installation(tmp_path, tpm=tpm) as first:
        kid = first.keyring.active(KeyPurpose.TOKEN).kid
    mine = await SoftwareTpm("thief").create_signing_key("ES256")
    public = public_jwk(mine)
    rewrite(
        tmp_path,
        kid,
        lambda key: replace(
            key, kid=Kid(public.thumbprint), jwk=dict(public.members), wrapped=mine
        ),
    )
    assert public.thumbprint in await refusal(tmp_path, tpm)


async def test_an_attestation_key_of_ones_own_vouches_for_nothing(tmp_path: Path) -> None:
    """With an AK of one's own everything else could be signed anew; the TPM has to use it."""
    tpm = SoftwareTpm()
    async with installation(tmp_path, tpm=tpm) as first:
        real = first.keyring.attestation_key
    mine = await SoftwareTpm("thief").create_attestation_key()
    (file,) = tmp_path.glob("*.sqlite3")
    mixed = WrappedKey(public=mine.public, private=real.private)
    with sqlite3.connect(file) as connection:
        connection.execute(
            "UPDATE facts SET value = ? WHERE name = ?", (mixed.public + mixed.private, FACT_AK)
        )
    connection.close()
    assert "the attestation key" in await refusal(tmp_path, tpm)


async def test_a_certification_of_another_type_is_none(tmp_path: Path) -> None:
    tpm = SoftwareTpm()
    async with installation(tmp_path, tpm=tpm) as first:
        key = first.keyring.active(KeyPurpose.STATUS)
    cut = replace(key.evidence, certify_attest=key.evidence.certify_attest[:-1])
    rewrite(tmp_path, key.kid, lambda each: replace(each, evidence=cut))
    assert key.kid in await refusal(tmp_path, tpm)


async def test_what_was_not_changed_opens_again(tmp_path: Path) -> None:
    tpm = SoftwareTpm()
    async with installation(tmp_path, tpm=tpm) as first:
        before = first.keyring.all()
        area = tpm2.parse_tpm2b_public(before[0].wrapped.public)
        attest = tpm2.parse_attest(before[0].evidence.certify_attest)
        assert attest.certify is not None and attest.certify.name == area.name
    async with installation(tmp_path, tpm=tpm) as second:
        assert second.keyring.all() == before
