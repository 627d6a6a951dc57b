"""A workload on its host: its key, its binding, and the tokens that come of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx

from keystead.agent import attestation, collector
from keystead.agent.attestation import Binding
from keystead.agent.auth import KeysteadAuth
from keystead.agent.channel import ClientCertificate, open_channel
from keystead.agent.endpoint import TokenEndpoint
from keystead.agent.hosts import Host, TpmHost
from keystead.agent.keys import DEFAULT_ALGORITHM
from keystead.agent.nonces import NonceMemory
from keystead.agent.proofs import DpopSigner
from keystead.agent.signing import SigningKey
from keystead.agent.tokens import (
    ACCESS_TOKEN_TYPE,
    JWT_TYPE,
    TOKEN_EXCHANGE_GRANT,
    SubjectToken,
    Target,
    TokenSource,
)
from keystead.errors import Unavailable
from keystead.hardware.tpm2 import Tpm2Device
from keystead.ports import Clock, Entropy
from keystead.system import SystemClock, SystemEntropy

DEFAULT_TCTI: Final = "device:/dev/tpmrm0"


class Workload:
    """One agent on one host; safe to use from any thread.

    ``attest`` comes first: ``auth`` and the tokens are for a key that a server knows.
    """

    def __init__(
        self,
        host: Host,
        *,
        server: str,
        ca: bytes | None = None,
        certificate: ClientCertificate | None = None,
        issuer: str | None = None,
        spiffe_id: str = "",
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        """As :meth:`open`, on a host that is closed with the workload.

        ``Workload(DocumentHost(collector), server=…)`` is one whose evidence is not a TPM's.
        """
        self.host = host
        self._server = server
        self._ca = ca
        self._certificate = certificate
        self._issuer = issuer
        self._spiffe_id = spiffe_id
        self._clock = clock or SystemClock()
        self._entropy = entropy or SystemEntropy()
        self._http = http or httpx.Client(follow_redirects=False)
        self._owns_http = http is None
        self._nonces = NonceMemory()
        self._attesting = threading.Lock()
        self._signer: DpopSigner | None = None
        self._binding: Binding | None = None

    @classmethod
    def open(
        cls,
        *,
        tcti: str = DEFAULT_TCTI,
        folder: Path | str,
        server: str,
        ca: bytes | None = None,
        certificate: ClientCertificate | None = None,
        issuer: str | None = None,
        spiffe_id: str = "",
        algorithm: str = DEFAULT_ALGORITHM,
        event_log: Path = collector.EVENT_LOG,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        http: httpx.Client | None = None,
    ) -> Self:
        """A workload, to be closed, or used as a block that closes it.

        ``tcti`` is where the TPM is; ``folder`` keeps the wrapped keys (0700); ``server`` is the
        service's gRPC address, ``HOST:PORT`` or ``unix:PATH``; ``ca`` the PEM of the CA that its
        certificate is under; ``certificate`` what this host shows where the service wants mTLS;
        ``issuer`` the only issuer to attest to; ``spiffe_id`` which identity
        is wanted where several registration entries match. ``http`` sends the token requests; it
        stays the caller's to close.

        Raises:
            ConfigurationError: the TCTI or the folder will not do.
        """
        device = Tpm2Device(tcti)
        try:
            host = TpmHost(device, folder=Path(folder), algorithm=algorithm, event_log=event_log)
            return cls(
                host,
                server=server,
                ca=ca,
                certificate=certificate,
                issuer=issuer,
                spiffe_id=spiffe_id,
                clock=clock,
                entropy=entropy,
                http=http,
            )
        except BaseException:
            device.close()
            raise

    def close(self) -> None:
        """Let go of the host's devices and the token endpoint; may be called twice."""
        if self._owns_http:
            self._http.close()
        self.host.close()

    @property
    def binding(self) -> Binding | None:
        """What the last attestation of this process achieved."""
        return self._binding

    @property
    def jkt(self) -> str:
        """Thumbprint of the workload's key."""
        return self.signer.jkt

    @property
    def signer(self) -> DpopSigner:
        """Signs proofs with the workload's key; the key is made now where there is none yet."""
        signer = self._signer
        if signer is None:
            signer = self._signer = self._signer_of(self.host.key())
        return signer

    def attest(self) -> Binding:
        """Prove where the key lives, and have it bound; raises as ``agent.attestation.attest``."""
        before = self._binding
        with self._attesting:
            if self._binding is not before and self._binding is not None:
                return self._binding  # another thread did it while this one waited
            with open_channel(self._server, ca=self._ca, certificate=self._certificate) as channel:
                done = attestation.attest(
                    channel,
                    host=self.host,
                    signer=self._signer_of,
                    issuer=self._issuer,
                    spiffe_id=self._spiffe_id,
                )
            self._signer = self._signer_of(done.key)
            self._binding = done.binding
            return done.binding

    def attest_if_due(self) -> bool:
        """Attest again where the server said so; whether the binding is a new one now.

        A server that is away changes nothing while the binding lives. Any other error is the
        server's no, which has ended the binding: raised as ``attest`` raises it.
        """
        binding = self._binding
        now = self._clock.now()
        if binding is None or now < binding.renew_at:
            return False
        try:
            return self.attest() is not binding
        except Unavailable:
            if now >= binding.expires_at:
                raise
            return False

    def proof(
        self, method: str, url: str, *, access_token: str | None = None, nonce: str | None = None
    ) -> str:
        """A DPoP proof by the workload's key, for one request of your own making."""
        return self.signer.sign(method, url, access_token=access_token, nonce=nonce)

    async def proof_async(
        self, method: str, url: str, *, access_token: str | None = None, nonce: str | None = None
    ) -> str:
        """The same for an event loop."""
        signer = self._signer
        if signer is None:
            signer = await asyncio.to_thread(lambda: self.signer)
        return await signer.sign_async(method, url, access_token=access_token, nonce=nonce)

    def auth(
        self,
        subject_token: SubjectToken,
        *,
        audience: str | None = None,
        resource: str | None = None,
        scope: str = "",
        subject_token_type: str = ACCESS_TOKEN_TYPE,
        token_endpoint: str | None = None,
    ) -> KeysteadAuth:
        """An ``httpx`` auth for calls to one API in a user's name.

        ``subject_token`` is the user's token, or what gives it when it is needed (None: there is
        none now). ``audience`` or ``resource`` names the API, ``scope`` what is wanted there,
        space-separated. ``token_endpoint`` is the issuer's ``/token`` unless given.

        Attests where this process did not yet.
        """
        target = Target(audience=audience, resource=resource, scope=scope)
        tokens = TokenSource(
            self._token_endpoint(token_endpoint),
            holder=self,
            target=target,
            subject_token=subject_token,
            subject_token_type=subject_token_type,
            clock=self._clock,
        )
        return KeysteadAuth(tokens, holder=self, nonces=self._nonces)

    def hand_over(
        self,
        subject_token: str,
        *,
        to: str,
        audience: str,
        scope: str = "",
        subject_token_type: str = ACCESS_TOKEN_TYPE,
        token_endpoint: str | None = None,
    ) -> str:
        """A token for the agent with the SPIFFE ID ``to``, who goes on in the user's name.

        ``subject_token`` is the user's, or one that this workload got for the user. The agent
        ``to`` exchanges the answer, once and within a minute, as a subject token of type
        ``JWT_TYPE``. Attests where this process did not yet; raises as a token request does.
        """
        endpoint = self._token_endpoint(token_endpoint)
        target = Target(audience=audience, scope=scope).form()
        answer = endpoint.ask(
            {
                "grant_type": TOKEN_EXCHANGE_GRANT,
                "subject_token": subject_token,
                "subject_token_type": subject_token_type,
                "requested_token_type": JWT_TYPE,
                "may_act": to,
                **target,
                "audience": [str(endpoint.url), audience],
            }
        )
        return answer.access_token

    def _token_endpoint(self, url: str | None) -> TokenEndpoint:
        binding = self._binding or self.attest()
        return TokenEndpoint(
            url or f"{binding.issuer.rstrip('/')}/token",
            holder=self,
            http=self._http,
            nonces=self._nonces,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _signer_of(self, key: SigningKey) -> DpopSigner:
        return DpopSigner(key=key, clock=self._clock, entropy=self._entropy)


@contextmanager
def client(
    subject_token: SubjectToken,
    *,
    audience: str,
    scope: str = "",
    folder: Path | str,
    server: str,
    tcti: str = DEFAULT_TCTI,
    ca: bytes | None = None,
    certificate: ClientCertificate | None = None,
    spiffe_id: str = "",
) -> Iterator[httpx.Client]:
    """An ``httpx.Client`` whose requests carry a token bound to the key in this host's TPM.

    The shortest way: one block, one API, one user. The arguments are those of
    :meth:`Workload.open` and :meth:`Workload.auth`; so are the errors.
    """
    with Workload.open(
        tcti=tcti,
        folder=folder,
        server=server,
        ca=ca,
        certificate=certificate,
        spiffe_id=spiffe_id,
    ) as workload:
        auth = workload.auth(subject_token, audience=audience, scope=scope)
        with httpx.Client(auth=auth) as http:
            yield http
