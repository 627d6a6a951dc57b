"""IdentityService: enrolled hosts and the registration entries below them.

The administration socket reads and enrols; labels, entries and removals need a named person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from keystead.appraisal import endorsement
from keystead.codec import base64url, json
from keystead.codec.json import JSON
from keystead.errors import Malformed, NotFound, Reason
from keystead.identity import entries as entry_rules
from keystead.identity import spiffe
from keystead.model import (
    AuditAction,
    AuditEvent,
    EkId,
    EnrolledHost,
    EvidenceKind,
    RegistrationEntry,
    SpiffeId,
)
from keystead.operations import (
    EnrolHost,
    PutEntry,
    RemoveEntry,
    RemoveHost,
)
from keystead.ports import Clock, Store
from keystead.service.roles import Caller, Role, require

ENTRY_ID_BYTES = 12

Labels = tuple[tuple[str, str], ...]


class Identities:
    """The identity use cases."""

    def __init__(
        self, *, trust_domain: str, store: Store, clock: Clock, default_binding_ttl_s: int
    ) -> None:
        self._trust_domain = trust_domain
        self._store = store
        self._clock = clock
        self._default_binding_ttl_s = default_binding_ttl_s

    async def enrol(
        self,
        caller: Caller,
        *,
        ek_public: bytes,
        ek_certificate: bytes,
        spiffe_id: str,
        labels: Mapping[str, str],
    ) -> EnrolledHost:
        """Vouch for a host's EK. Whether its certificate has a trusted chain is not asked here
        but at every attestation."""
        require(caller, Role.ADMIN_SOCKET, Role.OPERATOR)
        if labels:
            require(caller, Role.OPERATOR)
        key = endorsement.enrolment_key(ek_public=ek_public, ek_certificate=ek_certificate)
        host = EnrolledHost(
            ek=key.id,
            ek_public_name=key.name.hex(),
            spiffe_id=self._own_id(spiffe_id),
            labels=await self._labels_by(caller, key.id, labels),
            enrolled_at=self._clock.now(),
            enrolled_by=caller.name,
        )
        event = self._event(AuditAction.HOST_ENROLLED, caller, host.ek, host.spiffe_id)
        await self._store.apply([EnrolHost(host=host)], events=[event])
        return host

    async def _labels_by(self, caller: Caller, ek: EkId, labels: Mapping[str, str]) -> Labels:
        """An operator's labels; who may set none takes none away from a host that has some."""
        if caller.has(Role.OPERATOR):
            return _labels(labels)
        known = await self._store.host(ek)
        return () if known is None else known.labels

    async def remove_host(self, caller: Caller, *, ek: str) -> None:
        """Remove a host, all that hangs on it, and the grants of its workloads."""
        require(caller, Role.ADMINISTRATOR)
        host = await self._store.host(EkId(ek))
        if host is None:
            raise NotFound()
        event = self._event(AuditAction.HOST_REMOVED, caller, ek, host.spiffe_id)
        await self._store.apply([RemoveHost(ek=host.ek, at=self._clock.now())], events=[event])

    async def hosts(self, caller: Caller) -> Sequence[EnrolledHost]:
        """Every enrolled host."""
        require(caller, Role.ADMIN_SOCKET, Role.OPERATOR)
        return await self._store.hosts()

    async def create_entry(
        self,
        caller: Caller,
        *,
        spiffe_id: str,
        parent: str,
        kind: str,
        pcrs: Mapping[str, Mapping[int, tuple[str, ...]]],
        labels: Mapping[str, str],
        binding_ttl_s: int,
        selectors: Mapping[str, tuple[str, ...]] | None = None,
    ) -> RegistrationEntry:
        """Register a workload: of a TPM under an enrolled host, whose EK the entry pins; of other
        evidence without ``parent``, by ``selectors``.

        For ``oidc`` the path of ``spiffe_id`` may have placeholders that claims fill
        (``identity.claim_paths``). The same again answers with the entry that is there; Conflict
        with another time to live.
        """
        require(caller, Role.OPERATOR)
        if kind not in set(EvidenceKind):
            raise Malformed(Reason.KIND_UNSUPPORTED, f"{kind!r}")
        host = await self._host_named(self._own_id(parent)) if parent else None
        if host is None and kind == EvidenceKind.TPM2:
            raise Malformed(
                Reason.PARAMETER_MISSING, "parent: the enrolled host that the workload is on"
            )
        id, template = self._name(spiffe_id)
        draft = RegistrationEntry(
            id="",
            spiffe_id=id,
            parent=None if host is None else host.spiffe_id,
            kind=EvidenceKind(kind),
            ek=None if host is None else host.ek,
            pcrs=pcrs,
            labels=_labels(labels),
            binding_ttl_s=binding_ttl_s or self._default_binding_ttl_s,
            created_at=self._clock.now(),
            created_by=caller.name,
            selectors=selectors or {},
            template=template,
        )
        entry = entry_rules.with_id(draft, _entry_id(draft))
        entry_rules.check_entry(entry, trust_domain=self._trust_domain)
        known = await self._store.entry(entry.id)
        if known is not None and _same_registration(known, entry):
            return known
        event = self._event(
            AuditAction.ENTRY_CREATED, caller, entry.id, f"{entry.spiffe_id}{entry.template}"
        )
        await self._store.apply([PutEntry(entry=entry)], events=[event])
        return entry

    def _name(self, text: str) -> tuple[SpiffeId, str]:
        """A SPIFFE ID, or the trust domain's and the template of a path below it."""
        domain = spiffe.of_trust_domain(self._trust_domain)
        if "{" in text and text.startswith(f"{domain}/"):
            return domain, text.removeprefix(domain)
        return self._own_id(text), ""

    async def remove_entry(self, caller: Caller, *, id: str) -> None:
        """Remove an entry, its bindings, and the grants of its workload."""
        require(caller, Role.OPERATOR)
        entry = await self._store.entry(id)
        if entry is None:
            raise NotFound()
        event = self._event(AuditAction.ENTRY_REMOVED, caller, id, entry.spiffe_id)
        await self._store.apply([RemoveEntry(id=id, at=self._clock.now())], events=[event])

    async def entries(self, caller: Caller) -> Sequence[RegistrationEntry]:
        """All to an operator; to a host, the entries that it parents and no others."""
        require(caller, Role.ADMIN_SOCKET, Role.OPERATOR, Role.HOST)
        if caller.has(Role.OPERATOR) or caller.has(Role.ADMIN_SOCKET):
            return await self._store.entries()
        if caller.spiffe_id is None:
            return ()
        return await self._store.entries(parent=caller.spiffe_id)

    def _own_id(self, text: str) -> SpiffeId:
        id = spiffe.parse_spiffe_id(text)
        if spiffe.trust_domain(id) != self._trust_domain:
            raise Malformed(Reason.SPIFFE_ID_INVALID, f"not in trust domain {self._trust_domain}")
        return id

    async def _host_named(self, id: SpiffeId) -> EnrolledHost:
        host = await self._store.host_named(id)
        if host is None:
            raise NotFound(Reason.EK_NOT_ENROLLED, f"no enrolled host is {id}")
        return host

    def _event(self, action: AuditAction, caller: Caller, object: str, name: str) -> AuditEvent:
        return AuditEvent(
            action=action,
            at=self._clock.now(),
            caller=caller.name,
            object=object,
            detail={"spiffe_id": name},
        )


def _labels(labels: Mapping[str, str]) -> Labels:
    found = tuple(sorted(labels.items()))
    entry_rules.check_labels(found)
    return found


def _same_registration(known: RegistrationEntry, asked: RegistrationEntry) -> bool:
    """Their ids, and so what they say of the evidence, are equal already."""
    return (known.parent, known.binding_ttl_s) == (asked.parent, asked.binding_ttl_s)


def _entry_id(entry: RegistrationEntry) -> str:
    """The same registration asked for twice is one entry: its id is a hash of what it says."""
    facts = json.canonical(
        {
            "spiffe_id": entry.spiffe_id,
            "ek": entry.ek,
            "kind": entry.kind.value,
            "pcrs": {
                bank: {str(index): sorted(values) for index, values in indexes.items()}
                for bank, indexes in entry.pcrs.items()
            },
            "labels": [list(pair) for pair in entry.labels],
            **_pins(entry),
        }
    )
    return base64url.encode(hashlib.sha256(facts).digest()[:ENTRY_ID_BYTES])


def _pins(entry: RegistrationEntry) -> dict[str, JSON]:
    """What only entries of other evidence than a TPM's have: ids of the others stay as they are."""
    pins: dict[str, JSON] = {}
    if entry.selectors:
        pins["selectors"] = {name: [*sorted(values)] for name, values in entry.selectors.items()}
    if entry.template:
        pins["template"] = entry.template
    return pins
