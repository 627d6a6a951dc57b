"""The key file: what is written is read back, and nothing else is."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from keystead.agent.key_file import (
    MAX_KEY_FILE_BYTES,
    KeyFile,
    WorkloadKey,
    encode_key_file,
    parse_key_file,
)
from keystead.codec import base64url
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection
from keystead.errors import KeysteadError, Malformed, Reason, TokenRejected
from keystead.model import WrappedKey
from tests import tpm2_structures as made
from tests.jose_keys import public_jwk

POLICY = PcrSelection.of({HashAlgorithm.SHA256: [0, 7], HashAlgorithm.SHA384: [4]})


def stored(policy: PcrSelection | None = POLICY) -> KeyFile:
    x, y = (base64url.decode(public_jwk().members[name]) for name in "xy")
    wrapped = WrappedKey(public=made.sized(made.ecc_public(x=x, y=y)), private=b"wrapped")
    return KeyFile(
        ek="ek-name",
        attestation_key=WrappedKey(public=b"ak", private=b"wrapped ak"),
        workload_key=WorkloadKey.of(wrapped, pcr_policy=policy),
    )


@pytest.mark.parametrize("policy", [None, POLICY])
def test_reads_what_it_wrote(policy: PcrSelection | None) -> None:
    assert parse_key_file(encode_key_file(stored(policy))) == stored(policy)


def test_shows_no_wrapped_key() -> None:
    assert "b'wrapped" not in repr(stored())


def remove(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda document: document.pop(name)


@pytest.mark.parametrize(
    "bend",
    [
        remove("keystead_keys"),
        remove("ek"),
        remove("ak"),
        remove("key"),
        lambda d: d.update(keystead_keys=2),
        lambda d: d.update(other=1),
        lambda d: d["ak"].update(pcrs={}),
        lambda d: d["key"].update(other=1),
        lambda d: d["key"].pop("private"),
        lambda d: d["key"].update(public="AAAA"),
        lambda d: d["key"].update(pcrs={}),
        lambda d: d["key"].update(pcrs={"md5": [0]}),
        lambda d: d["key"].update(pcrs={"sha256": 0}),
        lambda d: d["key"].update(pcrs={"sha256": ["0"]}),
        lambda d: d["key"].update(pcrs={"sha256": [True]}),
        lambda d: d["key"].update(pcrs={"sha256": [24]}),
        lambda d: d["key"].update(pcrs={"sha256": list(range(25))}),
    ],
)
def test_rejects_a_file_with_one_thing_wrong(bend: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(encode_key_file(stored()))
    bend(document)
    with pytest.raises(Malformed):
        parse_key_file(json.dumps(document).encode())


def test_rejects_a_truncated_file_at_every_length() -> None:
    data = encode_key_file(stored())
    for size in range(len(data)):
        with pytest.raises(KeysteadError) as caught:
            parse_key_file(data[:size])
        assert isinstance(caught.value, Malformed | TokenRejected)


def test_rejects_a_file_without_end() -> None:
    with pytest.raises(Malformed) as caught:
        parse_key_file(b" " * (MAX_KEY_FILE_BYTES + 1))
    assert caught.value.reason is Reason.TOO_LARGE
