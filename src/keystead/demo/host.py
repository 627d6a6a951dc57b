"""The workload's host: its own TPM, under a CA of its own, and an agent that uses it.

    python -m keystead.demo.host FOLDER SERVER ISSUER

It says who it is in one JSON line and then does what ``keystead.demo.agent`` lists. The key never
leaves the TPM.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from keystead.agent import TpmHost, Workload
from keystead.agent.collector import endorsement as endorsement_of
from keystead.appraisal.endorsement import enrolment_key
from keystead.codec.json import JSON
from keystead.demo.agent import Agent, TokenAnswers, answer_lines, say, token_client
from keystead.hardware.tpm2 import Tpm2Device
from keystead.testing.swtpm import Swtpm, SwtpmCa, make_template


def describe(device: Tpm2Device, folder: Path, ca: SwtpmCa) -> dict[str, JSON]:
    """What an administrator needs to enrol this host, as files."""
    endorsement = endorsement_of(device)
    certificate = endorsement.certificate or b""
    files = {
        "ek_public": (folder / "ek.pub", endorsement.public),
        "ek_certificate": (folder / "ek.crt", certificate),
        "ca": (folder / "ek-ca.pem", ca.root_certificate_pem + ca.issuer_certificate_pem),
    }
    for path, data in files.values():
        path.write_bytes(data)
    key = enrolment_key(ek_public=endorsement.public, ek_certificate=certificate)
    return {"ek": key.id, **{name: str(path) for name, (path, _) in files.items()}}


def main() -> None:
    """Make the TPM, then answer until standard input ends or SIGTERM comes."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    folder, server, issuer = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    ca = SwtpmCa(folder / "ca")
    answers = TokenAnswers()
    with (
        Swtpm(make_template(folder / "tpm", ca=ca)) as tpm,
        token_client(answers) as http,
        Tpm2Device(tpm.tcti) as device,
        Workload(
            TpmHost(device, folder=folder / "keys"), server=server, issuer=issuer, http=http
        ) as workload,
    ):
        say(describe(device, folder, ca))
        answer_lines(Agent(workload, answers))


if __name__ == "__main__":
    main()
