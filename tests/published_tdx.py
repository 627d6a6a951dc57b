"""TDX quotes and their collateral, as the published vectors have them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keystead.appraisal.policy import AppraisalPolicy, parse_policy
from keystead.appraisal.tdx_policy import TdxPolicy
from keystead.appraisal.verifier import appraise_saved
from keystead.codec.td_quote import TdQuote, parse_td_quote
from keystead.evidence import tdx as evidence
from keystead.evidence.envelope import encode_envelope, parse_envelope
from keystead.model import EvidenceKind
from tests.manifest import VECTORS, manifest_rows

ROWS = {row.file: row for row in manifest_rows("tdx")}
GOOGLE, COCO = "tdx/gtg-quote-v4.bin", "tdx/coco-quote5.bin"
PHALA, OUTDATED = "tdx/phala-tdx_quote.bin", "tdx/phala-tdx_quote_outdated.bin"
LIVE, ENCLAVE = "tdx/ars-tdx_quote_live.bin", "tdx/phala-sgx_quote.bin"
QUOTES = (GOOGLE, COCO, PHALA, OUTDATED, LIVE)
# When the pieces of collateral that lie here apart from a quote were in force.
MARCH_2026, JUNE_2023 = 1_774_000_000, 1_687_240_000
# After Intel's last word on Phala's platform.
LATER = 1_753_100_000
NAMES = ("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mrconfigid", "mrowner", "mrownerconfig")


def policy(extra: str = "", **values: str) -> AppraisalPolicy:
    lines = "".join(f"{name} = {values.get(name, chr(34) + 'any' + chr(34))}\n" for name in NAMES)
    return parse_policy(
        f'id = "test"\nversion = 3\n[tdx]\nminimum_tcb_evaluation = 17\n{lines}{extra}',
        folder=Path(),
    )


def rules() -> TdxPolicy:
    found = policy().tdx
    assert found is not None
    return found


def raw(name: str) -> bytes:
    """The quote; one file has a line of text after it."""
    data = ROWS[name].read()
    return data[: data.rindex(b"-----END CERTIFICATE-----\n") + 26] if name == GOOGLE else data


def exact(name: str) -> bytes:
    """Without the zeros after it."""
    data = raw(name)
    at = len(parse_td_quote(data).signed)
    return data[: at + 4 + int.from_bytes(data[at : at + 4], "little")]


def quote_of(name: str) -> TdQuote:
    return parse_td_quote(raw(name))


def time_of(name: str) -> int:
    now = ROWS[name].time
    assert now is not None
    return now


def piece(name: str) -> bytes:
    return (VECTORS / "tdx" / name).read_bytes()


def own_collateral(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(piece(f"{Path(name).stem}_collateral.json"))
    return found


def signed(file: str, member: str) -> tuple[str, str]:
    """What Intel signed, byte for byte, and its signature, out of its service's answer."""
    text = piece(file).decode()
    said = text[text.index(":") + 1 : text.rindex(',"signature"')]
    answer = json.loads(text)
    assert json.loads(said) == answer[member]
    return said, answer["signature"]


def pieces(
    *,
    info: str = "ars-tcb_info_90c06f000000.json",
    identity: str = "ars-td_qe_identity.json",
    root_crl: str = "ars-root_ca_crl.der",
    pck_crl: str = "ars-pck_crl_platform.der",
) -> dict[str, Any]:
    """Collateral, put together from files."""
    signer = piece("ars-tcb_signing_chain.pem").decode()
    said, signature = signed(info, "tcbInfo")
    named, identity_signature = signed(identity, "enclaveIdentity")
    return {
        "pck_crl_issuer_chain": signer,
        "root_ca_crl": piece(root_crl).hex(),
        "pck_crl": piece(pck_crl).hex(),
        "tcb_info_issuer_chain": signer,
        "tcb_info": said,
        "tcb_info_signature": signature,
        "qe_identity_issuer_chain": piece("ars-qe_identity_signing_chain.pem").decode(),
        "qe_identity": named,
        "qe_identity_signature": identity_signature,
    }


def googles() -> dict[str, Any]:
    return pieces(
        info="gtg-tcbinfo.json",
        identity="gtg-qeidentity.json",
        root_crl="gtg-rootcrl.der",
        pck_crl="gtg-pckcrl",
    )


def saved(
    quote: bytes,
    collateral: Mapping[str, Any],
    *,
    now: int,
    by: AppraisalPolicy | None = None,
    log: bytes | None = None,
) -> Any:
    members = evidence.encode(quote=quote, collateral=collateral, event_log=log)
    envelope = encode_envelope(kind=EvidenceKind.TDX, evidence=members)
    return appraise_saved(parse_envelope(envelope), policy=by or policy(), now=now)
