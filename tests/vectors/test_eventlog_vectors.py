"""Real boot logs, against the PCR values that their machines' TPMs reported."""

from pathlib import Path

import pytest

from keystead.codec import eventlog
from keystead.codec.hashes import HashAlgorithm
from keystead.errors import Malformed

SEPARATOR_ONLY = "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969"
# SHA-256 banks, as published with these logs.
PCRS = {
    "rhel8-uefi.bin": {
        0: "24af52a4f429b71a3184a6d64cddad17e54ea030e2aa6576bf3a5a3d8bd3328f",
        1: "454220afaa80c83c3839f6cccd8b3c88bf4f562316a9dda1121c578c9e005a53",
        2: SEPARATOR_ONLY,
        3: SEPARATOR_ONLY,
        4: "758a3d35f1b0ff5b135dacd07db0c8132c0ac665d944090d4bf96e66447a245c",
        5: "53d0ee36163219201e686167bbb71ec505b3ba2917b9d9183ed84aad26cfeb89",
        6: SEPARATOR_ONLY,
        7: "5fd54361d580eb7592adb8deb236ff35444ceeac7148f24b3de63c041f12b3da",
        8: "25c3874041ebd4e9a21b6ed71b624a7bfa99907a8dcea7f129a4c64cbaf5829a",
        9: "d43b2f61eb18b4791812ff5f20ab20e4ef621ba683370bedf5dbdf518b3a8078",
        14: "d8f57ebcc1a23cc46832696e1a657f720e1be8f5b405bb7204682114e363b455",
    },
    "ubuntu-2104-no-secure-boot.bin": {
        0: "24af52a4f429b71a3184a6d64cddad17e54ea030e2aa6576bf3a5a3d8bd3328f",
        1: "45ed8540f34db53220ef197e5fb8a3835b2095454349e445f397f13d91c509a5",
        2: SEPARATOR_ONLY,
        3: SEPARATOR_ONLY,
        4: "ebc7ae25d0347868250995c9a8fff16bf79e048453262d0ef2756e213c76181c",
        5: "47715f9f2c10769da6ee23be5633fd88e247caf162f4eeb0b6f8482ccfeadfb5",
        6: SEPARATOR_ONLY,
        7: "0d8847bc5eca06452df10e2f214363845c7ac11d47525a5474e225e72ce25dfe",
        8: "b9a324947de94ec2fd4b04483ecfcb37dfdd520a7c0ecf73c77bf2595549c84f",
        9: "adb87be3efd96cc3a2f66b8aa7564f9727563ef494a95d571a3f38ff4afb25dd",
        14: "8351c65483c5419079e8c96758dd2130bee075d71fea226f68ec4eb5bfc71983",
    },
    # Started from locality 3, which shows in PCR 0 alone.
    "glinux-alex.bin": {
        0: "0e5ea849d7647a1ac1becc096fee4df98f00f8015f934afadaab0b8aa20b38a5",
        1: "9750400838980c9419764b9cf19c975c0e159c18ebe21cb897c6e834a8d8d433",
        2: "970096d49105b0404999173e49c3f6b8597b9c4c5ff6a9e364b55ce01037578e",
        3: SEPARATOR_ONLY,
        4: "ddb124ca9013f1e42f98537f7f381e47c5e6caa988cf2b4088f452c5a8dd912d",
        5: "fb58603615cfec59c0428e71913d30d45f38e4280380cc814135a7659c246b13",
        6: SEPARATOR_ONLY,
        7: "9d1be46302bc4f5055c90a0376d9142e397ca8744f387c9824170f1bc855fde5",
    },
}
LOGS = [
    "arch-linux-workstation.bin",
    "cos-85-amd-sev.bin",
    "debian-10.bin",
    "glinux-alex.bin",
    "option_rom.bin",
    "rhel8-uefi.bin",
    "ubuntu-2104-no-secure-boot.bin",
]


@pytest.mark.parametrize("name", PCRS)
def test_replays_to_the_pcr_values_of_the_machine(vectors: Path, name: str) -> None:
    log = eventlog.parse((vectors / "eventlog" / name).read_bytes())
    values = eventlog.replay(log, HashAlgorithm.SHA256)
    assert {pcr: value.hex() for pcr, value in values.items()} == PCRS[name]


@pytest.mark.parametrize("name", LOGS)
def test_parses_and_replays_every_bank(vectors: Path, name: str) -> None:
    log = eventlog.parse((vectors / "eventlog" / name).read_bytes())
    assert len(log.events) > 20
    for algorithm in log.digest_sizes:
        values = eventlog.replay(log, HashAlgorithm(algorithm))
        assert {len(value) for value in values.values()} == {log.digest_sizes[algorithm]}


@pytest.mark.parametrize("name", LOGS)
def test_rejects_every_log_cut_in_its_last_event(vectors: Path, name: str) -> None:
    data = (vectors / "eventlog" / name).read_bytes()
    with pytest.raises(Malformed):
        eventlog.parse(data[:-1])


def test_a_log_of_the_startup_locality_alone_explains_pcr_0(vectors: Path) -> None:
    log = eventlog.parse((vectors / "eventlog" / "short_no_action.bin").read_bytes())
    assert log.startup_locality == 3
    assert eventlog.replay(log, HashAlgorithm.SHA1) == {0: bytes(19) + b"\x03"}
