"""The ``keystead`` command.

Every command that answers can answer ``--json``. Exit status: 0 yes, 1 a clean no with its reason,
2 malformed input or wrong use, 3 the answer could not be written, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from keystead.cli.output import (
    EXIT_INTERRUPTED,
    EXIT_UNFINISHED,
    EXIT_WRONG_USE,
    printable,
    report_error,
)
from keystead.errors import KeysteadError, Malformed, Reason

# Name → (module, one line for --help). A command's module is imported only when it runs, so that
# `keystead verify-issuer` needs no gRPC and the help needs nothing at all.
COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("serve", "run the service: --dev with an emulated TPM, or --config keystead.toml"),
    "demo": ("demo", "the main job from end to end, on emulated TPMs"),
    "attest": ("attest", "prove where this workload's key lives, and have it bound"),
    "verify": ("verify", "verify a file of access tokens: a verdict a line; --explain the engine"),
    "verify-issuer": ("verify_issuer", "ask an issuer to prove that its keys are in a TPM"),
    "appraise": ("appraise", "look at saved evidence: every check and its verdict"),
    "envelope": ("envelope", "build an envelope of evidence from raw files"),
    "hosts": ("hosts", "enrolled hosts: list, enrol, remove"),
    "entries": ("entries", "registration entries: list, create, remove"),
    "keys": ("keys", "issuer keys: list, show, create, rotate"),
    "grants": ("grants", "grants of users to agents: list, revoke"),
    "audit": ("audit", "the audit trail: list, tail, checkpoint, verify"),
    "operators": ("operators", "make a credential for a named operator"),
}

# Long as our ids are, with a character that no option has.
_HYPHEN_ID = re.compile(r"-(?=[a-z-]*[A-Z0-9_])(?:[\w-]{15}|[\w-]{21}|[\w-]{42})", re.ASCII)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        _print_help(sys.stdout)
        return 0 if arguments else EXIT_WRONG_USE
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        print(f"keystead: no command {name!r}", file=sys.stderr)
        _print_help(sys.stderr)
        return EXIT_WRONG_USE
    module = importlib.import_module(f"keystead.cli.{COMMANDS[name][0]}")
    parser = argparse.ArgumentParser(prog=f"keystead {name}", description=module.__doc__)
    module.add_arguments(parser)
    options = parser.parse_args(_ids_last(rest))
    try:
        status: int = module.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeysteadError as refusal:
        return report_error(refusal, as_json=getattr(options, "json", False))
    except UnicodeEncodeError:
        error = Malformed(Reason.PARAMETER_INVALID, "text that UTF-8 cannot carry")
        return report_error(error, as_json=getattr(options, "json", False))
    except BrokenPipeError:  # the reader of a pipe has gone: nothing more to say
        _drop_output()
        return EXIT_UNFINISHED
    except OSError as error:
        _drop_output()
        what = printable(error.strerror or str(error))
        print(f"keystead: reading or writing failed: {what}", file=sys.stderr)
        return EXIT_UNFINISHED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return status


def _drop_output() -> None:
    """What is still buffered has nowhere to go, and Python would try again when it ends."""
    with suppress(AttributeError, OSError, ValueError):  # closed, or no stream of the system's
        with suppress(OSError):
            sys.stdout.flush()
            return  # it was something else that failed, and what was answered stays answered
        output = sys.stdout.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, output)
        os.close(null)


def _ids_last(arguments: Sequence[str]) -> list[str]:
    """The same arguments, ids that begin with a hyphen behind ``--``: one base64url id in 64 does,
    and would be taken for an option."""
    if "--" in arguments:
        return list(arguments)
    ids = [argument for argument in arguments if _HYPHEN_ID.fullmatch(argument)]
    others = [argument for argument in arguments if argument not in ids]
    return [*others, "--", *ids] if ids else others


def _print_help(file: TextIO) -> None:
    lines = ["usage: keystead COMMAND [--help] …", ""]
    lines += [f"  {name:<14} {what}" for name, (_, what) in COMMANDS.items()]
    print("\n".join(lines), file=file)
