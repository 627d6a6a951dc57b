"""RSA keys whose maker's generator was broken: ROCA (CVE-2017-15361).

The faulty library made primes of the form k·M + (65537^a mod M), with M the product of the first
small primes. So the modulus is, modulo every one of those small primes, a power of 65537. A random
modulus passes for all primes below with a probability of about 2^-27.

Source: Nemec, Sys, Svenda, Klinec, Matyas: The Return of Coppersmith's Attack (ACM CCS 2017), §3.
"""

from __future__ import annotations

from typing import Final

_GENERATOR: Final = 65_537

# The first 39 primes: M for the library's shortest keys, so part of M for all lengths.
_PRIMES: Final = (
    *(2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83),
    *(89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167),
)


def _powers(prime: int) -> frozenset[int]:
    found, power = set(), 1
    while power not in found:
        found.add(power)
        power = power * _GENERATOR % prime
    return frozenset(found)


_RESIDUES: Final = tuple((prime, _powers(prime)) for prime in _PRIMES)


def has_roca_fingerprint(modulus: int) -> bool:
    """Whether ``modulus`` looks as if the faulty generator had made it."""
    return all(modulus % prime in residues for prime, residues in _RESIDUES)
