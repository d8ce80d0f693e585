"""A file is whole or not there, whatever fails while it is written."""

import errno
import os
from pathlib import Path

import pytest

from nlmodel.errors import FileError
from paper_repro.files import sha256, write_atomically


def failing(*_args, **_more):
    raise OSError(errno.ENOSPC, "No space left on device")


STEPS = [(Path, "open"), (os, "fsync"), (Path, "replace")]


@pytest.mark.parametrize(("owner", "step"), STEPS, ids=[step for _, step in STEPS])
def test_the_old_file_survives_every_failure(owner, step, tmp_path, monkeypatch):
    target = tmp_path / "state"
    write_atomically(target, b"old")
    monkeypatch.setattr(owner, step, failing)
    with pytest.raises(FileError, match="No space left"):
        write_atomically(target, b"new")
    monkeypatch.undo()
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_twin_writing_in_place_loses_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "state"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="No space"), target.open("wb") as stream:
        stream.write(b"ne")
        os.fsync(stream.fileno())
    assert target.read_bytes() != b"old"


def test_the_new_file_replaces_the_old_one(tmp_path):
    target = tmp_path / "state"
    for data in (b"old", b"", b"new"):
        write_atomically(target, data)
        assert target.read_bytes() == data
    assert sha256(target) == "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437"


def test_who_may_read_a_file_is_the_users_choice(tmp_path):
    for mask, mode in ((0o022, 0o644), (0o077, 0o600)):
        before = os.umask(mask)
        try:
            write_atomically(tmp_path / "state", b"data")
        finally:
            os.umask(before)
        assert (tmp_path / "state").stat().st_mode & 0o777 == mode


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match="cannot be written"):
        write_atomically(tmp_path / "nowhere" / "state", b"")
