"""A TPM made of software keys, behind the port of signing hardware.

Public areas, certifications and credential activation are real structures, so nothing that
consumes them is faked; only the keys live in this process. Tests about the TPM itself use swtpm.
"""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from keystead.codec.tpm2 import encode_tpm2b, parse_tpm2b_public, signing_key_template
from keystead.codec.tpm2.templates import EK_P256
from keystead.errors import Reason, Refused, Unavailable
from keystead.jose.algorithms import ecdsa_raw_from_der
from keystead.model import WrappedKey
from keystead.ports import Attestation, Endorsement
from tests import evidence_builder as build

PREHASHED = Prehashed(hashes.SHA256())


class SoftwareTpm:
    """Implements ``SigningHardware``; ``name`` says which TPM it is.

    ``away`` makes every command fail as a lost TPM does; ``commands`` lists what was asked.
    """

    def __init__(self, name: str = "issuer") -> None:
        self.away = False
        self.counter = 0
        self.commands: list[str] = []
        self._seed = name.encode().ljust(16, b"\0")
        self._ek_key = build.private_key("p256", f"{name}-ek")
        self._ek = build.area(EK_P256, self._ek_key)

    async def endorsement(self) -> Endorsement:
        self._command("endorsement")
        certificate = build.ek_certificate("p256", self._ek_key)
        return Endorsement(
            public=self._ek.sized, certificate=certificate, chain=(build.intermediate(),)
        )

    async def create_attestation_key(self) -> WrappedKey:
        self._command("create_attestation_key")
        return self._create("ES256", restricted=True)

    async def create_signing_key(self, algorithm: str) -> WrappedKey:
        self._command("create_signing_key")
        return self._create(algorithm, restricted=False)

    async def sign(self, key: WrappedKey, digest: bytes) -> bytes:
        self._command("sign")
        private = self._load(key)
        if isinstance(private, rsa.RSAPrivateKey):
            return private.sign(digest, padding.PKCS1v15(), PREHASHED)
        return ecdsa_raw_from_der("ES256", private.sign(digest, ec.ECDSA(PREHASHED)))

    async def certify(
        self, key: WrappedKey, *, attestation_key: WrappedKey, qualifying_data: bytes
    ) -> Attestation:
        self._command("certify")
        body = build.certify_body(parse_tpm2b_public(key.public).name)
        message = build.attest(build.CERTIFY_TYPE, body, nonce=qualifying_data)
        return build.signed(self._load(attestation_key), message)

    async def activate_credential(
        self, attestation_key: WrappedKey, *, credential_blob: bytes, encrypted_secret: bytes
    ) -> bytes:
        self._command("activate_credential")
        name = parse_tpm2b_public(attestation_key.public).name
        try:
            return build.activate(
                self._ek, self._ek_key, name, blob=credential_blob, secret=encrypted_secret
            )
        except ValueError as error:
            raise Refused(Reason.HARDWARE_REFUSED, str(error)) from error

    async def increment_counter(self) -> int:
        self._command("increment_counter")
        self.counter += 1
        return self.counter

    async def read_counter(self) -> int:
        self._command("read_counter")
        return self.counter

    def _command(self, name: str) -> None:
        self.commands.append(name)
        if self.away:
            raise Unavailable(Reason.HARDWARE_UNAVAILABLE, "the TPM is away")

    def _create(self, algorithm: str, *, restricted: bool) -> WrappedKey:
        private = (
            ec.generate_private_key(ec.SECP256R1())
            if algorithm == "ES256"
            else rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        )
        area = build.area(signing_key_template(algorithm, restricted=restricted), private)
        der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return WrappedKey(public=area.sized, private=encode_tpm2b(self._seed + der))

    def _load(self, key: WrappedKey) -> build.PrivateKey:
        """A TPM loads only what was wrapped under its own seed."""
        blob = key.private[2:]
        if blob[:16] != self._seed:
            raise Refused(Reason.HARDWARE_REFUSED, "TPM_RC_INTEGRITY")
        private = load_der_private_key(blob[16:], password=None)
        assert isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
        return private
