"""Files are all there or not at all; what is not a plain file stays what it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tncc.errors import InputError
from tncc.files import replacing, write_text


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_text(target, "before")
    with pytest.raises(KeyboardInterrupt), replacing(target) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    write_text(target, "after")
    assert target.read_text() == "after"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_the_mode_is_a_new_file_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int, mode: int) -> None:
    """And the umask, which is all threads', is left alone."""
    set_umask = os.umask
    before = set_umask(umask)
    try:
        monkeypatch.setattr(os, "umask", lambda mask: pytest.fail(f"the umask is set to {mask:o}"))
        write_text(tmp_path / "file", "text")
        assert (tmp_path / "file").stat().st_mode & 0o777 == mode
    finally:
        set_umask(before)


def test_names_of_temporary_files_that_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter([b"a", b"a", b"b"])
    monkeypatch.setattr(os, "urandom", lambda count: next(numbers))
    with replacing(tmp_path / "file") as first:
        write_text(tmp_path / "file", "second")
        first.write(b"first")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "first")]


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127])
def test_names_as_long_as_the_file_system_takes(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / name, "text")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write_text(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "text"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)  # neither end waits for the other
    try:
        write_text(tmp_path / "pipe", "text")
        assert os.read(reader, 100) == b"text"
    finally:
        os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "the name of the file to write is empty"),
        ("{}", "{}: cannot write the file: Is a directory"),
        ("{}/no/file", "{}/no/file: cannot write the file: No such file or directory"),
    ],
)
def test_names_that_cannot_be_written(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        write_text(name.format(tmp_path), "text")
    assert str(error.value) == message.format(tmp_path)
