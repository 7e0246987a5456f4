"""Which files a list of paths means: folders are walked, and what is left out is named."""

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Skipped:
    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """Absolute paths in a stable order, each file once."""

    files: tuple[Path, ...]
    skipped: tuple[Skipped, ...]
    unreadable: tuple[Skipped, ...]
    """Folders and files that are there and cannot be read."""


def find_files(paths: Sequence[Path], suffixes: Collection[str]) -> Found:
    """Walk paths; suffixes (".pdf") choose inside folders, a file that is named itself is always taken."""
    walk = _Walk(frozenset(suffix.lower() for suffix in suffixes))
    for path in paths:
        absolute = Path(os.path.abspath(path))  # noqa: PTH100  (resolve() would follow links)
        if absolute.is_dir():
            walk.enter(absolute)
        else:
            walk.files.append(absolute)
    files, twice = _each_once(walk.files)
    return Found(tuple(files), tuple(walk.skipped + twice), tuple(walk.unreadable))


class _Walk:
    def __init__(self, suffixes: frozenset[str]) -> None:
        self.files: list[Path] = []
        self.skipped: list[Skipped] = []
        self.unreadable: list[Skipped] = []
        self._suffixes = suffixes
        self._entered: set[tuple[int, int]] = set()

    def enter(self, folder: Path) -> None:
        """Take the files below folder, following links, into each folder once: a loop ends where it began."""
        waiting = [folder]
        while waiting:
            current = waiting.pop()
            try:
                if not self._is_new(current):
                    continue
                entries = sorted(os.scandir(current), key=lambda entry: entry.name)
            except OSError as exc:
                self.unreadable.append(Skipped(current, exc.strerror or str(exc)))
                continue
            waiting.extend(reversed(list(self._look_at(entries))))

    def _is_new(self, folder: Path) -> bool:
        status = folder.stat()
        identity = (status.st_dev, status.st_ino)
        if identity in self._entered:
            return False
        self._entered.add(identity)
        return True

    def _look_at(self, entries: Sequence["os.DirEntry[str]"]) -> Iterator[Path]:
        """Note the files among entries, and yield the folders."""
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith("."):
                self.skipped.append(Skipped(path, "hidden"))
                continue
            try:
                mode = entry.stat().st_mode
            except FileNotFoundError:
                self.skipped.append(Skipped(path, "link to nothing"))
                continue
            except OSError as exc:  # no permission, or a link that points at itself
                self.unreadable.append(Skipped(path, exc.strerror or str(exc)))
                continue
            if stat.S_ISDIR(mode):
                yield path
            elif not stat.S_ISREG(mode):
                self.skipped.append(Skipped(path, "not a file"))
            elif path.suffix.lower() not in self._suffixes:
                self.skipped.append(Skipped(path, "format not supported"))
            else:
                self.files.append(path)


def _each_once(files: Sequence[Path]) -> tuple[list[Path], list[Skipped]]:
    """Return files without repetition, and the links to a file that is among them under its own name."""
    unique = list(dict.fromkeys(files))
    known = {path for path in unique if os.path.realpath(path) == str(path)}
    kept, links = [], []
    for path in unique:
        target = Path(os.path.realpath(path))
        if path not in known and target in known:
            links.append(Skipped(path, f"link to {target}"))
        else:
            known.add(target)
            kept.append(path)
    return kept, links
