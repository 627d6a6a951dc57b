"""A TPM 2.0 without any TSS: commands over a deadline transport, run by one owner thread.

tpm = Tpm2Device("device:/dev/tpmrm0")
key = await tpm.create_signing_key("ES256")
signature = await tpm.sign(key, hashlib.sha256(signing_input).digest())
"""

from keystead.hardware.tpm2.device import Tpm2Device
from keystead.hardware.tpm2.properties import TpmProperties

__all__ = ["Tpm2Device", "TpmProperties"]
