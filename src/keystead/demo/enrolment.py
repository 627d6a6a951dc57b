"""Before anything is attested: are the issuer's keys in a TPM?"""

from __future__ import annotations

from keystead.codec import json
from keystead.demo.evidence import Evidence
from keystead.demo.scene import Scene, text


def prove_issuer(scene: Scene, evidence: Evidence) -> str:
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
        evidence.check_apart(scene, eks)
        return eks.pop()
