"""Where Intel's library is looked for, and what becomes of it."""

from pathlib import Path

import pytest

from keystead._native import batch as native
from keystead.jose import multi_buffer
from keystead.jose.batch import capabilities

METADATA = "Metadata-Version: 2.1\nName: ipp-crypto\nVersion: 2026.2.0\n"


def install(folder: Path, *files: str) -> None:
    """A package as pip leaves it: its files listed in RECORD, relative to site-packages."""
    info = folder / "site-packages" / "ipp_crypto-2026.2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(METADATA)
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("sys.path", [str(tmp_path / "site-packages")])
    return tmp_path


def test_finds_the_library_that_the_package_lists(place: Path) -> None:
    install(place, "../lib/libippcp.so.13", "../lib/libcrypto_mb.so", "../lib/libcrypto_mb.so.13")
    assert multi_buffer.installed() == (place / "lib/libcrypto_mb.so.13").resolve()


def test_finds_nothing_without_the_package(place: Path) -> None:
    assert multi_buffer.installed() is None


@pytest.mark.parametrize("files", [[], ["../lib/libcrypto_mb.so", "../lib/libcrypto_mb.so.14"]])
def test_finds_nothing_in_a_package_of_another_interface(place: Path, files: list[str]) -> None:
    install(place, *files)
    assert multi_buffer.installed() is None


def test_the_environment_names_no_place(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "libcrypto_mb.so.13").write_bytes(b"\x7fELF")
    for name in ("LD_LIBRARY_PATH", "PATH", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, str(place))
    monkeypatch.chdir(place)
    assert multi_buffer.installed() is None


@pytest.mark.parametrize(("suits", "there"), [(True, True), (True, False), (False, True)])
def test_loads_what_is_there_on_a_cpu_that_it_suits(
    place: Path, monkeypatch: pytest.MonkeyPatch, suits: bool, there: bool
) -> None:
    loaded: list[bytes] = []
    monkeypatch.setattr(native, "multi_buffer_suits", lambda: suits)
    monkeypatch.setattr(native, "load_multi_buffer", loaded.append)
    if there:
        install(place, "../lib/libcrypto_mb.so.13")
    multi_buffer.load()
    expected = bytes((place / "lib/libcrypto_mb.so.13").resolve())
    assert loaded == ([expected] if suits and there else [])


def test_capabilities_say_why_the_library_is_not_used() -> None:
    es384, rs256, ps256 = (capabilities()[name] for name in ("ES384", "RS256", "PS256"))
    assert (rs256.path, rs256.reason, rs256.forced) == (ps256.path, ps256.reason, ps256.forced)
    reason = "this CPU has no AVX-512 IFMA"
    if not native.multi_buffer_suits() and not rs256.forced:
        assert (rs256.path, rs256.reason) == ("openssl", reason)
    if not native.multi_buffer_suits() and not es384.forced:
        assert (es384.path, es384.reason) == ("portable", reason)


def test_the_door_takes_exact_bytes_only() -> None:
    for wrong in ("/lib", None, bytearray(b"/lib")):
        with pytest.raises(TypeError):
            native.load_multi_buffer(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="zero bytes"):
        native.load_multi_buffer(b"/lib\0/libcrypto_mb.so.13")
