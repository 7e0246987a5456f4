"""The home folder: made when missing, and held by one serving process at a time."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from db.errors import EmbeddedDatabaseError, HomeLocked


class HomeLock:
    """Holds <home>/lock while in use as a context manager; the kernel lets go of it when the process ends.

    Raises HomeLocked, naming the process that holds it, and EmbeddedDatabaseError for a folder that cannot be
    written. The lock belongs to the process (fcntl), not to the open file: a child that outlives a killed
    parent must not keep the home.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._file: int | None = None

    def __enter__(self) -> Self:
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            file = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise unusable(self.home, exc) from exc
        try:
            _take(file, self.home)
        except BaseException:
            os.close(file)
            raise
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def unusable(home: Path, exc: OSError) -> EmbeddedDatabaseError:
    """Say in one sentence why nothing can be written in a home."""
    reason = (exc.strerror or str(exc)).lower()
    return EmbeddedDatabaseError(
        f"{home} cannot be used ({reason}): make it writable, or choose another folder with DOCSEARCH_HOME."
    )


def _take(file: int, home: Path) -> None:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        holder = os.read(file, 32).strip()
        raise HomeLocked(home, int(holder) if holder.isdigit() else None) from exc
    try:
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
    except OSError as exc:
        raise unusable(home, exc) from exc
