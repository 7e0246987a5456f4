"""Running PostgreSQL when we are root, as which it refuses to run.

It then runs as a system user of its own. That user must be able to pass through the folders above the data
and above the programs, and root's folders are often closed to others (/root, or what mktemp makes). We let
this one user pass, by an access control entry that grants search permission and nothing else; where the file
system has no such entries, by the search permission for others, which lets nobody list a folder either. A
folder that the user can already pass is left alone.
"""

import errno
import os
import pwd
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from db.errors import EmbeddedDatabaseError

SYSTEM_USER = "embedded_postgres"

# The kernel's encoding of an access control list, include/uapi/linux/posix_acl_xattr.h: a version, then
# (tag, permissions, id) each, in the order of tag and id.
ACL_ATTRIBUTE = "system.posix_acl_access"
ACL_VERSION = 2
ACL_ENTRY = struct.Struct("<HHI")
USER_OBJ, USER, GROUP_OBJ, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
NO_ID = 0xFFFFFFFF
SEARCH = 0o1


class SystemUser(msgspec.Struct, frozen=True):
    uid: int
    gid: int

    def popen_arguments(self) -> Mapping[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def system_user(data: Path) -> SystemUser | None:
    """Return the user that PostgreSQL must run as, made if need be; None when it can run as ourselves.

    Data that belongs to somebody already, who ran it without being root, stays theirs.
    Raises EmbeddedDatabaseError.
    """
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        return SystemUser(data.stat().st_uid, data.stat().st_gid)
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        entry = _make_user()
    return SystemUser(entry.pw_uid, entry.pw_gid)


def let_pass(user: SystemUser, folder: Path) -> None:
    """Make sure that the user can enter the folder. Raises EmbeddedDatabaseError."""
    if _can_enter(user, folder):
        return
    for above in reversed([folder, *folder.parents]):
        if not _can_enter(user, above):
            _grant_search(user, above)
    if not _can_enter(user, folder):
        raise EmbeddedDatabaseError(
            f"PostgreSQL cannot run as root, and its user {SYSTEM_USER} cannot enter {folder}: "
            "run docsearch as an ordinary user, or choose another folder with DOCSEARCH_HOME."
        )


def _make_user() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    try:
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as exc:
        raise EmbeddedDatabaseError(
            f"PostgreSQL cannot run as root, and the user {SYSTEM_USER} could not be made for it: "
            "run docsearch as an ordinary user."
        ) from exc
    return pwd.getpwnam(SYSTEM_USER)


def _can_enter(user: SystemUser, folder: Path) -> bool:
    # Asked of the kernel, as that user: only it knows modes, lists and mounts together.
    entered = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)], check=False, capture_output=True, cwd="/",
        **user.popen_arguments(),
    )  # fmt: skip
    return entered.returncode == 0


def _grant_search(user: SystemUser, folder: Path) -> None:
    mode = folder.stat().st_mode
    try:
        os.setxattr(folder, ACL_ATTRIBUTE, _with_search(_read_acl(folder, mode), user.uid))
    except (OSError, AttributeError):  # no lists here: another file system, or not Linux
        try:
            folder.chmod(mode | SEARCH)
        except OSError as exc:
            raise EmbeddedDatabaseError(
                f"PostgreSQL's user {SYSTEM_USER} cannot enter {folder} ({exc.strerror}): "
                "run docsearch as an ordinary user, or choose another folder with DOCSEARCH_HOME."
            ) from exc


def _read_acl(folder: Path, mode: int) -> dict[tuple[int, int], int]:
    """Return permissions by (tag, id); a folder without a list has the one that its mode says."""
    try:
        data = os.getxattr(folder, ACL_ATTRIBUTE)
    except OSError as exc:
        if exc.errno != errno.ENODATA:
            raise
        return {
            (USER_OBJ, NO_ID): mode >> 6 & 0o7,
            (GROUP_OBJ, NO_ID): mode >> 3 & 0o7,
            (MASK, NO_ID): mode >> 3 & 0o7,
            (OTHER, NO_ID): mode & 0o7,
        }
    return {(tag, id_): permissions for tag, permissions, id_ in ACL_ENTRY.iter_unpack(data[4:])}


def _with_search(acl: Mapping[tuple[int, int], int], uid: int) -> bytes:
    # The mask bounds what all named users and groups get, so it must let the permission through; the owning
    # group keeps its own entry and gains nothing by it.
    mask = acl.get((MASK, NO_ID), acl[GROUP_OBJ, NO_ID])
    granted = {**acl, (USER, uid): acl.get((USER, uid), 0) | SEARCH, (MASK, NO_ID): mask | SEARCH}
    entries = (ACL_ENTRY.pack(tag, permissions, id_) for (tag, id_), permissions in sorted(granted.items()))
    return struct.pack("<I", ACL_VERSION) + b"".join(entries)
