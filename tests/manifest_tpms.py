"""What the rows of TPMs, boot logs and wrapped keys demand: tpm, eventlog, kms."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from asn1crypto import cms

from keystead.appraisal import event_rules, tpm2
from keystead.appraisal.event_rules import EventLogRules
from keystead.codec import eventlog
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import parse_attest
from keystead.errors import Reason
from keystead.evidence.tpm2 import SignedAttest
from tests import published_tpm as tpm
from tests.evidence_builder import rules as tpm_rules
from tests.manifest import VECTORS, Row
from tests.manifest_demands import (
    MALFORMED,
    Demand,
    flipped,
    last_flipped,
    refused,
    told,
    with_other_pcr,
)

SHA256 = HashAlgorithm.SHA256
QUOTE = Reason.QUOTE_SIGNATURE

# --- tpm ------------------------------------------------------------------------------------------


def cocos_quote(
    row: Row,
    *,
    nonce: bytes | None = None,
    attest: Callable[[bytes], bytes] = bytes,
    pcrs: Callable[[dict[int, bytes]], dict[int, bytes]] = dict,
) -> None:
    area, signed, values = tpm.coco(VECTORS)
    signed = replace(signed, attest=parse_attest(attest(signed.attest.raw)))
    tpm2.check_quote_signature(area, signed)
    quote = tpm2.check_quote_type(signed)
    tpm2.check_nonce(signed, nonce)
    tpm2.check_pcr_digest(area, quote, {SHA256: pcrs(values)})


def windows_quote(row: Row, change: Callable[[bytes], bytes] = bytes) -> None:
    members: Any = json.loads(row.read())
    platform = members.get("Quote") or members["quote"]
    attest = parse_attest(change(tpm.plain(platform["Quote"])))
    assert attest.quote is not None and attest.extra_data == b""
    tpm2.check_selection(attest.quote, {}, tpm_rules().required_pcrs)


def cloud_quotes(
    row: Row,
    *,
    nonce: bytes | None = None,
    attest: Callable[[bytes], bytes] = bytes,
    pcrs: Callable[[dict[int, bytes]], dict[int, bytes]] = dict,
) -> int:
    """How many quotes verify, whatever their bank: steps 5 to 8 and 10."""
    area, quotes, _ = tpm.gce(VECTORS)
    tpm2.check_ak_attributes(area)
    for found, signature, bank, values in quotes:
        signed = SignedAttest(attest=parse_attest(attest(found.raw)), signature=signature)
        tpm2.check_quote_signature(area, signed)
        info = tpm2.check_quote_type(signed)
        assert tpm2.check_nonce(signed, nonce) == b""
        tpm2.check_pcr_digest(area, info, {bank: pcrs(values)})
    return len(quotes)


def as_many_as_told(row: Row, count: Any) -> None:
    assert count == int(told(row, r"(\d) sigs")) and f"{count} quotes" in row.what


QUOTES = {
    "tpm/coco-tpm_evidence.json": Demand(
        says=("sig OK", "no AK cert in the fixture"),
        judge=cocos_quote,
        neighbours={
            "attest": (partial(cocos_quote, attest=last_flipped), refused(QUOTE, 6)),
            "nonce": (partial(cocos_quote, nonce=bytes(32)), refused(Reason.NONCE_MISMATCH, 8)),
            "PCR": (
                partial(cocos_quote, pcrs=with_other_pcr),
                refused(Reason.PCR_DIGEST_MISMATCH, 10),
            ),
        },
    ),
    "tpm/ga-windows_gcp_shielded_vm.json": Demand(
        says=("Nonce empty", "SHA-1 bank => reject by policy"),
        judge=windows_quote,
        verdict=refused(Reason.PCR_BANK_WEAK, 9),
        neighbours={"cut": (partial(windows_quote, change=lambda data: data[:-1]), MALFORMED)},
    ),
    "tpm/gtt-gce-cos85-no-nonce.pb": Demand(
        says=("3 sigs + PCR digests OK", "empty nonce"),
        judge=cloud_quotes,
        facts=as_many_as_told,
        neighbours={
            "attest": (partial(cloud_quotes, attest=last_flipped), refused(QUOTE, 6)),
            "nonce": (partial(cloud_quotes, nonce=bytes(32)), refused(Reason.NONCE_MISMATCH, 8)),
            "PCR": (
                partial(cloud_quotes, pcrs=lambda values: values | {4: bytes(20)}),
                refused(Reason.PCR_DIGEST_MISMATCH, 10),
            ),
        },
    ),
}

# --- eventlog -------------------------------------------------------------------------------------

EVERY_PCR = EventLogRules(required=True, pcrs=frozenset(range(24)))


def replayed(row: Row, change: Callable[[bytes], bytes] = bytes) -> eventlog.EventLog:
    """The log, once every bank explains what the good log comes to."""
    good = eventlog.parse(row.read())
    banks = [HashAlgorithm(each) for each in good.digest_sizes]
    values = {bank: eventlog.replay(good, bank) for bank in banks}
    found = eventlog.parse(change(row.read()))
    event_rules.check_replay(found, EVERY_PCR, values, step=12)
    return found


def with_other_digest(data: bytes) -> bytes:
    """The first digest that anything was measured as."""
    event = next(
        each for each in eventlog.parse(data).events if any(map(any, each.digests.values()))
    )
    return flipped(data, data.index(next(iter(event.digests.values()))))


def locality_as_told(row: Row, log: Any) -> None:
    named = told(row, r"([a-z-]+) carries a StartupLocality event")
    assert (log.startup_locality != 0) is (named in row.file)


LOG = Demand(
    says=("replays without error",),
    judge=replayed,
    facts=locality_as_told,
    neighbours={
        "digest": (
            partial(replayed, change=with_other_digest),
            refused(Reason.EVENT_LOG_MISMATCH, 12),
        ),
        "cut": (partial(replayed, change=lambda data: data[:-1]), MALFORMED),
    },
)
LOGS = {
    "eventlog/arch-linux-workstation.bin": LOG,
    "eventlog/cos-85-amd-sev.bin": LOG,
    "eventlog/debian-10.bin": LOG,
    "eventlog/glinux-alex.bin": LOG,
    "eventlog/rhel8-uefi.bin": LOG,
    "eventlog/ubuntu-2104-no-secure-boot.bin": LOG,
    "eventlog/option_rom.bin": Demand(says=("parses",), judge=replayed, neighbours=LOG.neighbours),
    "eventlog/short_no_action.bin": Demand(
        says=("malformed or empty, never a crash",),
        judge=replayed,
        neighbours={"cut": LOG.neighbours["cut"]},
    ),
}

# --- kms ------------------------------------------------------------------------------------------


def enveloped(row: Row, change: Callable[[bytes], bytes] = bytes) -> str:
    """What an EnvelopedData of KMS is made with, in the table's words."""
    content = cms.ContentInfo.load(change(row.read()), strict=True)
    assert content["content_type"].native == "enveloped_data"
    data = content["content"].native
    (recipient,) = content["content"]["recipient_infos"]
    key = recipient.chosen["key_encryption_algorithm"].native
    names = {"subject_key_identifier": "ski", "rsaes_oaep": "RSAES-OAEP"}
    hashed = key["parameters"]["hash_algorithm"]["algorithm"]
    mask = key["parameters"]["mask_gen_algorithm"]
    cipher = data["encrypted_content_info"]["content_encryption_algorithm"]["algorithm"]
    return (
        f"{data['version']}, {names[recipient.chosen['rid'].name]}, "
        f"{names[key['algorithm']]} {dashed(hashed)}/"
        f"{mask['algorithm'].upper()} {dashed(mask['parameters']['algorithm'])}, "
        f"{cipher.upper().replace('AES256_', 'AES-256-')}"
    )


def dashed(name: str) -> str:
    return re.sub(r"^sha", "SHA-", name)


def made_as_told(row: Row, found: Any) -> None:
    assert f"({found})" in row.expected


KMS = Demand(
    says=("parses with asn1crypto", "RSA private key not published"),
    judge=enveloped,
    facts=made_as_told,
    neighbours={
        "cut": (partial(enveloped, change=lambda data: data[:-1]), (ValueError, None, None)),
        "more": (partial(enveloped, change=lambda data: data + b"\0"), (ValueError, None, None)),
    },
)
WRAPPED = {"kms/ciphertext_for_recipient.ber": KMS, "kms/ciphertext_for_recipient_ctx.ber": KMS}
