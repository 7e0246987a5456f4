"""Which files a list of paths means."""

import os
from collections.abc import Iterable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from service.commands.discover import find_files
from service.commands.output import one_line, printable

SUFFIXES = {".md", ".txt"}


def names(paths: Iterable[Path]) -> list[str]:
    return [path.name for path in paths]


def test_folders_are_walked_in_a_stable_order(tmp_path: Path) -> None:
    for name in ("b/z.md", "b/a.md", "a/c.TXT", "top.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = find_files([tmp_path], SUFFIXES)
    assert names(found.files) == ["top.md", "c.TXT", "a.md", "z.md"]
    assert found.skipped == ()


def test_what_is_left_out_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("x")
    (tmp_path / "image.png").write_text("x")
    (tmp_path / "README").write_text("x")
    (tmp_path / "gone.md").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.md")
    found = find_files([tmp_path], SUFFIXES)
    assert found.files == ()
    assert {item.path.name: item.reason for item in found.skipped} == {
        ".env": "hidden",
        "image.png": "format not supported",
        "README": "format not supported",
        "gone.md": "link to nothing",
        "pipe.md": "not a file",
    }


def test_a_file_that_is_named_is_taken_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / ".hidden.xyz").write_text("x")
    assert names(find_files([tmp_path / ".hidden.xyz"], SUFFIXES).files) == [".hidden.xyz"]


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.md").write_text("x")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "self.md").symlink_to(tmp_path / "self.md")
    found = find_files([tmp_path, tmp_path / "a"], SUFFIXES)
    assert names(found.files) == ["one.md"]
    assert names(item.path for item in found.unreadable) == ["self.md"]


def test_a_file_is_taken_once_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "z.md").write_text("x")
    (tmp_path / "a.md").symlink_to(tmp_path / "z.md")
    found = find_files([tmp_path, tmp_path / "z.md", tmp_path], SUFFIXES)
    assert names(found.files) == ["z.md"]
    assert [item.reason for item in found.skipped] == [f"link to {tmp_path / 'z.md'}"]


def test_a_linked_folder_keeps_the_name_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "v2").mkdir()
    (tmp_path / "v2" / "a.md").write_text("x")
    (tmp_path / "current").symlink_to(tmp_path / "v2")
    assert find_files([tmp_path / "current"], SUFFIXES).files == (tmp_path / "current" / "a.md",)


@given(st.text())
@settings(max_examples=200)
def test_printable_text_keeps_its_length_and_drives_no_terminal(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert not any(character != "\n" and character != "\t" and ord(character) < 32 for character in shown)
    assert not set(shown) & set("\x7f\x80\x9b\x9d\u202e\u2066")
    shown.encode("utf-8")
    assert "\n" not in one_line(text)
