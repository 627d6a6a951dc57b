from keystead.codec.tpm2 import (
    Curve,
    encode_ecc_encrypted_secret,
    encode_id_object,
    encode_rsa_encrypted_secret,
)


def test_id_object_holds_a_sized_hmac_and_the_bare_identity() -> None:
    made = encode_id_object(integrity=b"\xaa" * 32, encrypted_identity=b"\xbb" * 34)
    assert made.hex() == "0044" + "0020" + "aa" * 32 + "bb" * 34


def test_rsa_secret_is_one_buffer() -> None:
    assert encode_rsa_encrypted_secret(b"\xcc" * 256) == b"\x01\x00" + b"\xcc" * 256


def test_ecc_secret_is_a_padded_point() -> None:
    made = encode_ecc_encrypted_secret(curve=Curve.P256, x=1, y=2)
    point = "0020" + "00" * 31 + "01" + "0020" + "00" * 31 + "02"
    assert made.hex() == "0044" + point
