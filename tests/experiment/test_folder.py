"""Result files: complete and together, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from movable.errors import BadInput
from movable.experiment.folder import Folder


def test_files_appear_under_their_names_and_nothing_else(tmp_path: Path) -> None:
    """No temporary file stays."""
    written = Folder(tmp_path / "new" / "out").write({"a.json": "1", "b.txt": "2"})

    assert [path.read_text() for path in written] == ["1", "2"]
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == ["a.json", "b.txt"]


def test_a_folder_is_made_only_when_there_is_something_to_write(tmp_path: Path) -> None:
    """A run that fails leaves nothing behind."""
    Folder(tmp_path / "out")

    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_refused_before_anything_runs(tmp_path: Path) -> None:
    """Nobody waits an hour to hear it."""
    (tmp_path / "out").write_text("mine")

    with pytest.raises(BadInput, match="is not a folder"):
        Folder(tmp_path / "out")


def test_a_name_may_have_folders(tmp_path: Path) -> None:
    """They are made."""
    Folder(tmp_path).write({"a/b/c": "1", "a/d": "2"})

    assert (tmp_path / "a" / "b" / "c").read_text() == "1"
    assert (tmp_path / "a" / "d").read_text() == "2"


def test_a_message_names_the_option(tmp_path: Path) -> None:
    """More than one of them takes a folder."""
    (tmp_path / "out").write_text("mine")

    with pytest.raises(BadInput, match=r"^--proc .*/out: "):
        Folder(tmp_path / "out", "--proc")


def test_an_old_result_stays_whole_when_the_new_one_cannot_be_written(tmp_path: Path) -> None:
    """The second file cannot be written: the first is not replaced either."""
    folder = Folder(tmp_path)
    folder.write({"a": "old", "b": "old"})

    with pytest.raises(BadInput, match="name a folder that can be written"):
        folder.write({"a": "new", "x" * 1000: "new"})

    assert (tmp_path / "a").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
