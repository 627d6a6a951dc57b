import errno
from pathlib import Path
from typing import Any

import pytest

from keystead.errors import KeysteadError, Malformed, Reason, Refused, Unavailable
from keystead.hardware.tsm import MAX_BLOB_BYTES, Configfs, TsmReport, TsmReports
from tests.fake_devices import FakeTsm

DATA = bytes(range(64))


def answer(data: bytes) -> bytes:
    return b"report over " + data


def ask(fake: FakeTsm, **changes: Any) -> TsmReport:
    wanted: dict[str, Any] = {"inblob": DATA, "provider": "sev_guest"}
    return TsmReports(fake).report(**(wanted | changes))


def refusal(fake: FakeTsm, **changes: Any) -> KeysteadError:
    with pytest.raises(KeysteadError) as refused:
        ask(fake, **changes)
    assert fake.folders == set(), "the folder is removed, whatever happened"
    return refused.value


def test_makes_a_report_and_cleans_up() -> None:
    fake = FakeTsm(answer, auxblob=b"table")
    assert ask(fake) == TsmReport(outblob=answer(DATA), auxblob=b"table")
    assert fake.written == [("inblob", DATA)]
    assert fake.folders == set()


def test_asks_from_the_level_that_is_wanted() -> None:
    fake = FakeTsm(answer, auxblob=b"")
    assert ask(fake, privlevel=2).outblob == answer(DATA)
    assert fake.written == [("privlevel", b"2"), ("inblob", DATA)]


def test_there_need_be_no_auxblob() -> None:
    fake = FakeTsm(answer, provider="tdx_guest\n")
    assert ask(fake, provider="tdx_guest").auxblob == b""


@pytest.mark.parametrize("others", [1, 2])
def test_asks_again_where_somebody_else_wrote(others: int) -> None:
    fake = FakeTsm(answer, others=others)
    assert ask(fake).outblob == answer(DATA)
    assert fake.written == [("inblob", DATA)] * (others + 1)


def test_asks_again_where_the_kernel_is_busy() -> None:
    fake = FakeTsm(answer, busy=2)
    assert ask(fake).outblob == answer(DATA)
    assert fake.written == [("inblob", DATA)]
    assert type(refusal(FakeTsm(answer, busy=3))) is Unavailable


def test_gives_up_where_others_keep_writing() -> None:
    fake = FakeTsm(answer, others=3)
    error = refusal(fake)
    assert (type(error), error.reason) == (Unavailable, Reason.HARDWARE_UNAVAILABLE)
    assert "others keep writing" in error.detail
    assert len(fake.written) == 3


def test_refuses_another_provider() -> None:
    error = refusal(FakeTsm(answer), provider="tdx_guest")
    assert (type(error), error.reason) == (Refused, Reason.HARDWARE_REFUSED)
    assert "'sev_guest', not tdx_guest" in error.detail


@pytest.mark.parametrize(
    ("file", "number", "kind"),
    [
        ("", errno.ENOENT, Unavailable),
        ("", errno.ENXIO, Unavailable),
        ("", errno.EACCES, Unavailable),
        ("inblob", errno.EINVAL, Refused),
        ("inblob", errno.EBUSY, Unavailable),
        ("privlevel", errno.EINVAL, Refused),
        ("outblob", errno.EIO, Refused),
        ("outblob", errno.ETIMEDOUT, Unavailable),
        ("auxblob", errno.EIO, Refused),
        ("generation", errno.EIO, Refused),
        ("provider", errno.ENOENT, Refused),
    ],
)
def test_says_what_failed(file: str, number: int, kind: type[KeysteadError]) -> None:
    assert type(refusal(FakeTsm(answer, fails={file: number}), privlevel=1)) is kind


def test_a_folder_that_stays_is_no_failure() -> None:
    fake = FakeTsm(answer, fails={"remove": errno.EBUSY})
    assert ask(fake).outblob == answer(DATA)


@pytest.mark.parametrize("file", ["outblob", "auxblob", "provider", "generation"])
def test_reads_no_file_without_end(file: str) -> None:
    error = refusal(FakeTsm(answer, auxblob=b"", replaced={file: bytes(MAX_BLOB_BYTES + 1)}))
    assert (type(error), error.reason) == (Malformed, Reason.TOO_LARGE)


@pytest.mark.parametrize("number", [b"", b"\n", b"-1\n", b"1.5\n", b"one\n", b"\xff\n"])
def test_rejects_a_generation_that_is_no_number(number: bytes) -> None:
    error = refusal(FakeTsm(answer, replaced={"generation": number}))
    assert (type(error), error.reason) == (Malformed, Reason.MALFORMED)


@pytest.mark.parametrize("data", [b"", bytes(63), bytes(65)])
def test_asks_over_64_bytes_only(data: bytes) -> None:
    assert type(refusal(FakeTsm(answer), inblob=data)) is Malformed


def test_names_no_folder_twice() -> None:
    names = []

    class Watched(FakeTsm):
        def make(self, name: str) -> None:
            names.append(name)
            super().make(name)

    for _ in range(5):
        ask(Watched(answer))
    assert len(set(names)) == 5


# The real files, as far as a folder without a kernel behind it has them.


def test_real_files_are_written_and_read(tmp_path: Path) -> None:
    files = Configfs(tmp_path)
    assert files.there
    files.make("one")
    (tmp_path / "one" / "inblob").touch()
    files.write("one", "inblob", DATA)
    assert files.read("one", "inblob", max_bytes=100) == DATA
    assert files.read("one", "inblob", max_bytes=3) == DATA[:3]
    (tmp_path / "one" / "inblob").unlink()
    files.remove("one")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_kernel_is_never_made_here(tmp_path: Path) -> None:
    files = Configfs(tmp_path)
    files.make("one")
    with pytest.raises(FileNotFoundError):
        files.write("one", "inblob", DATA)


def test_reads_no_more_of_an_endless_file(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "outblob").symlink_to("/dev/zero")
    assert Configfs(tmp_path).read("one", "outblob", max_bytes=9) == bytes(9)


def test_a_machine_without_them_is_unavailable(tmp_path: Path) -> None:
    reports = TsmReports(Configfs(tmp_path / "missing"))
    assert not reports.there
    with pytest.raises(Unavailable, match="missing: No such file"):
        reports.report(DATA, provider="sev_guest")
