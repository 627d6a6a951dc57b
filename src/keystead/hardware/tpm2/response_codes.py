"""TPM response codes and what they mean for a caller (TPM 2.0 Part 2 §6.6)."""

from __future__ import annotations

from typing import Final

from keystead.errors import KeysteadError, Reason, Refused, Unavailable

RC_INITIALIZE: Final = 0x100
RC_FAILURE: Final = 0x101
RC_PCR_CHANGED: Final = 0x128
RC_NV_UNINITIALIZED: Final = 0x14A
RC_NV_DEFINED: Final = 0x14C
RC_OBJECT_MEMORY: Final = 0x902
RC_SESSION_MEMORY: Final = 0x903
RC_LOCALITY: Final = 0x907
RC_YIELDED: Final = 0x908
RC_TESTING: Final = 0x90A
RC_REFERENCE_H0: Final = 0x910
RC_REFERENCE_S6: Final = 0x91E
RC_NV_RATE: Final = 0x920
RC_RETRY: Final = 0x922
# Format one, without the bits that name the parameter, handle or session.
RC_HANDLE: Final = 0x08B

_FORMAT_ONE: Final = 0x080
_FORMAT_ONE_ERROR: Final = 0x0BF
_PARAMETER: Final = 0x040
_WARNING: Final = 0x900

# The TPM asks for the same command again (Part 1 §30.3): worth waiting for.
_ASK_AGAIN: Final = frozenset({RC_YIELDED, RC_TESTING, RC_NV_RATE, RC_RETRY})

_NAMES: Final = {
    RC_INITIALIZE: "INITIALIZE",
    RC_FAILURE: "FAILURE",
    0x120: "DISABLED",
    0x124: "AUTH_TYPE",
    0x126: "POLICY",
    RC_PCR_CHANGED: "PCR_CHANGED",
    0x12F: "AUTH_UNAVAILABLE",
    0x131: "BAD_CONTEXT",
    0x142: "COMMAND_SIZE",
    0x143: "COMMAND_CODE",
    0x144: "AUTHSIZE",
    0x145: "AUTH_CONTEXT",
    0x146: "NV_RANGE",
    0x148: "NV_LOCKED",
    0x149: "NV_AUTHORIZATION",
    RC_NV_UNINITIALIZED: "NV_UNINITIALIZED",
    0x14B: "NV_SPACE",
    RC_NV_DEFINED: "NV_DEFINED",
    0x153: "SENSITIVE",
    0x081: "ASYMMETRIC",
    0x082: "ATTRIBUTES",
    0x083: "HASH",
    0x084: "VALUE",
    0x085: "HIERARCHY",
    0x087: "KEY_SIZE",
    0x08A: "TYPE",
    RC_HANDLE: "HANDLE",
    0x08E: "AUTH_FAIL",
    0x08F: "NONCE",
    0x092: "SCHEME",
    0x095: "SIZE",
    0x096: "SYMMETRIC",
    0x097: "TAG",
    0x098: "SELECTOR",
    0x09A: "INSUFFICIENT",
    0x09B: "SIGNATURE",
    0x09C: "KEY",
    0x09D: "POLICY_FAIL",
    0x09F: "INTEGRITY",
    0x0A0: "TICKET",
    0x0A1: "RESERVED_BITS",
    0x0A2: "BAD_AUTH",
    0x0A3: "EXPIRED",
    0x0A4: "POLICY_CC",
    0x0A5: "BINDING",
    0x0A6: "CURVE",
    0x0A7: "ECC_POINT",
    0x901: "CONTEXT_GAP",
    RC_OBJECT_MEMORY: "OBJECT_MEMORY",
    RC_SESSION_MEMORY: "SESSION_MEMORY",
    0x904: "MEMORY",
    0x905: "SESSION_HANDLES",
    0x906: "OBJECT_HANDLES",
    RC_LOCALITY: "LOCALITY",
    RC_YIELDED: "YIELDED",
    0x909: "CANCELED",
    RC_TESTING: "TESTING",
    RC_NV_RATE: "NV_RATE",
    0x921: "LOCKOUT",
    RC_RETRY: "RETRY",
    0x923: "NV_UNAVAILABLE",
}


class TpmError(Exception):
    """The TPM answered a command with a response code other than success."""

    def __init__(self, code: int, command: str) -> None:
        self.code = code
        self.command = command
        super().__init__(code, command)

    @property
    def base(self) -> int:
        """The code without the number of the parameter, handle or session that it blames."""
        return self.code & _FORMAT_ONE_ERROR if self.code & _FORMAT_ONE else self.code

    @property
    def asks_again(self) -> bool:
        """Whether the same command may be sent once more."""
        return self.code in _ASK_AGAIN

    @property
    def lost_handle(self) -> bool:
        """Whether a loaded object or session is gone, as after a reset of the TPM."""
        gone = RC_REFERENCE_H0 <= self.code <= RC_REFERENCE_S6
        return gone or (self.base == RC_HANDLE and not self.code & _PARAMETER)

    @property
    def stale(self) -> bool:
        """Whether a new connection, which starts with an empty TPM, may help."""
        return self.lost_handle or self.code in (RC_OBJECT_MEMORY, RC_SESSION_MEMORY)

    @property
    def blames_parameter(self) -> bool:
        """Whether the TPM did not like what it was given, rather than who asked or when."""
        return bool(self.code & _FORMAT_ONE) and not self.lost_handle

    def __str__(self) -> str:
        name = _NAMES.get(self.base, "unlisted")
        return f"{self.command}: TPM_RC_{name} ({self.code:#05x}{self._blamed()})"

    def _blamed(self) -> str:
        if not self.code & _FORMAT_ONE:
            return ""
        number = self.code >> 8 & 0xF
        if self.code & _PARAMETER:
            return f", parameter {number}"
        return f", session {number & 7}" if number & 8 else f", handle {number}"

    def for_caller(self) -> KeysteadError:
        """Unavailable for a TPM that is busy, full or failed; Refused for everything else."""
        away = self.code in (RC_INITIALIZE, RC_FAILURE)
        warning = not self.code & _FORMAT_ONE and self.code & _WARNING == _WARNING
        if away or self.lost_handle or (warning and self.code != RC_LOCALITY):
            return Unavailable(Reason.HARDWARE_UNAVAILABLE, str(self))
        return Refused(Reason.HARDWARE_REFUSED, str(self))
