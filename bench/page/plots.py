"""Which plots the page has, and from which figures: whatever a result has is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench import words
from bench.figures import Figure, is_peer, read
from bench.page import svg
from bench.page.markup import Markup
from bench.results import Document
from bench.targets import PEER_NAMES

CASES: Mapping[str, str] = {
    "es256_one_key": "ES256, one key",
    "es256_distinct_keys": "ES256, a key an item",
    "es256_new_keys": "ES256, keys never seen before",
    "es256_forgeries": "ES256, forgeries",
    "es384_one_key": "ES384, one key",
    "es384_distinct_keys": "ES384, a key an item",
    "eddsa_one_key": "EdDSA, one key",
    "eddsa_distinct_keys": "EdDSA, a key an item",
    "rs256_one_key": "RS256, one key",
}
NAMES: Mapping[str, str] = {
    **PEER_NAMES,
    "keystead": "Keystead",
    "keystead_all_seen": "Keystead, all seen",
    "keystead_none_seen": "Keystead, all new",
    "keystead_portable": "Keystead, no IFMA",
    "keystead_batches_of_32": "Keystead, by 32",
    "keystead_batches_of_1": "Keystead, singly",
    "keystead_apart_from_tpm": "Keystead, no TPM",
    "keystead_and_swtpm": "Keystead + swtpm",
    "epsilon-attestation-verifier": "epsilon verifier",
    "oidc_provider": "oidc-provider",
    "oidc_provider_by_secret": "oidc, by secret",
    "raw_socket": "bare swtpm",
    "device": "through the queue",
    "keyring": "JWS written, too",
    "dcap-qvl": "dcap-qvl",
}
FLOORS = frozenset({"openssl", "raw_socket", "one_signature", "azure_signatures"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A drawing, and the same as rows of a table."""

    title: str
    caption: str
    drawing: Markup
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def throughput(document: Document) -> Iterator[Plot]:
    """By algorithm and path: whole tokens, requests, signatures alone."""
    for algorithm, case in _cases(document, "verify_tokens"):
        title = f"Access tokens, {algorithm}, claims checked"
        yield from _rates(title, _by_path(document, algorithm), case.get("per_second"))
    requests = document.results.get("verify_requests", {})
    title = "Token and DPoP proof, ES256"
    yield from _rates(title, _by_path(document, "ES256"), requests.get("per_second"))
    for name, case in _cases(document, "verify_batch"):
        title = f"Signatures alone: {CASES.get(name, name)}"
        algorithm = {"eddsa": "EdDSA"}.get(name.split("_")[0], name.split("_")[0].upper())
        yield from _rates(title, _by_path(document, algorithm), case.get("per_second"))


def batches(document: Document) -> Iterator[Plot]:
    """Batch size against rate."""
    yield from _curves(
        document, "batches", "per_second", "Batch size against rate", "signatures a call"
    )


def threads(document: Document) -> Iterator[Plot]:
    """Threads against rate."""
    yield from _curves(document, "threads", "wall_per_second", "Threads against rate", "threads")


def stages(document: Document) -> Iterator[Plot]:
    """Where a token's time goes."""
    for name, case in _cases(document, "token_stages"):
        found = {stage: read(value) for stage, value in case.get("stages_us", {}).items()}
        known = {stage: value for stage, value in found.items() if value is not None}
        whole = read(case.get("whole_us"))
        if not known or whole is None:
            continue
        rows = [
            svg.Bar(
                label=stage.replace("_", " "),
                value=max(value.median, 0),
                text=f"{words.figure(value)}, {value.median / whole.median * 100:.0f} %",
            )
            for stage, value in known.items()
        ]
        title = f"Where a token's time goes: {CASES.get(name, name)}"
        yield Plot(
            title=title,
            caption=f"µs of CPU time a token; the whole call takes {words.figure(whole)}.",
            drawing=svg.bars(title, _said(rows), rows, continued=True),
            columns=("stage", "µs", "part of the whole"),
            rows=tuple(
                (
                    stage.replace("_", " "),
                    words.number(value.median),
                    f"{value.median / whole.median * 100:.0f} %",
                )
                for stage, value in known.items()
            ),
        )


def signing(document: Document) -> Iterator[Plot]:
    """Signatures by the TPM, beside what swtpm itself can do."""
    result = document.results.get("sign_rate", {})
    yield from _rates(
        "Signatures by the TPM",
        "Eight callers through the service's queue, beside one bare socket of the same swtpm.",
        result.get("wall_per_second"),
    )


def endpoint(document: Document) -> Iterator[Plot]:
    """Tokens asked for over HTTP, beside another server."""
    result = document.results.get("token_endpoint", {})
    compared, peer = result.get("compared", {}), result.get("peer", "")
    for name, case in _cases(document, "token_endpoint"):
        said = [compared.get(each, "") for each in (name, "keystead_alone", "oidc_provider_alone")]
        caption = " ".join(["Requests a second of the server's CPU time.", *said, f"({peer})"])
        yield from _rates(f"Token endpoint: {_named(name)}", caption, case.get("per_second"))


def appraisals(document: Document) -> Iterator[Plot]:
    """Evidence of each kind, beside its peers."""
    for bench, result in document.results.items():
        if bench.startswith("appraise_"):
            title = f"Appraisals: {_named(bench.removeprefix('appraise_'))}"
            yield from _rates(title, str(result.get("question", "")), result.get("per_second"))


def _rates(title: str, caption: str, rates: Any) -> Iterator[Plot]:
    if not isinstance(rates, Mapping):
        return
    found = {name: read(value) for name, value in rates.items()}
    known = {name: value for name, value in found.items() if value is not None}
    if not known:
        return
    floor = next((value for name, value in known.items() if name == "openssl"), None)
    rows = [
        svg.Bar(
            label=_named(name),
            value=value.median,
            text=_rate_text(value, floor if name != "openssl" else None),
            kind=_kind(name),
            low=value.low,
            high=value.high,
        )
        for name, value in sorted(known.items(), key=lambda pair: -pair[1].median)
    ]
    columns: tuple[str, ...] = ("who", "a second", "spread", "to OpenSSL")
    table: tuple[tuple[str, ...], ...] = tuple(
        (
            _named(name),
            words.number(value.median),
            words.spread(value),
            f"{words.number(value.median / floor.median)}×" if floor else "",
        )
        for name, value in sorted(known.items(), key=lambda pair: -pair[1].median)
    )
    if floor is None:
        columns, table = columns[:3], tuple(row[:3] for row in table)
    yield Plot(
        title=title,
        caption=caption,
        drawing=svg.bars(title, _said(rows), rows),
        columns=columns,
        rows=table,
    )


def _curves(document: Document, member: str, rates: str, title: str, x_name: str) -> Iterator[Plot]:
    cases = document.results.get("batch_size", {}).get(member, {})
    series = []
    for name, case in cases.items():
        points = [(float(x), read(value)) for x, value in case.get(rates, {}).items()]
        known = [(x, value.median) for x, value in points if value is not None]
        if known:
            series.append(svg.Line(label=CASES.get(name, name), points=known))
    if not series:
        return
    said = "; ".join(
        f"{line.label}: " + ", ".join(f"{words.number(y)} at {x:g}" for x, y in line.points)
        for line in series
    )
    yield Plot(
        title=title,
        caption="Verifications a second, of one thread's CPU time."
        if member == "batches"
        else "Verifications a second, by the clock on the wall.",
        drawing=svg.lines(title, said, series, x_name=x_name, y_name="a second"),
        columns=(x_name, *(line.label for line in series)),
        rows=_crossed(series),
    )


def _crossed(series: list[svg.Line]) -> tuple[tuple[str, ...], ...]:
    tables = [dict(line.points) for line in series]
    xs = sorted({x for table in tables for x in table})
    return tuple(
        (f"{x:g}", *(words.number(table[x]) if x in table else "" for table in tables)) for x in xs
    )


def _cases(document: Document, bench: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from document.results.get(bench, {}).get("cases", {}).items()


def _by_path(document: Document, algorithm: str) -> str:
    path = document.paths.get(algorithm)
    said = f"{algorithm} takes the path “{path['path']}” here. " if path else ""
    return f"{said}A second of one core; × is to OpenSSL's raw verification in the same run."


def _rate_text(value: Figure, floor: Figure | None) -> str:
    beside = f" · {words.number(value.median / floor.median)}×" if floor else ""
    return words.number(value.median) + beside


def _named(name: str) -> str:
    return NAMES.get(name, name.replace("_", " "))


def _kind(name: str) -> str:
    if name in FLOORS:
        return "floor"
    return "peer" if is_peer(name) else "ours"


def _said(rows: list[svg.Bar]) -> str:
    return "; ".join(f"{row.label} {row.text}" for row in rows)
