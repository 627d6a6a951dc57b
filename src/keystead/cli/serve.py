"""Run the service until SIGTERM.

``--dev`` starts an emulated TPM (swtpm) with its own local CA beside it, all in one state folder:
for development and CI, never for anything that matters.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from keystead.cli.connection import default_state
from keystead.errors import Malformed, Reason


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``--config`` or ``--dev``."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="keystead.toml")
    parser.add_argument("--dev", action="store_true", help="an emulated TPM and a local CA")
    parser.add_argument(
        "--state",
        type=Path,
        default=default_state(),
        metavar="DIR",
        help="where --dev keeps everything (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the addresses as one JSON line")


def run(options: argparse.Namespace) -> int:
    """Serve; the addresses are printed once everything listens."""
    from keystead.app.process import serve
    from keystead.dev import dev_installation

    if options.dev:
        if options.config is not None:
            raise Malformed(Reason.PARAMETER_INVALID, "--dev has its keystead.toml in --state")
        with dev_installation(options.state) as installation:
            return serve(installation.config, base=installation.folder, as_json=options.json)
    if options.config is None:
        raise Malformed(Reason.PARAMETER_MISSING, "give --config FILE, or --dev")
    from keystead.config import load_config

    config = load_config(options.config)
    return serve(config, base=options.config.resolve().parent, as_json=options.json)
