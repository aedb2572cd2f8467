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
