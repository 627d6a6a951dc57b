"""Certificate revocation lists (RFC 5280 §5), given to a policy or sent with the evidence.

AMD publishes one a root, Intel one a CA. A list is believed of the CA whose key signed it, from its
thisUpdate to its nextUpdate: one that has run out revokes nobody and clears nobody, so paths end
with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from keystead.appraisal.path import Untrusted
from keystead.errors import ConfigurationError, Reason

MAX_LIST_BYTES: Final = 1 << 20
"""AMD's have some hundred bytes."""

_PEM: Final = b"-----BEGIN X509 CRL-----"


class Revoked(Untrusted):
    """A list names the certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """One list; ``issuer`` is the DER name of the CA that it is of."""

    issuer: bytes
    this_update: int
    next_update: int
    crl: x509.CertificateRevocationList = field(repr=False)

    def check(self, serial: int, *, key: RSAPublicKey | EllipticCurvePublicKey) -> tuple[int, int]:
        """From when to when the list says that ``serial`` is not revoked, Unix seconds.

        ``key`` is the issuer's. ``Revoked``; ``Untrusted`` for a list that this key did not sign.
        """
        if not self.crl.is_signature_valid(key):
            raise Untrusted("a revocation list that its issuer did not sign")
        if self.crl.get_revoked_certificate_by_serial_number(serial) is not None:
            raise Revoked(f"certificate {serial} is revoked")
        return self.this_update, self.next_update


def load_revocation_list(path: Path) -> RevocationList:
    """The list in the file ``path``, DER or PEM; ConfigurationError names it."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_LIST_BYTES + 1)
        return parse_revocation_list(data)
    except OSError as error:
        raise _wrong(path, error.strerror or "cannot be read") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _wrong(path, str(error)) from error


def parse_revocation_list(data: bytes) -> RevocationList:
    """The list in ``data``; ValueError where it is none, or of a kind that is unknown."""
    if len(data) > MAX_LIST_BYTES:
        raise ValueError(f"more than {MAX_LIST_BYTES} bytes")
    if data.lstrip().startswith(_PEM):
        crl = x509.load_pem_x509_crl(data)
    else:
        crl = x509.load_der_x509_crl(data)
    if crl.next_update_utc is None:
        raise ValueError("a revocation list without an end")
    critical = [each.oid.dotted_string for each in crl.extensions if each.critical]
    if critical:  # Such as a delta, or a list of another CA's certificates.
        raise ValueError(f"critical extensions {critical}")
    return RevocationList(
        issuer=crl.issuer.public_bytes(),
        this_update=int(crl.last_update_utc.timestamp()),
        next_update=int(crl.next_update_utc.timestamp()),
        crl=crl,
    )


def _wrong(path: Path, detail: str) -> ConfigurationError:
    return ConfigurationError(Reason.CONFIGURATION_INVALID, f"{path}: {detail}")
