from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttestRequest(_message.Message):
    __slots__ = ("begin", "evidence", "activated")
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    ACTIVATED_FIELD_NUMBER: _ClassVar[int]
    begin: BeginAttestation
    evidence: Evidence
    activated: CredentialActivated
    def __init__(self, begin: _Optional[_Union[BeginAttestation, _Mapping]] = ..., evidence: _Optional[_Union[Evidence, _Mapping]] = ..., activated: _Optional[_Union[CredentialActivated, _Mapping]] = ...) -> None: ...

class AttestResponse(_message.Message):
    __slots__ = ("challenge", "activation", "result")
    CHALLENGE_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    challenge: Challenge
    activation: CredentialActivation
    result: AttestationResult
    def __init__(self, challenge: _Optional[_Union[Challenge, _Mapping]] = ..., activation: _Optional[_Union[CredentialActivation, _Mapping]] = ..., result: _Optional[_Union[AttestationResult, _Mapping]] = ...) -> None: ...

class BeginAttestation(_message.Message):
    __slots__ = ("kind",)
    KIND_FIELD_NUMBER: _ClassVar[int]
    kind: str
    def __init__(self, kind: _Optional[str] = ...) -> None: ...

class Challenge(_message.Message):
    __slots__ = ("nonce", "issuer", "expires_at", "required_pcrs", "key_policy_pcrs", "event_log_required")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_PCRS_FIELD_NUMBER: _ClassVar[int]
    KEY_POLICY_PCRS_FIELD_NUMBER: _ClassVar[int]
    EVENT_LOG_REQUIRED_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    issuer: str
    expires_at: int
    required_pcrs: _containers.RepeatedCompositeFieldContainer[PcrBank]
    key_policy_pcrs: _containers.RepeatedCompositeFieldContainer[PcrBank]
    event_log_required: bool
    def __init__(self, nonce: _Optional[bytes] = ..., issuer: _Optional[str] = ..., expires_at: _Optional[int] = ..., required_pcrs: _Optional[_Iterable[_Union[PcrBank, _Mapping]]] = ..., key_policy_pcrs: _Optional[_Iterable[_Union[PcrBank, _Mapping]]] = ..., event_log_required: _Optional[bool] = ...) -> None: ...

class PcrBank(_message.Message):
    __slots__ = ("bank", "indexes")
    BANK_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    bank: str
    indexes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, bank: _Optional[str] = ..., indexes: _Optional[_Iterable[int]] = ...) -> None: ...

class Evidence(_message.Message):
    __slots__ = ("envelope", "key_proof", "spiffe_id")
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    KEY_PROOF_FIELD_NUMBER: _ClassVar[int]
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    envelope: bytes
    key_proof: str
    spiffe_id: str
    def __init__(self, envelope: _Optional[bytes] = ..., key_proof: _Optional[str] = ..., spiffe_id: _Optional[str] = ...) -> None: ...

class CredentialActivation(_message.Message):
    __slots__ = ("credential_blob", "encrypted_secret")
    CREDENTIAL_BLOB_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTED_SECRET_FIELD_NUMBER: _ClassVar[int]
    credential_blob: bytes
    encrypted_secret: bytes
    def __init__(self, credential_blob: _Optional[bytes] = ..., encrypted_secret: _Optional[bytes] = ...) -> None: ...

class CredentialActivated(_message.Message):
    __slots__ = ("secret",)
    SECRET_FIELD_NUMBER: _ClassVar[int]
    secret: bytes
    def __init__(self, secret: _Optional[bytes] = ...) -> None: ...

class GetResultRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class AttestationResult(_message.Message):
    __slots__ = ("id", "ear", "spiffe_id", "jkt", "expires_at", "renew_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    EAR_FIELD_NUMBER: _ClassVar[int]
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    JKT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    RENEW_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    ear: str
    spiffe_id: str
    jkt: str
    expires_at: int
    renew_at: int
    def __init__(self, id: _Optional[str] = ..., ear: _Optional[str] = ..., spiffe_id: _Optional[str] = ..., jkt: _Optional[str] = ..., expires_at: _Optional[int] = ..., renew_at: _Optional[int] = ...) -> None: ...

class Key(_message.Message):
    __slots__ = ("kid", "purpose", "algorithm", "state", "tier", "owner", "allow_digest", "jwk", "created_at", "activates_at", "retired_at", "evidence")
    KID_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    ALLOW_DIGEST_FIELD_NUMBER: _ClassVar[int]
    JWK_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    ACTIVATES_AT_FIELD_NUMBER: _ClassVar[int]
    RETIRED_AT_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    kid: str
    purpose: str
    algorithm: str
    state: str
    tier: str
    owner: str
    allow_digest: bool
    jwk: str
    created_at: int
    activates_at: int
    retired_at: int
    evidence: KeyEvidence
    def __init__(self, kid: _Optional[str] = ..., purpose: _Optional[str] = ..., algorithm: _Optional[str] = ..., state: _Optional[str] = ..., tier: _Optional[str] = ..., owner: _Optional[str] = ..., allow_digest: _Optional[bool] = ..., jwk: _Optional[str] = ..., created_at: _Optional[int] = ..., activates_at: _Optional[int] = ..., retired_at: _Optional[int] = ..., evidence: _Optional[_Union[KeyEvidence, _Mapping]] = ...) -> None: ...

class KeyEvidence(_message.Message):
    __slots__ = ("ek_public", "ek_certificate", "ek_certificate_chain", "ak_public", "key_public", "qualifying_data", "certify_attest", "certify_signature")
    EK_PUBLIC_FIELD_NUMBER: _ClassVar[int]
    EK_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    EK_CERTIFICATE_CHAIN_FIELD_NUMBER: _ClassVar[int]
    AK_PUBLIC_FIELD_NUMBER: _ClassVar[int]
    KEY_PUBLIC_FIELD_NUMBER: _ClassVar[int]
    QUALIFYING_DATA_FIELD_NUMBER: _ClassVar[int]
    CERTIFY_ATTEST_FIELD_NUMBER: _ClassVar[int]
    CERTIFY_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    ek_public: bytes
    ek_certificate: bytes
    ek_certificate_chain: _containers.RepeatedScalarFieldContainer[bytes]
    ak_public: bytes
    key_public: bytes
    qualifying_data: bytes
    certify_attest: bytes
    certify_signature: bytes
    def __init__(self, ek_public: _Optional[bytes] = ..., ek_certificate: _Optional[bytes] = ..., ek_certificate_chain: _Optional[_Iterable[bytes]] = ..., ak_public: _Optional[bytes] = ..., key_public: _Optional[bytes] = ..., qualifying_data: _Optional[bytes] = ..., certify_attest: _Optional[bytes] = ..., certify_signature: _Optional[bytes] = ...) -> None: ...

class CreateKeyRequest(_message.Message):
    __slots__ = ("purpose", "algorithm", "owner", "allow_digest")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    ALLOW_DIGEST_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    algorithm: str
    owner: str
    allow_digest: bool
    def __init__(self, purpose: _Optional[str] = ..., algorithm: _Optional[str] = ..., owner: _Optional[str] = ..., allow_digest: _Optional[bool] = ...) -> None: ...

class ListKeysRequest(_message.Message):
    __slots__ = ("purpose",)
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    def __init__(self, purpose: _Optional[str] = ...) -> None: ...

class ListKeysResponse(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[Key]
    def __init__(self, keys: _Optional[_Iterable[_Union[Key, _Mapping]]] = ...) -> None: ...

class GetKeyRequest(_message.Message):
    __slots__ = ("kid",)
    KID_FIELD_NUMBER: _ClassVar[int]
    kid: str
    def __init__(self, kid: _Optional[str] = ...) -> None: ...

class SignRequest(_message.Message):
    __slots__ = ("kid", "payload", "digest", "typ")
    KID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    TYP_FIELD_NUMBER: _ClassVar[int]
    kid: str
    payload: bytes
    digest: bytes
    typ: str
    def __init__(self, kid: _Optional[str] = ..., payload: _Optional[bytes] = ..., digest: _Optional[bytes] = ..., typ: _Optional[str] = ...) -> None: ...

class SignResponse(_message.Message):
    __slots__ = ("jws", "signature")
    JWS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    jws: str
    signature: bytes
    def __init__(self, jws: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...

class RotateRequest(_message.Message):
    __slots__ = ("purpose", "owner")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    owner: str
    def __init__(self, purpose: _Optional[str] = ..., owner: _Optional[str] = ...) -> None: ...

class ExchangeRequest(_message.Message):
    __slots__ = ("parameters", "dpop_proof")
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    DPOP_PROOF_FIELD_NUMBER: _ClassVar[int]
    parameters: _containers.RepeatedCompositeFieldContainer[Parameter]
    dpop_proof: str
    def __init__(self, parameters: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ..., dpop_proof: _Optional[str] = ...) -> None: ...

class Parameter(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class ExchangeResponse(_message.Message):
    __slots__ = ("access_token", "issued_token_type", "token_type", "expires_in", "scope", "refresh_token", "dpop_nonce")
    ACCESS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ISSUED_TOKEN_TYPE_FIELD_NUMBER: _ClassVar[int]
    TOKEN_TYPE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_IN_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    REFRESH_TOKEN_FIELD_NUMBER: _ClassVar[int]
    DPOP_NONCE_FIELD_NUMBER: _ClassVar[int]
    access_token: str
    issued_token_type: str
    token_type: str
    expires_in: int
    scope: str
    refresh_token: str
    dpop_nonce: str
    def __init__(self, access_token: _Optional[str] = ..., issued_token_type: _Optional[str] = ..., token_type: _Optional[str] = ..., expires_in: _Optional[int] = ..., scope: _Optional[str] = ..., refresh_token: _Optional[str] = ..., dpop_nonce: _Optional[str] = ...) -> None: ...

class IntrospectRequest(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...

class IntrospectResponse(_message.Message):
    __slots__ = ("response",)
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    response: bytes
    def __init__(self, response: _Optional[bytes] = ...) -> None: ...

class RevokeRequest(_message.Message):
    __slots__ = ("token", "dpop_proof")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    DPOP_PROOF_FIELD_NUMBER: _ClassVar[int]
    token: str
    dpop_proof: str
    def __init__(self, token: _Optional[str] = ..., dpop_proof: _Optional[str] = ...) -> None: ...

class RevokeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Grant(_message.Message):
    __slots__ = ("id", "sub", "subject_issuer", "agent", "jkt", "audience", "scopes", "created_at", "expires_at", "revoked_at", "parent")
    ID_FIELD_NUMBER: _ClassVar[int]
    SUB_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_ISSUER_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    JKT_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    id: str
    sub: str
    subject_issuer: str
    agent: str
    jkt: str
    audience: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    created_at: int
    expires_at: int
    revoked_at: int
    parent: str
    def __init__(self, id: _Optional[str] = ..., sub: _Optional[str] = ..., subject_issuer: _Optional[str] = ..., agent: _Optional[str] = ..., jkt: _Optional[str] = ..., audience: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., created_at: _Optional[int] = ..., expires_at: _Optional[int] = ..., revoked_at: _Optional[int] = ..., parent: _Optional[str] = ...) -> None: ...

class ListGrantsRequest(_message.Message):
    __slots__ = ("sub", "agent")
    SUB_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    sub: str
    agent: str
    def __init__(self, sub: _Optional[str] = ..., agent: _Optional[str] = ...) -> None: ...

class ListGrantsResponse(_message.Message):
    __slots__ = ("grants",)
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    grants: _containers.RepeatedCompositeFieldContainer[Grant]
    def __init__(self, grants: _Optional[_Iterable[_Union[Grant, _Mapping]]] = ...) -> None: ...

class RevokeGrantRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class VerifyBatchRequest(_message.Message):
    __slots__ = ("audience", "tokens", "requests", "want_claims")
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    WANT_CLAIMS_FIELD_NUMBER: _ClassVar[int]
    audience: str
    tokens: _containers.RepeatedScalarFieldContainer[str]
    requests: _containers.RepeatedCompositeFieldContainer[RequestToVerify]
    want_claims: bool
    def __init__(self, audience: _Optional[str] = ..., tokens: _Optional[_Iterable[str]] = ..., requests: _Optional[_Iterable[_Union[RequestToVerify, _Mapping]]] = ..., want_claims: _Optional[bool] = ...) -> None: ...

class RequestToVerify(_message.Message):
    __slots__ = ("token", "proof", "method", "url")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    token: str
    proof: str
    method: str
    url: str
    def __init__(self, token: _Optional[str] = ..., proof: _Optional[str] = ..., method: _Optional[str] = ..., url: _Optional[str] = ...) -> None: ...

class VerifyBatchResponse(_message.Message):
    __slots__ = ("ok", "reasons", "claims")
    OK_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    ok: bytes
    reasons: _containers.RepeatedScalarFieldContainer[str]
    claims: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, ok: _Optional[bytes] = ..., reasons: _Optional[_Iterable[str]] = ..., claims: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Host(_message.Message):
    __slots__ = ("ek", "ek_name", "spiffe_id", "labels", "enrolled_at", "enrolled_by")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    EK_FIELD_NUMBER: _ClassVar[int]
    EK_NAME_FIELD_NUMBER: _ClassVar[int]
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ENROLLED_AT_FIELD_NUMBER: _ClassVar[int]
    ENROLLED_BY_FIELD_NUMBER: _ClassVar[int]
    ek: str
    ek_name: str
    spiffe_id: str
    labels: _containers.ScalarMap[str, str]
    enrolled_at: int
    enrolled_by: str
    def __init__(self, ek: _Optional[str] = ..., ek_name: _Optional[str] = ..., spiffe_id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., enrolled_at: _Optional[int] = ..., enrolled_by: _Optional[str] = ...) -> None: ...

class EnrolHostRequest(_message.Message):
    __slots__ = ("ek_public", "ek_certificate", "spiffe_id", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    EK_PUBLIC_FIELD_NUMBER: _ClassVar[int]
    EK_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ek_public: bytes
    ek_certificate: bytes
    spiffe_id: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, ek_public: _Optional[bytes] = ..., ek_certificate: _Optional[bytes] = ..., spiffe_id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RemoveHostRequest(_message.Message):
    __slots__ = ("ek",)
    EK_FIELD_NUMBER: _ClassVar[int]
    ek: str
    def __init__(self, ek: _Optional[str] = ...) -> None: ...

class RemoveHostResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListHostsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListHostsResponse(_message.Message):
    __slots__ = ("hosts",)
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    hosts: _containers.RepeatedCompositeFieldContainer[Host]
    def __init__(self, hosts: _Optional[_Iterable[_Union[Host, _Mapping]]] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("id", "spiffe_id", "parent", "kind", "ek", "pcrs", "labels", "binding_ttl_s", "created_at", "created_by", "selectors")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EK_FIELD_NUMBER: _ClassVar[int]
    PCRS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    BINDING_TTL_S_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    id: str
    spiffe_id: str
    parent: str
    kind: str
    ek: str
    pcrs: _containers.RepeatedCompositeFieldContainer[PcrReference]
    labels: _containers.ScalarMap[str, str]
    binding_ttl_s: int
    created_at: int
    created_by: str
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    def __init__(self, id: _Optional[str] = ..., spiffe_id: _Optional[str] = ..., parent: _Optional[str] = ..., kind: _Optional[str] = ..., ek: _Optional[str] = ..., pcrs: _Optional[_Iterable[_Union[PcrReference, _Mapping]]] = ..., labels: _Optional[_Mapping[str, str]] = ..., binding_ttl_s: _Optional[int] = ..., created_at: _Optional[int] = ..., created_by: _Optional[str] = ..., selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ...) -> None: ...

class Selector(_message.Message):
    __slots__ = ("name", "values")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class PcrReference(_message.Message):
    __slots__ = ("bank", "index", "values")
    BANK_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    bank: str
    index: int
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, bank: _Optional[str] = ..., index: _Optional[int] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class CreateEntryRequest(_message.Message):
    __slots__ = ("spiffe_id", "parent", "kind", "pcrs", "labels", "binding_ttl_s", "selectors")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PCRS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    BINDING_TTL_S_FIELD_NUMBER: _ClassVar[int]
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    spiffe_id: str
    parent: str
    kind: str
    pcrs: _containers.RepeatedCompositeFieldContainer[PcrReference]
    labels: _containers.ScalarMap[str, str]
    binding_ttl_s: int
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    def __init__(self, spiffe_id: _Optional[str] = ..., parent: _Optional[str] = ..., kind: _Optional[str] = ..., pcrs: _Optional[_Iterable[_Union[PcrReference, _Mapping]]] = ..., labels: _Optional[_Mapping[str, str]] = ..., binding_ttl_s: _Optional[int] = ..., selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ...) -> None: ...

class RemoveEntryRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class RemoveEntryResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListEntriesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListEntriesResponse(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ...) -> None: ...

class ListEventsRequest(_message.Message):
    __slots__ = ("after", "limit")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    after: int
    limit: int
    def __init__(self, after: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListEventsResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class TailRequest(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: int
    def __init__(self, after: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("sequence", "event", "previous", "hash")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    event: bytes
    previous: bytes
    hash: bytes
    def __init__(self, sequence: _Optional[int] = ..., event: _Optional[bytes] = ..., previous: _Optional[bytes] = ..., hash: _Optional[bytes] = ...) -> None: ...

class CheckpointRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListCheckpointsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListCheckpointsResponse(_message.Message):
    __slots__ = ("checkpoints", "issuer", "jwks", "counter", "announced_jws")
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    JWKS_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    ANNOUNCED_JWS_FIELD_NUMBER: _ClassVar[int]
    checkpoints: _containers.RepeatedCompositeFieldContainer[SignedCheckpoint]
    issuer: str
    jwks: bytes
    counter: int
    announced_jws: str
    def __init__(self, checkpoints: _Optional[_Iterable[_Union[SignedCheckpoint, _Mapping]]] = ..., issuer: _Optional[str] = ..., jwks: _Optional[bytes] = ..., counter: _Optional[int] = ..., announced_jws: _Optional[str] = ...) -> None: ...

class SignedCheckpoint(_message.Message):
    __slots__ = ("jws", "sequence", "counter")
    JWS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    jws: str
    sequence: int
    counter: int
    def __init__(self, jws: _Optional[str] = ..., sequence: _Optional[int] = ..., counter: _Optional[int] = ...) -> None: ...
