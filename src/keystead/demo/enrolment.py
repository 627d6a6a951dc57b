"""Before anything is attested: are the issuer's keys in a TPM, and which host is enrolled?"""

from __future__ import annotations

from keystead.codec import json
from keystead.demo.scene import Scene, text
from keystead.demo.stage import AGENT_ID, HOST_ID

ADMIN_SOCKET = "admin-socket"
OPERATOR = "dev"
# Says that no credential is sent along: the administration socket alone may enrol.
_NO_CREDENTIAL = ("--credential-file", "/dev/null")


def prove_issuer(scene: Scene) -> str:
    """The EK of the TPM that all of the issuer's keys were proved to be in."""
    with scene.story.step("issuer", "asks the service to prove that its keys are in a TPM"):
        stage, check = scene.stage, scene.story.check
        answer = scene.keystead("verify-issuer", stage.issuer, "--roots", str(stage.issuer_roots))
        rows = json.get_object_list(answer, "keys")
        purposes = sorted({text(row, "purpose") for row in rows})
        check(answer["proved"] is True, f"{len(rows)} keys, for {', '.join(purposes)}: all proved")
        check(
            all(row["protection"] == "non-exportable" for row in rows),
            "our secret came back out of the TPM, and it certified each key for our nonce",
        )
        check(all(row["hardware"] is False for row in rows), "hardware: false, as for any emulator")
        eks = {text(row, "ek") for row in rows}
        check(len(eks) == 1, f"service's EK  {min(eks)}")
        check(stage.host.ek not in eks, f"host's EK     {stage.host.ek}: another TPM")
        return eks.pop()


def enrol(scene: Scene) -> None:
    """Vouch for the host, and register the agent below it."""
    with scene.story.step("enrol", "vouches for the host, registers the agent below it"):
        host, check = scene.stage.host, scene.story.check
        files = ("--ek-public", str(host.ek_public), "--ek-certificate", str(host.ek_certificate))
        enrolled = scene.keystead("hosts", "enrol", HOST_ID, *files, *_NO_CREDENTIAL)
        check(enrolled["ek"] == host.ek, f"the EK of {text(enrolled, 'spiffe_id')} is pinned")
        check(enrolled["enrolled_by"] == ADMIN_SOCKET, f"enrolled by {ADMIN_SOCKET!r}")
        entry = scene.keystead("entries", "create", AGENT_ID, "--parent", HOST_ID)
        check(entry["ek"] == host.ek, f"{text(entry, 'spiffe_id')} only with that EK")
        check(
            True, f"created by operator {text(entry, 'created_by')!r}, whose credential was shown"
        )
