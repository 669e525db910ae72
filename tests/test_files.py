"""Files are written completely or not at all, and hashed by their content."""

import hashlib
from pathlib import Path

import pytest

from basis_pipeline.files import file_sha256, sha256, write_atomically


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    """A reader never finds half a file, nor a temporary one afterwards."""
    target = tmp_path / "a.json"
    write_atomically(target, b"old")
    write_atomically(target, b"new")
    assert target.read_bytes() == b"new"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """A write that fails changes nothing."""
    target = tmp_path / "a"
    target.mkdir()
    with pytest.raises(OSError, match="a"):
        write_atomically(target, b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_hashes_are_those_of_the_content(tmp_path: Path) -> None:
    """The hash of a file and of its bytes agree, and parts are told apart."""
    (tmp_path / "f").write_bytes(b"x\ny")
    assert file_sha256(tmp_path / "f") == hashlib.sha256(b"x\ny").hexdigest() == sha256("x", b"y")
    assert sha256("xy") != sha256("x", "y")
