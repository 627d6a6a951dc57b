"""Which host ``keystead attest`` is on: one function a kind, in one table, with its options."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keystead.agent import DocumentHost, TpmHost, VtpmHost
from keystead.agent.collectors import (
    AwsNitroCollector,
    AzureCvmCollector,
    Collector,
    OidcCollector,
    SevSnpCollector,
    TdxCollector,
)
from keystead.agent.collectors import tdx as tdx_collector
from keystead.agent.collectors.collateral import Collateral
from keystead.agent.collectors.token_providers import (
    AzureMetadata,
    GcpMetadata,
    GitHubActions,
    TokenFile,
    TokenProvider,
)
from keystead.agent.hosts import Host
from keystead.agent.key_file import WorkloadKey
from keystead.agent.workload import DEFAULT_TCTI
from keystead.codec.tpm2 import PcrSelection
from keystead.errors import Malformed, Reason
from keystead.hardware.tpm2 import Tpm2Device
from keystead.model import EvidenceKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How a host of one kind is made, and which of the options below are for it."""

    make: Callable[[argparse.Namespace], Host]
    options: frozenset[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``--kind``, and what single kinds need."""
    parser.add_argument(
        "--kind", choices=KINDS, default=EvidenceKind.TPM2.value, help="default: %(default)s"
    )
    keys = parser.add_argument_group("tpm2, azure-cvm")
    keys.add_argument("--tcti", help=f"the TPM (default: {DEFAULT_TCTI})")
    keys.add_argument("--folder", type=Path, metavar="DIR", help="where the wrapped keys are")
    machine = parser.add_argument_group("sev-snp, tdx, azure-cvm")
    machine.add_argument(
        "--certificates", type=Path, metavar="FILE", help="PEM of AMD's, where the host has none"
    )
    machine.add_argument("--vmpl", type=int, choices=range(4), help="sev-snp: ask from this level")
    machine.add_argument(
        "--collateral", metavar="PLACE", help="Intel's documents: a file or an https URL"
    )
    machine.add_argument(
        "--event-log", action="store_true", default=None, help="tdx: send the firmware's log along"
    )
    token = parser.add_argument_group("oidc")
    token.add_argument("--token-from", choices=PLATFORMS, help="the platform that this runs on")
    token.add_argument("--token-file", type=Path, metavar="FILE", help="a file with the token")
    token.add_argument("--resource", metavar="URI", help="azure: the token's audience")
    token.add_argument("--client-id", metavar="ID", help="azure: one of several identities")


def host_of(options: argparse.Namespace) -> Host:
    """The host that ``options`` describe.

    Raises:
        Malformed: an option that this kind needs is missing, or one is for another kind.
        ConfigurationError, Unavailable: what they name will not do, or is not there.
    """
    kind = KINDS[options.kind]
    for name in ALL_OPTIONS - kind.options:
        if getattr(options, name) is not None:
            raise Malformed(
                Reason.PARAMETER_INVALID, f"{_flag(name)} is not for --kind {options.kind}"
            )
    return kind.make(options)


def _tpm2(options: argparse.Namespace) -> Host:
    return _with_device(options, lambda device, folder: TpmHost(device, folder=folder))


def _azure_cvm(options: argparse.Namespace) -> Host:
    collateral = _collateral(options.collateral)

    def make(device: Tpm2Device, folder: Path) -> Host:
        def collector(required: PcrSelection, key: WorkloadKey) -> Collector:
            return AzureCvmCollector(
                device,
                required_pcrs=required,
                workload_key=key,
                certificates=options.certificates,
                collateral=collateral,
            )

        return VtpmHost(device, folder=folder, collector=collector)

    return _with_device(options, make)


def _with_device(options: argparse.Namespace, make: Callable[[Tpm2Device, Path], Host]) -> Host:
    _check_given(options, "folder")
    device = Tpm2Device(options.tcti or DEFAULT_TCTI)
    try:
        return make(device, options.folder)
    except BaseException:
        device.close()
        raise


def _aws_nitro(options: argparse.Namespace) -> Host:
    return DocumentHost(AwsNitroCollector())


def _sev_snp(options: argparse.Namespace) -> Host:
    return DocumentHost(SevSnpCollector(certificates=options.certificates, vmpl=options.vmpl))


def _tdx(options: argparse.Namespace) -> Host:
    _check_given(options, "collateral")
    log = tdx_collector.EVENT_LOG if options.event_log else None
    collateral = Collateral(location=options.collateral)
    return DocumentHost(TdxCollector(collateral=collateral, event_log=log))


def _oidc(options: argparse.Namespace) -> Host:
    if (options.token_from is None) == (options.token_file is None):
        raise Malformed(
            Reason.PARAMETER_MISSING, "--kind oidc: give either --token-from or --token-file"
        )
    if options.token_from != "azure" and (options.resource or options.client_id):
        raise Malformed(
            Reason.PARAMETER_INVALID, "--resource and --client-id are for --token-from azure"
        )
    if options.token_file is not None:
        return DocumentHost(OidcCollector(provider=TokenFile(path=options.token_file)))
    return DocumentHost(OidcCollector(provider=PLATFORMS[options.token_from](options)))


def _azure_token(options: argparse.Namespace) -> TokenProvider:
    _check_given(options, "resource")
    return AzureMetadata(resource=options.resource, client_id=options.client_id)


def _collateral(location: str | None) -> Collateral | None:
    return None if location is None else Collateral(location=location)


def _check_given(options: argparse.Namespace, name: str) -> None:
    if getattr(options, name) is None:
        raise Malformed(Reason.PARAMETER_MISSING, f"--kind {options.kind}: give {_flag(name)}")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


PLATFORMS: Final[Mapping[str, Callable[[argparse.Namespace], TokenProvider]]] = {
    "github-actions": lambda options: GitHubActions.of_environment(),
    "eks": lambda options: TokenFile.of_environment(),
    "gcp": lambda options: GcpMetadata(),
    "azure": _azure_token,
}
"""What ``--token-from`` asks, as each platform tells its workloads."""

KINDS: Final[Mapping[str, Kind]] = {
    EvidenceKind.TPM2.value: Kind(make=_tpm2, options=frozenset({"tcti", "folder"})),
    EvidenceKind.AWS_NITRO.value: Kind(make=_aws_nitro, options=frozenset()),
    EvidenceKind.SEV_SNP.value: Kind(make=_sev_snp, options=frozenset({"certificates", "vmpl"})),
    EvidenceKind.TDX.value: Kind(make=_tdx, options=frozenset({"collateral", "event_log"})),
    EvidenceKind.AZURE_CVM.value: Kind(
        make=_azure_cvm, options=frozenset({"tcti", "folder", "certificates", "collateral"})
    ),
    EvidenceKind.OIDC.value: Kind(
        make=_oidc, options=frozenset({"token_from", "token_file", "resource", "client_id"})
    ),
}
"""Kinds that can be collected on a host; ``app-attest`` and ``maa`` come from other clients."""

ALL_OPTIONS: Final = frozenset[str]().union(*(kind.options for kind in KINDS.values()))
