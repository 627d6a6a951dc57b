"""Envelopes of at most a megabyte that somebody made to cost a verifier as much as they can.

    python -m tests.costly_evidence      # {name: {"cpu_s": …, "grown_bytes": …, "outcome": …}, …}

Each is appraised in a process of its own that was forked after everything was imported and made.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import DNSName, NameConstraints, SubjectAlternativeName

from keystead.appraisal.event_rules import EventLogRules
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.verifier import appraise_saved
from keystead.codec import base64url, cbor
from keystead.codec.eventlog import parse as parse_log
from keystead.codec.eventlog import replay
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import PcrSelection
from keystead.errors import KeysteadError
from keystead.evidence.envelope import parse_envelope
from keystead.ports import Endorsement
from tests import app_attest_builder, device_chains, event_log_builder, evidence_builder
from tests import intel_builder as intel
from tests.app_attest_builder import CLIENT_DATA, Device
from tests.azure_builder import Machine, hcl_report
from tests.evidence_builder import Host
from tests.nitro_builder import Enclave
from tests.snp_builder import Guest, endorsement, revocation_list, snp_rules
from tests.tdx_builder import Td, tdx_rules
from tests.workload_tokens import (
    GITHUB,
    INSTANCE,
    issuer_keys,
    maa_claims,
    maa_policy,
    maa_token,
    oidc_policy,
    platform_claims,
    sign,
)
from tests.workload_tokens import NOW as TOKENS_NOW

MEGABYTE = 1_000_000
CPU_LIMIT_S = 20
"""Where a case is ended: a bound that is broken shall be reported, not waited for."""

SHA256 = HashAlgorithm.SHA256
Case = Callable[[], tuple[bytes, AppraisalPolicy, int]]
KINDS = ("tpm2", "aws-nitro", "sev-snp", "tdx", "azure-cvm", "maa", "app-attest", "oidc")
FIRST_MEMBER = {
    "tpm2": "ek_certificate_chain",
    "aws-nitro": "document",
    "sev-snp": "certificates",
    "tdx": "quote",
    "azure-cvm": "certificates",
    "maa": "token",
    "app-attest": "attestation_object",
    "oidc": "token",
}

_LOG_RULES = EventLogRules(required=True, pcrs=frozenset({0, 7}))


@cache
def policy() -> AppraisalPolicy:
    """One that knows every kind."""
    return AppraisalPolicy(
        id="test",
        version=1,
        tpm2=evidence_builder.rules(),
        aws_nitro=Enclave().policy().aws_nitro,
        app_attest=Device().policy().app_attest,
        sev_snp=Guest().policy().sev_snp,
        tdx=tdx_rules(),
        azure_cvm=Machine().policy().azure_cvm,
        oidc=oidc_policy().oidc,
        maa=maa_policy().maa,
    )


# --- JSON, for every kind -------------------------------------------------------------------------


def raw(kind: str, evidence: bytes) -> bytes:
    return b'{"keystead_evidence":1,"kind":"%s","evidence":%s}' % (kind.encode(), evidence)


def enveloped(kind: str, **members: Any) -> bytes:
    return raw(kind, json.dumps(members, separators=(",", ":")).encode())


def json_shapes(kind: str) -> Iterator[tuple[str, bytes]]:
    """Shapes that no kind has."""
    name = FIRST_MEMBER[kind].encode()
    fill = MEGABYTE - 200
    yield "depth", raw(kind, b'{"%s":' % name + b"[" * fill)
    yield "objects in objects", raw(kind, b'{"a":' * (fill // 5))
    yield "brackets in a string", raw(kind, b'{"%s":"%s"}' % (name, b"[{" * (fill // 2)))
    yield "a wide array", raw(kind, b'{"%s":[%s0]}' % (name, b"0," * (fill // 2)))
    yield "an array of objects", raw(kind, b'{"%s":[%s{}]}' % (name, b"{}," * (fill // 3)))
    yield "short texts", raw(kind, b'{"%s":[%s"AA"]}' % (name, b'"AA",' * (fill // 5)))
    members = b",".join(b'"%06d":0' % at for at in range(fill // 11))
    yield "many members", raw(kind, b"{%s}" % members)
    yield "digits", raw(kind, b'{"%s":%s}' % (name, b"9" * fill))
    yield "escapes", raw(kind, b'{"%s":"%s"}' % (name, b"\\u0041" * (fill // 6)))
    yield "surrogates", raw(kind, b'{"%s":"%s"}' % (name, b"\\ud83d\\ude00" * (fill // 12)))
    yield "quotes", raw(kind, b'{"%s":"%s"}' % (name, b'\\"' * (fill // 2)))
    yield "base64url", raw(kind, b'{"%s":"%s"}' % (name, b"A" * (fill // 4 * 4)))
    yield "no end", raw(kind, b'{"%s":"%s' % (name, b"\\\\" * (fill // 2)))


# --- certificates ---------------------------------------------------------------------------------


def giant_rsa(bits: int = 16_384) -> rsa.RSAPublicKey:
    """A key that nobody has: an odd modulus, and an exponent as long as may be."""
    return rsa.RSAPublicNumbers(2**64 - 1, (1 << bits) - 1).public_key()


@cache
def twins() -> list[bytes]:
    """CAs of one name and one key: each is the issuer of each, itself included."""
    key = device_chains.curve_key("twin", ec.SECP521R1)
    return [
        device_chains.certificate(
            "twin", key=key, issuer="twin", issuer_key=key, extensions=device_chains.CA, serial=at
        )
        for at in range(1, 5)
    ]


def twin_leaf(key: ec.EllipticCurvePrivateKey, *extensions: tuple[Any, bool]) -> bytes:
    return device_chains.certificate(
        "leaf",
        key=key,
        issuer="twin",
        issuer_key=device_chains.curve_key("twin", ec.SECP521R1),
        extensions=(*device_chains.LEAF, *extensions),
    )


def names(count: int) -> list[x509.GeneralName]:
    return [DNSName(f"{at}.a") for at in range(count)]


def extensions(count: int, size: int) -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.3.{at}"), bytes(size)), False)
        for at in range(count)
    ]


def tpm_ca(name: str, *, issuer: str, key: Any = None, more: Any = ()) -> bytes:
    """A CA for an EK's path; ``key`` is a public one that its maker need not have."""
    made = evidence_builder.private_key("p256", name)
    return (
        x509.CertificateBuilder(
            subject_name=evidence_builder.name(name),
            issuer_name=evidence_builder.name(issuer),
            public_key=key or made.public_key(),
            serial_number=7,
            not_valid_before=evidence_builder.moment(evidence_builder.NOW - 1_000),
            not_valid_after=evidence_builder.moment(evidence_builder.NOW + 1_000),
            extensions=[
                x509.Extension(value.oid, critical, value)
                for value, critical in (*evidence_builder.ca_extensions(), *more)
            ],
        )
        .sign(evidence_builder.private_key("p256", issuer), hashes.SHA256())
        .public_bytes(evidence_builder.Encoding.DER)
    )


# --- tpm2 -----------------------------------------------------------------------------------------


def tpm2(rules: Mapping[str, Any] | None = None, **changes: Any) -> tuple[bytes, AppraisalPolicy]:
    """A host's envelope, and a policy with other rules where some are given."""
    chosen = evidence_builder.rules(**(rules or {}))
    return evidence_builder.document(Host.make(), **changes), replace(policy(), tpm2=chosen)


def believed_log(data: bytes) -> tuple[bytes, AppraisalPolicy]:
    """A log that is replayed to its end, since the quoted values are those that it explains."""
    values = {SHA256: {0: bytes(32), 7: bytes(32)} | replay(parse_log(data), SHA256)}
    quote = Host.make().quote(body=evidence_builder.quote_body(values=values))
    rules = {"event_log": _LOG_RULES, "pcr_values": {SHA256: {0: None, 7: None}}}
    return tpm2(rules, event_log=data, quote=quote, pcrs=values)


def with_chain(*chain: bytes, certificate: bytes | None = None) -> tuple[bytes, AppraisalPolicy]:
    host = Host.make()
    return tpm2(
        endorsement=Endorsement(
            public=host.ek.sized, certificate=certificate or host.ek_certificate, chain=chain
        )
    )


def ek_by(issuer: str, more: Any = (), *, kind: str = "p256") -> bytes:
    """The host's EK certificate, by a CA with a key of that ``kind``."""
    host = Host.make()
    return evidence_builder.ek_certificate(
        "p256",
        host.ek_key,
        issuer=issuer,
        issuer_key=evidence_builder.private_key(kind, issuer),
        extensions=[*evidence_builder.ek_extensions("p256")[:3], *more],
    )


def tpm2_cases() -> Iterator[tuple[str, bytes, AppraisalPolicy]]:
    small = [(7, 5, b"")] * 10_000
    logs = {
        "events of one byte": event_log_builder.encode([(0, 5, b"\0")] * 12_000),
        "events of no byte": event_log_builder.encode(small),
        "events in four banks": event_log_builder.encode(
            [(7, 5, b"\0")] * 3_000,
            banks=(HashAlgorithm.SHA1, SHA256, HashAlgorithm.SHA384, HashAlgorithm.SHA512),
        ),
        "large events": event_log_builder.encode([(7, 0x80000001, bytes(120_000))] * 6),
        "SecureBoot in every event": event_log_builder.encode(
            [(7, event_log_builder.DRIVER_CONFIG, event_log_builder.ON)] * 5_500
        ),
    }
    for name, data in logs.items():
        yield name, *believed_log(data)
    yield "a log of zeros", *tpm2(event_log=bytes(700_000))
    yield "a log of ones", *tpm2(event_log=b"\xff" * 700_000)
    strong = set(HashAlgorithm) - {HashAlgorithm.SHA1}
    every = {bank: {at: bytes(bank.digest_size) for at in range(24)} for bank in strong}
    everything = PcrSelection.of({bank: range(24) for bank in every})
    quote = Host.make().quote(body=evidence_builder.quote_body(everything, every))
    rules = {"required_pcrs": everything, "pcr_values": {}}
    yield "every bank", *tpm2(rules, quote=quote, pcrs=every)
    ring = [tpm_ca("one", issuer="two"), tpm_ca("two", issuer="one")]
    yield "a ring of CAs", *with_chain(*ring * 3, certificate=ek_by("one"))
    same = [tpm_ca("same", issuer="same", more=extensions(1, at)) for at in range(1, 7)]
    yield "CAs that all are each other's", *with_chain(*same, certificate=ek_by("same"))
    line = [tpm_ca(str(at), issuer=str(at + 1)) for at in range(5)] + [tpm_ca("5", issuer="root")]
    yield "a long chain", *with_chain(*line, certificate=ek_by("0"))
    wide = tpm_ca("wide", issuer="root", more=extensions(55, 100))
    yield "many extensions", *with_chain(*[wide] * 6, certificate=ek_by("wide"))
    narrow = [(NameConstraints(permitted_subtrees=names(500), excluded_subtrees=None), True)]
    bound = tpm_ca("bound", issuer="root", more=narrow)
    crowded = ek_by("bound", [(SubjectAlternativeName(names(500)), False)])
    yield "many names and constraints", *with_chain(bound, certificate=crowded)
    giant = tpm_ca("giant", issuer="root", key=giant_rsa())
    yield "a giant key", *with_chain(giant, certificate=ek_by("giant", kind="rsa2048"))


# --- documents, reports, tokens -------------------------------------------------------------------


def nitro(document: bytes) -> bytes:
    return enveloped("aws-nitro", document=base64url.encode(document))


def nitro_cases() -> Iterator[tuple[str, bytes]]:
    enclave = Enclave()
    yield "a megabyte of maps", nitro(b"\xa1\x00" * 370_000)
    yield "open arrays", nitro(b"\x9f" * 16_000)
    yield "many small items", nitro(b"\x98\xff" + b"\x80" * 16_000)
    many = {at: bytes(48) for at in range(32)}
    yield "every PCR", nitro(enclave.document(pcrs=many))
    made = enclave.document(
        certificate=twin_leaf(enclave.key), cabundle=[enclave.chain.root, *twins()]
    )
    yield "CAs that all are each other's", nitro(made)
    crowd = (SubjectAlternativeName(names(50)), False)
    made = enclave.document(
        certificate=twin_leaf(enclave.key, crowd), cabundle=[enclave.chain.root, *twins()]
    )
    yield "and many names", nitro(made)


def app(attestation: bytes) -> bytes:
    return enveloped(
        "app-attest",
        attestation_object=base64url.encode(attestation),
        key_id=base64url.encode(Device().key_id),
        client_data=base64url.encode(CLIENT_DATA),
    )


def app_cases() -> Iterator[tuple[str, bytes]]:
    device = Device()
    auth_data = device.auth_data()
    nonce = app_attest_builder.nonce_extension(
        app_attest_builder.attested_nonce(auth_data, CLIENT_DATA)
    )
    leaf = twin_leaf(device.key, nonce)
    for name, x5c in {
        "CAs that all are each other's": [leaf, *twins()[:3]],
        "one CA many times": [leaf, *twins()[:1] * 3],
        "a hundred certificates": [leaf, *twins()[:1] * 20],
    }.items():
        statement = {"x5c": x5c, "receipt": bytes(1_000)}
        made = {"fmt": "apple-appattest", "attStmt": statement, "authData": auth_data}
        yield name, app(cbor.encode(made))
    yield "a megabyte of maps", app(b"\xa1\x00" * 370_000)
    yield "a deep object", app(b"\x81" * 16_000)


def snp(report: bytes, *certificates: bytes) -> bytes:
    listed = [base64url.encode(each) for each in certificates]
    return enveloped("sev-snp", report=base64url.encode(report), certificates=listed)


def snp_cases() -> Iterator[tuple[str, bytes, AppraisalPolicy]]:
    guest = Guest()
    report, (leaf, authority) = guest.report(), guest.certificates()
    crowded = endorsement(more=[*extensions(45, 60)])
    yield "many extensions", snp(report, crowded, authority), policy()
    yield "one CA twice", snp(report, leaf, authority, authority), policy()
    long_serial = endorsement(serial=2**158 + 1, more=extensions(10, 600))
    yield "long extensions", snp(report, long_serial, authority), policy()
    crl = revocation_list(serials=range(1_000, 26_000))
    revoked = replace(policy(), sev_snp=snp_rules(revocations=[crl] * 2))
    yield "the operator's long revocation lists", snp(report, leaf, authority), revoked


def tdx(quote: bytes | None = None, **members: Any) -> bytes:
    return enveloped("tdx", **Td().members(quote=quote, collateral=intel.collateral(**members)))


def tdx_cases() -> Iterator[tuple[str, bytes]]:
    serials = range(1 << 60, (1 << 60) + 4_700)
    yield (
        "long revocation lists",
        tdx(
            root_ca_crl=intel.revocation_list(intel.ROOT, serials=serials).hex(),
            pck_crl=intel.revocation_list(intel.PCK_CA, serials=serials).hex(),
        ),
    )
    levels = [intel.level() for _ in range(110)]
    yield "many TCB levels", tdx(info=intel.tcb_info(tcbLevels=levels))
    many = {"tcbLevels": [intel.isv_level(1) for _ in range(256)]}
    modules = [intel.module(f"TDX_{at:02x}", **many) for at in range(4)]
    yield "many modules' levels", tdx(info=intel.tcb_info(tdxModuleIdentities=modules))
    yield "statements that nobody signed", tdx(tcb_info="9" * 131_000, qe_identity="9" * 131_000)
    small = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
    chains = dict.fromkeys(("tcb_info_issuer_chain", "qe_identity_issuer_chain"), small * 200)
    yield "chains of many", tdx(**chains)
    yield "a long chain in the quote", tdx(Td().quote(chain=intel.pem(intel.root()) * 14))
    yield "a quote of zeros", tdx(bytes(600_000))


def azure(**changes: Any) -> bytes:
    machine = Machine()
    quote = machine.quote()
    members: dict[str, Any] = {
        "hcl_report": base64url.encode(machine.hcl()),
        "certificates": [base64url.encode(each) for each in machine.guest.certificates()],
        "quote": {
            "attest": base64url.encode(quote.attest),
            "signature": base64url.encode(quote.signature),
        },
        "pcrs": {"sha256": {str(at): f"{0xC0 + at:02x}" * 32 for at in (0, 2, 4, 7)}},
    }
    return enveloped("azure-cvm", **(members | changes))


def azure_cases() -> Iterator[tuple[str, bytes]]:
    report = Guest().report()
    for name, runtime in {
        "deep runtime data": b'{"keys":' + b"[" * 6_000,
        "runtime data of many members": b"{%s}" % b",".join(b'"%d":0' % n for n in range(800)),
        "runtime data of digits": b'{"keys":' + b"9" * 6_000 + b"}",
    }.items():
        data = hcl_report(report, runtime, tail=b"")
        yield name, azure(hcl_report=base64url.encode(data))
    yield "a megabyte of zeros", azure(hcl_report=base64url.encode(bytes(740_000)))
    yield "many PCRs", azure(pcrs={"sha256": {str(at): "00" * 32 for at in range(12_000)}})


def token_cases() -> Iterator[tuple[str, str, str]]:
    """Kind, name and token."""
    for kind, claims, made in (
        ("oidc", platform_claims(), lambda claims, **header: sign(claims, **header)),
        ("maa", maa_claims(), maa_token),
    ):
        wide = claims | {f"claim{at}": "x" * 10 for at in range(800)}
        deep: Any = "x"
        for _ in range(14):
            deep = {"a": deep}
        yield kind, "many claims", made(wide)
        yield kind, "deep claims", made(claims | {"deep": deep})
        yield kind, "a long header", made(claims, x5c=["A" * 2_000])
        good = made(claims)
        head, _, rest = good.partition(".")
        yield kind, "a giant header", head * 5_000 + "." + rest
        yield kind, "a giant payload", f"{head}.{'W1tb' * 200_000}.{good.rpartition('.')[2]}"
        yield kind, "a giant signature", good + "A" * 900_000
        yield kind, "nothing but dots", "." * 900_000


def all_cases() -> Iterator[tuple[str, bytes, AppraisalPolicy, int]]:
    """Name, envelope, policy and time of every case."""
    for kind in KINDS:
        for name, data in json_shapes(kind):
            yield f"{kind}: {name}", data, policy(), device_chains.NOW
    for name, data, chosen in tpm2_cases():
        yield f"tpm2: {name}", data, chosen, evidence_builder.NOW
    for name, data, chosen in snp_cases():
        yield f"sev-snp: {name}", data, chosen, device_chains.NOW
    for kind, made in (
        ("aws-nitro", nitro_cases()),
        ("app-attest", app_cases()),
        ("tdx", tdx_cases()),
        ("azure-cvm", azure_cases()),
    ):
        for name, data in made:
            yield f"{kind}: {name}", data, policy(), device_chains.NOW
    for kind, name, token in token_cases():
        yield f"{kind}: {name}", enveloped(kind, token=token), policy(), TOKENS_NOW
    key = {"kty": "RSA", "e": "_" * 700, "n": "_" * 700_000}
    body = {"keystead_evidence": 1, "kind": "oidc", "key": key, "evidence": {}}
    yield "the key to bind: giant", json.dumps(body).encode(), policy(), TOKENS_NOW
    key = {"kty": "RSA", "e": "_____w", "n": "_" * 1_365 + "w"}
    body = {"keystead_evidence": 1, "kind": "oidc", "key": key, "evidence": {}}
    yield "the key to bind: of 8192 bits", json.dumps(body).encode(), policy(), TOKENS_NOW


# --- measuring ------------------------------------------------------------------------------------


def measured(data: bytes, chosen: AppraisalPolicy, now: int) -> dict[str, object]:
    """What the appraisal of ``data`` takes, in a process that is forked for it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
        os.write(writer, json.dumps(appraised(data, chosen, now)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        answer = answers.read()
    os.waitpid(child, 0)
    if not answer:
        return {"cpu_s": CPU_LIMIT_S, "grown_bytes": 0, "outcome": "ended by its limit"}
    return dict(json.loads(answer))


def appraised(data: bytes, chosen: AppraisalPolicy, now: int) -> dict[str, object]:
    keys = {GITHUB: issuer_keys(), INSTANCE: issuer_keys()}
    Path("/proc/self/clear_refs").write_text("5")  # The peak counts from here.
    memory, cpu_s = resident("VmRSS"), used_s()
    try:
        appraise_saved(parse_envelope(data), policy=chosen, now=now, keys=keys)
        outcome = "accepted"
    except KeysteadError as error:
        outcome = f"{error.reason}: {error.detail}"
    return {
        "cpu_s": used_s() - cpu_s,
        "grown_bytes": resident("VmHWM") - memory,
        "outcome": outcome[:120],
        "size_bytes": len(data),
    }


def used_s() -> float:
    """User and system time of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1_024
    raise LookupError(name)


def main() -> int:
    """Measure all of them."""
    results = {name: measured(*case) for name, *case in all_cases()}
    print(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
