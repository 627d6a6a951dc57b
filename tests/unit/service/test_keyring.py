"""The issuer's keys: made once, each for one purpose, rotated in the open."""

import base64
from pathlib import Path

import pytest

from keystead.errors import ConfigurationError, NotFound, Reason, Refused, Unavailable
from keystead.jose.jws import parse_compact, verify_compact
from keystead.model import AuditAction, KeyPurpose, KeyState, SigningKey
from keystead.service.keyring import OWN_PURPOSES, jwks_document
from tests.service_parts import PUBLISH_AHEAD_S, Clock, Installation, installation
from tests.software_hardware import SoftwareTpm


def kids(it: Installation, purpose: KeyPurpose = KeyPurpose.TOKEN) -> list[str]:
    return [key.kid for key in it.keyring.verification_keys(purpose)]


async def rotate(it: Installation, purpose: KeyPurpose = KeyPurpose.TOKEN) -> SigningKey:
    return await it.keyring.rotate(purpose, owner="keystead", caller="adam")


async def signing_kid(it: Installation, purpose: KeyPurpose = KeyPurpose.TOKEN) -> str:
    return (await it.keyring.sign_own(purpose, typ="at+jwt", claims={"a": 1})).kid


async def test_first_start_makes_one_active_key_of_each_purpose(it: Installation) -> None:
    keys = it.keyring.all()
    assert sorted(key.purpose for key in keys) == sorted(OWN_PURPOSES)
    assert {key.state for key in keys} == {KeyState.ACTIVE}
    assert {key.owner for key in keys} == {"keystead"}
    assert len({key.kid for key in keys}) == len(keys)
    made = await it.events(AuditAction.KEY_CREATED)
    assert sorted(event.object for event in made) == sorted(key.kid for key in keys)


async def test_later_starts_make_nothing(tmp_path: Path) -> None:
    tpm = SoftwareTpm()
    async with installation(tmp_path, tpm=tpm) as first:
        before = {key.kid for key in first.keyring.all()}
        ak = first.keyring.attestation_key
    tpm.commands.clear()
    async with installation(tmp_path, tpm=tpm) as second:
        assert {key.kid for key in second.keyring.all()} == before
        assert second.keyring.attestation_key == ak
        assert not [command for command in tpm.commands if command.startswith("create")]
        signed = await second.keyring.sign_own(KeyPurpose.EAR, typ="x", claims={})
        assert signed.kid in before


async def test_a_crash_in_the_first_start_is_made_good_by_the_next(tmp_path: Path) -> None:
    tpm = SoftwareTpm()
    async with installation(tmp_path, tpm=tpm, opened=False) as first:
        await first.trail.open()
        first.store.fails = lambda events: len(first.store.writes) > 4
        with pytest.raises(Unavailable):
            await first.keyring.open()
    async with installation(tmp_path, tpm=tpm) as second:
        assert sorted(key.purpose for key in second.keyring.all()) == sorted(OWN_PURPOSES)


async def test_the_folder_of_another_tpm_is_refused_by_name(tmp_path: Path) -> None:
    async with installation(tmp_path, tpm=SoftwareTpm()) as first:
        before = await first.events()
    async with installation(tmp_path, tpm=SoftwareTpm("other"), opened=False) as second:
        with pytest.raises(ConfigurationError) as refused:
            await second.keyring.open()
        assert "another TPM" in refused.value.detail
        assert await second.events() == before, "and nothing was changed"


async def test_a_copied_public_ek_does_not_load_the_keys(tmp_path: Path) -> None:
    """Only the TPM that made a key can sign with it, whatever the state folder says."""
    async with installation(tmp_path) as it:
        key = it.keyring.active(KeyPurpose.TOKEN)
        with pytest.raises(Refused):
            await SoftwareTpm("other").sign(key.wrapped, bytes(32))


async def test_an_unopened_keyring_signs_nothing(tmp_path: Path) -> None:
    async with installation(tmp_path, opened=False) as it:
        with pytest.raises(Unavailable):
            await it.keyring.sign_own(KeyPurpose.TOKEN, typ="x", claims={})
        for name in ("attestation_key", "endorsement"):
            with pytest.raises(Unavailable):
                getattr(it.keyring, name)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_the_configured_algorithm_signs_tokens_and_nothing_else(
    tmp_path: Path, algorithm: str
) -> None:
    async with installation(tmp_path, token_algorithm=algorithm) as it:
        for purpose in OWN_PURPOSES:
            signed = await it.keyring.sign_own(purpose, typ="x", claims={"p": purpose.value})
            parsed = parse_compact(signed.jws)
            expected = algorithm if purpose is KeyPurpose.TOKEN else "ES256"
            assert (parsed.header["alg"], parsed.kid) == (expected, signed.kid)
            key = it.keyring.key_set(purpose).get(signed.kid)
            assert key is not None
            verify_compact(parsed, key=key, algorithms={expected})


async def test_each_purpose_has_a_key_set_of_its_own(it: Installation) -> None:
    sets = {purpose: set(kids(it, purpose)) for purpose in OWN_PURPOSES}
    for purpose, own in sets.items():
        others = set().union(*(sets[other] for other in OWN_PURPOSES if other is not purpose))
        assert len(own) == 1 and own.isdisjoint(others)


async def test_a_successor_is_published_before_it_signs(it: Installation) -> None:
    old = await signing_kid(it)
    successor = await rotate(it)
    assert successor.state is KeyState.PENDING
    assert kids(it) == [old, successor.kid], "relying parties can fetch it already"
    for moved in (0, PUBLISH_AHEAD_S - 1):
        it.clock.at = successor.created_at + moved
        await it.keyring.advance()
        assert await signing_kid(it) == old
    it.clock.at = successor.created_at + PUBLISH_AHEAD_S
    await it.keyring.advance()
    assert await signing_kid(it) == successor.kid
    assert it.keyring.get(old).state is KeyState.RETIRED


async def test_a_retired_key_is_published_until_nothing_of_it_lives(it: Installation) -> None:
    old = await signing_kid(it)
    successor = await rotate(it)
    it.clock.at += PUBLISH_AHEAD_S
    await it.keyring.advance()
    assert kids(it) == [old, successor.kid]
    assert it.keyring.key_set(KeyPurpose.TOKEN).get(old) is not None
    it.clock.at += 3_600
    assert kids(it) == [successor.kid]
    assert it.keyring.key_set(KeyPurpose.TOKEN).get(old) is None


async def test_an_audit_key_is_published_for_ever(it: Installation) -> None:
    old = kids(it, KeyPurpose.AUDIT)[0]
    await rotate(it, KeyPurpose.AUDIT)
    it.clock.at += PUBLISH_AHEAD_S
    await it.keyring.advance()
    it.clock.at += 10 * 366 * 86_400
    assert old in kids(it, KeyPurpose.AUDIT), "checkpoints are checked years later"


async def test_a_rotation_survives_a_restart(tmp_path: Path) -> None:
    tpm, clock = SoftwareTpm(), Clock()
    async with installation(tmp_path, tpm=tpm, clock=clock) as first:
        successor = await rotate(first)
    clock.at += PUBLISH_AHEAD_S
    async with installation(tmp_path, tpm=tpm, clock=clock) as second:
        await second.keyring.advance()
        assert await signing_kid(second) == successor.kid
    async with installation(tmp_path, tpm=tpm, clock=clock) as third:
        assert await signing_kid(third) == successor.kid
        assert len(kids(third)) == 2


async def test_a_rotation_is_recorded_step_by_step(it: Installation) -> None:
    old = await signing_kid(it)
    successor = await rotate(it)
    it.clock.at += PUBLISH_AHEAD_S
    await it.keyring.advance()
    await it.keyring.advance()
    told = await it.events(AuditAction.KEY_ACTIVATED, AuditAction.KEY_RETIRED)
    assert [(event.action, event.object) for event in told] == [
        (AuditAction.KEY_ACTIVATED, successor.kid),
        (AuditAction.KEY_RETIRED, old),
    ]
    created = (await it.events(AuditAction.KEY_CREATED))[-1]
    assert (created.object, created.caller) == (successor.kid, "adam")


async def test_a_key_whose_record_fails_does_not_exist(it: Installation) -> None:
    before = kids(it)
    it.store.fails = lambda events: True
    with pytest.raises(Unavailable):
        await rotate(it)
    assert kids(it) == before


async def test_a_move_whose_record_fails_did_not_happen(it: Installation) -> None:
    old = await signing_kid(it)
    successor = await rotate(it)
    it.clock.at += PUBLISH_AHEAD_S
    it.store.fails = lambda events: True
    with pytest.raises(Unavailable):
        await it.keyring.advance()
    assert await signing_kid(it) == old
    it.store.fails = lambda events: False
    await it.keyring.advance()
    assert await signing_kid(it) == successor.kid


async def test_rotating_own_keys_keeps_the_algorithm_that_signs(it: Installation) -> None:
    """A newer key of another algorithm is no reason to stop rotating the one that signs."""
    await it.keyring.create(KeyPurpose.TOKEN, algorithm="RS256", caller="adam", at_once=True)
    assert (await rotate(it)).algorithm == "ES256"


async def test_rotating_what_nobody_has_is_not_found(it: Installation) -> None:
    with pytest.raises(NotFound) as caught:
        await it.keyring.rotate(KeyPurpose.EXTERNAL, owner="nobody", caller="adam")
    assert caught.value.reason is Reason.KEY_UNKNOWN
    with pytest.raises(NotFound):
        it.keyring.get("no-such-kid")


async def test_no_private_part_is_in_any_document_or_representation(it: Installation) -> None:
    successor = await rotate(it)
    keys = [*it.keyring.all(), successor]
    shown = [
        *(repr(key) for key in keys),
        *(str(jwks_document(keys)),),
        repr(it.keyring.attestation_key),
        repr(vars(it.keyring)),
        str(it.keys.published()),
    ]
    for key in [*(key.wrapped for key in keys), it.keyring.attestation_key]:
        inner = key.private[21:60]
        forms = (
            repr(inner)[2:-1],
            inner.hex(),
            base64.b64encode(inner).decode(),
            base64.urlsafe_b64encode(inner).decode(),
        )
        for text in shown:
            assert not [form for form in forms if form in text]
    for member in jwks_document(keys)["keys"]:
        assert member.keys().isdisjoint({"d", "p", "q", "dp", "dq", "qi", "k"})


async def test_the_tpm_being_away_is_unavailable_and_changes_nothing(it: Installation) -> None:
    before = kids(it)
    it.tpm.away = True
    with pytest.raises(Unavailable):
        await signing_kid(it)
    with pytest.raises(Unavailable):
        await rotate(it)
    assert kids(it) == before
