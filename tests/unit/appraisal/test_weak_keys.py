"""The fingerprint against keys made as the broken generator made them, and as OpenSSL does."""

import random
from math import prod

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from keystead.appraisal.weak_keys import _PRIMES, _RESIDUES, has_roca_fingerprint

# The generator's own moduli: products of the first 39 primes (short keys) and first 126 (2048 bit).
MORE_PRIMES = [number for number in range(2, 710) if all(number % d for d in range(2, number))]


def is_probable_prime(number: int) -> bool:
    return all(pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7, 11))


def vulnerable_prime(bits: int, primes: list[int], dice: random.Random) -> int:
    """A prime k·M + (65537^a mod M), as the library made them."""
    product = prod(primes)
    while True:
        power = pow(65_537, dice.randrange(1 << 64), product)
        factor = dice.getrandbits(bits - product.bit_length())
        candidate = factor * product + power
        if is_probable_prime(candidate):
            return candidate


@pytest.mark.parametrize(("bits", "count"), [(256, 39), (512, 71), (1024, 126)])
def test_finds_keys_of_the_broken_generator(bits: int, count: int) -> None:
    dice = random.Random(count)
    p, q = (vulnerable_prime(bits, MORE_PRIMES[:count], dice) for _ in range(2))
    assert has_roca_fingerprint(p * q)


def test_clears_keys_of_openssl() -> None:
    for _ in range(3):
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        assert not has_roca_fingerprint(key.public_key().public_numbers().n)


def test_clears_random_odd_numbers() -> None:
    dice = random.Random(1)
    assert not any(has_roca_fingerprint(dice.getrandbits(2_048) | 1) for _ in range(20_000))


def test_the_chance_of_a_false_alarm_is_as_small_as_it_says() -> None:
    assert tuple(MORE_PRIMES[:39]) == _PRIMES
    odds = prod(prime / len(residues - {0}) for prime, residues in _RESIDUES if prime > 2)
    assert odds > 2**27
