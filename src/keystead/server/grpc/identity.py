"""IdentityService."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from keystead.errors import Malformed, Reason
from keystead.model import EnrolledHost, RegistrationEntry
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol import keystead_v1_pb2_grpc as rpc
from keystead.server.grpc.door import Servicer, unary
from keystead.service.roles import Caller


class IdentityServicer(Servicer, rpc.IdentityServiceServicer):
    """Hosts and registration entries."""

    @unary
    async def EnrolHost(self, request: pb.EnrolHostRequest, caller: Caller) -> pb.Host:
        """Vouch for a host's EK."""
        host = await self.door.use_cases.identities.enrol(
            caller,
            ek_public=request.ek_public,
            ek_certificate=request.ek_certificate,
            spiffe_id=request.spiffe_id,
            labels=dict(request.labels),
        )
        return host_message(host)

    @unary
    async def RemoveHost(
        self, request: pb.RemoveHostRequest, caller: Caller
    ) -> pb.RemoveHostResponse:
        """A host and all that hangs on it."""
        await self.door.use_cases.identities.remove_host(caller, ek=request.ek)
        return pb.RemoveHostResponse()

    @unary
    async def ListHosts(self, request: pb.ListHostsRequest, caller: Caller) -> pb.ListHostsResponse:
        """Every host."""
        hosts = await self.door.use_cases.identities.hosts(caller)
        return pb.ListHostsResponse(hosts=[host_message(host) for host in hosts])

    @unary
    async def CreateEntry(self, request: pb.CreateEntryRequest, caller: Caller) -> pb.Entry:
        """Register a workload under a host."""
        entry = await self.door.use_cases.identities.create_entry(
            caller,
            spiffe_id=request.spiffe_id,
            parent=request.parent,
            kind=request.kind,
            pcrs=pcr_references(request.pcrs),
            labels=dict(request.labels),
            binding_ttl_s=request.binding_ttl_s,
            selectors=selectors_of(request.selectors),
        )
        return entry_message(entry)

    @unary
    async def RemoveEntry(
        self, request: pb.RemoveEntryRequest, caller: Caller
    ) -> pb.RemoveEntryResponse:
        """An entry and its bindings."""
        await self.door.use_cases.identities.remove_entry(caller, id=request.id)
        return pb.RemoveEntryResponse()

    @unary
    async def ListEntries(
        self, request: pb.ListEntriesRequest, caller: Caller
    ) -> pb.ListEntriesResponse:
        """What the caller parents; an operator sees all."""
        entries = await self.door.use_cases.identities.entries(caller)
        return pb.ListEntriesResponse(entries=[entry_message(entry) for entry in entries])


def host_message(host: EnrolledHost) -> pb.Host:
    """A host on the wire."""
    return pb.Host(
        ek=host.ek,
        ek_name=host.ek_public_name,
        spiffe_id=host.spiffe_id,
        labels=dict(host.labels),
        enrolled_at=host.enrolled_at,
        enrolled_by=host.enrolled_by,
    )


def entry_message(entry: RegistrationEntry) -> pb.Entry:
    """A registration entry on the wire."""
    return pb.Entry(
        id=entry.id,
        spiffe_id=f"{entry.spiffe_id}{entry.template}",
        parent=entry.parent or "",
        kind=entry.kind.value,
        ek=entry.ek or "",
        pcrs=[
            pb.PcrReference(bank=bank, index=index, values=values)
            for bank, indexes in entry.pcrs.items()
            for index, values in indexes.items()
        ],
        labels=dict(entry.labels),
        binding_ttl_s=entry.binding_ttl_s,
        created_at=entry.created_at,
        created_by=entry.created_by,
        selectors=[
            pb.Selector(name=name, values=values) for name, values in entry.selectors.items()
        ],
    )


def selectors_of(selectors: Iterable[pb.Selector]) -> Mapping[str, tuple[str, ...]]:
    """Name → allowed values; Malformed when a name comes twice."""
    found: dict[str, tuple[str, ...]] = {}
    for selector in selectors:
        if selector.name in found:
            raise Malformed(Reason.PARAMETER_REPEATED, "a selector that comes twice")
        found[selector.name] = tuple(selector.values)
    return found


def pcr_references(
    references: Iterable[pb.PcrReference],
) -> Mapping[str, Mapping[int, tuple[str, ...]]]:
    """Bank → index → allowed values; Malformed when a PCR comes twice."""
    pcrs: dict[str, dict[int, tuple[str, ...]]] = {}
    for reference in references:
        bank = pcrs.setdefault(reference.bank, {})
        if reference.index in bank:
            raise Malformed(Reason.PARAMETER_REPEATED, "a PCR that comes twice")
        bank[reference.index] = tuple(reference.values)
    return pcrs
