"""Runs in the peers' environment: one question a line, one answer a line, both JSON.

    {"load": NAME, "verifier": …, "items": [{…}, …], "bent": [{…}, …]}   → {} or {"fault": "…"}
    {"run": NAME}                                                    → {"per_second": …}

Values of items are hexadecimal. Nothing of Keystead is imported here.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

Item = Mapping[str, bytes]
Verify = Callable[[Item], object]
"""Returns where the item is good, and raises where it is not."""


def keylime() -> Verify:
    """Of ``ak`` (TPM2B_PUBLIC), ``nonce``, both in base64, ``quote`` as keylime's agents send it,
    and ``policy``, the allowed values of each PCR."""
    # It reads signed lists of files, which no quote here brings, and needs C libraries.
    sys.modules.setdefault("gpg", ModuleType("gpg"))
    tpm = import_module("keylime.tpm.tpm_main").Tpm()
    import_module("keylime.mba.mba").load_imports(skip_custom_policies=True)
    sha256 = import_module("keylime.common.algorithms").Hash.SHA256
    read_policy = cache(json.loads)

    def verify(item: Item) -> object:
        nonce, quote, ak = (item[name].decode() for name in ("nonce", "quote", "ak"))
        policy = read_policy(item["policy"])
        failure = tpm.check_quote(None, nonce, None, quote, ak, policy, hash_alg=sha256)
        if failure:
            raise ValueError(failure.get_event_ids())
        return failure

    return verify


def pyattest() -> Verify:
    """Of ``attestation``, ``client_data``, ``key_id``, ``app_id``, ``root`` (DER)."""
    attestation = import_module("pyattest.attestation").Attestation
    config = import_module("pyattest.configs.apple").AppleConfig
    loop = asyncio.new_event_loop()

    def verify(item: Item) -> object:
        wanted = config(
            key_id=item["key_id"],
            app_id=item["app_id"].decode(),
            production=True,
            root_ca=item["root"],
        )
        made = attestation(item["attestation"], item["client_data"], wanted)
        return loop.run_until_complete(made.verify())

    return verify


def omne_attest() -> Verify:
    """Of ``report``, ``vcek``, ``ask``, ``ark`` (DER), ``measurement``, ``report_data``."""
    module = import_module("omne_attest")

    def verify(item: Item) -> object:
        policy = module.Policy(measurement=item["measurement"], report_data=item["report_data"])
        pinned = hashlib.sha256(item["ark"]).digest()
        return module.verify(item["report"], item["vcek"], item["ask"], item["ark"], pinned, policy)

    return verify


def epsilon() -> Verify:
    """Of ``document``, ``root`` (PEM), ``pcr0``; it reads the root from a file each time."""
    check = import_module("epsilon_verifier").verify_attestation
    roots: dict[bytes, str] = {}

    def root_file(pem: bytes) -> str:
        if pem not in roots:
            with tempfile.NamedTemporaryFile(suffix=".pem", delete=False) as file:
                file.write(pem)
            roots[pem] = file.name
        return roots[pem]

    def verify(item: Item) -> object:
        result = check(
            base64.b64encode(item["document"]).decode(),
            expected_pcr0=item["pcr0"].hex(),
            aws_root_cert_path=root_file(item["root"]),
        )
        if not result.valid:
            raise ValueError(result.error)
        return result

    return verify


# Beside this file, which is no part of a package where it runs.
TOKENS: Mapping[str, Callable[[], Verify]] = import_module("jose_libraries").VERIFIERS
VERIFIERS: Mapping[str, Callable[[], Verify]] = {
    **TOKENS,
    "keylime": keylime,
    "pyattest": pyattest,
    "omne-attest": omne_attest,
    "epsilon-attestation-verifier": epsilon,
}

loaded: dict[str, tuple[Verify, list[Item]]] = {}


def load(question: Mapping[str, Any]) -> dict[str, object]:
    """Keep what is to be verified, once the verifier has told good from bent."""
    try:
        verify = VERIFIERS[question["verifier"]]()
        items = [*map(_item, question["items"])]
        for item in items:
            verify(item)
    except Exception as error:  # Whatever a peer raises.
        return {"fault": f"refuses good evidence: {type(error).__name__}: {error}"}
    if any(accepts(verify, _item(each)) for each in question["bent"]):
        return {"fault": "accepts bent evidence"}
    loaded[question["load"]] = verify, items
    return {}


def accepts(verify: Verify, item: Item) -> bool:
    """Whether ``item`` passes."""
    try:
        verify(item)
    except Exception:  # Whatever a peer raises.
        return False
    return True


def run(name: str) -> dict[str, object]:
    """All items of ``name``, one after the other, by this thread's CPU time."""
    verify, items = loaded[name]
    began = time.thread_time()
    for item in items:
        verify(item)
    return {"per_second": len(items) / (time.thread_time() - began)}


def main() -> None:
    """Answer until the questions end; what peers print goes where errors go."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        question = json.loads(line)
        logging.disable(logging.CRITICAL)
        answer = run(question["run"]) if "run" in question else load(question)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _item(texts: Mapping[str, str]) -> Item:
    return {name: bytes.fromhex(text) for name, text in texts.items()}


if __name__ == "__main__":
    main()
