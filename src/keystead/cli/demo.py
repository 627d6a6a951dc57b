"""The main job on this machine: a service, an identity provider, an API and a workload.

With --evidence tpm2 the workload's host has an emulated TPM, as the service has. With --evidence
oidc it is a job of a build platform that vouches for it, and no hardware has its key. Everything
that is started is stopped again, also after Ctrl-C.
"""

from __future__ import annotations

import argparse

from keystead.demo.kinds import DEFAULT_KIND, KINDS
from keystead.demo.run import run_demo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``--evidence``, ``--json``."""
    parser.add_argument(
        "--evidence",
        choices=KINDS,
        default=DEFAULT_KIND,
        help="what the workload attests with (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead")


def run(options: argparse.Namespace) -> int:
    """Run the demo."""
    return run_demo(KINDS[options.evidence], as_json=options.json)
