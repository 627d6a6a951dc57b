"""The main job on this machine: two emulated TPMs, a service, an identity provider, an API.

Everything that is started is stopped again, also after Ctrl-C.
"""

from __future__ import annotations

import argparse

from keystead.demo.run import run_demo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``--json``."""
    parser.add_argument("--json", action="store_true", help="print one JSON document instead")


def run(options: argparse.Namespace) -> int:
    """Run the demo."""
    return run_demo(as_json=options.json)
