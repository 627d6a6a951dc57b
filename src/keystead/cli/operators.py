"""A credential for a named operator: shown once, of which the configuration keeps a hash."""

from __future__ import annotations

import argparse

from keystead.app.wiring import new_operator
from keystead.cli.output import print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``new``."""
    actions = parser.add_subparsers(dest="action", required=True)
    new = actions.add_parser("new", help="make a credential")
    new.add_argument("name", help="whom the audit trail will name")
    new.add_argument("--role", choices=("operator", "administrator"), default="operator")
    new.add_argument("--json", action="store_true", help="answer as one JSON document")


def run(options: argparse.Namespace) -> int:
    """Print the credential, and the table for keystead.toml."""
    credential, digest = new_operator()
    entry = {"name": options.name, "role": options.role, "credential_sha256": digest}
    if options.json:
        print_json({"credential": credential, "entry": entry})
        return 0
    print(f"The credential of {options.name}, shown this once:\n\n    {credential}\n")
    print("For keystead.toml:\n\n    [[authorization.operators]]")
    for name, value in entry.items():
        print(f"    {name} = {_toml(value)}")
    return 0


def _toml(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
