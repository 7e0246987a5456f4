"""The embedded PostgreSQL: started, stopped, crashed, and refused a place to be."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from db.embedded import EmbeddedPostgres, database_dsn, running, running_dsn
from db.errors import EmbeddedDatabaseError, HomeLocked
from db.home import HomeLock
from db.pool import connect
from tests.database import TUNING

ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def home():
    """A home whose database was made before; its name is as awkward as a person's folder can be."""
    with tempfile.TemporaryDirectory(prefix="my home's") as folder:
        path = Path(folder) / "docsearch, %41"
        with running(path, tuning=TUNING):
            pass
        yield path


@pytest.fixture
def tmp_path():
    """Not pytest's: that lies in a folder which every other pytest session closes to others as it starts."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def server(home):
    server = EmbeddedPostgres(home, tuning=TUNING)
    yield server
    server.stop("immediate")


async def run_sql(dsn, sql):
    conn = await connect(dsn)
    try:
        return await conn.fetchval(sql)
    finally:
        await conn.close()


def postmaster(home: Path) -> int:
    return int((home / "pg" / "postmaster.pid").read_text().split()[0])


def socket_folder(home: Path) -> str:
    return (home / "pg" / "postmaster.pid").read_text().splitlines()[4]


def is_running(pid: int) -> bool:
    """Return False for a process that has ended, even where nobody has collected it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_data_is_there_after_a_stop_and_a_start(home):
    with running(home, tuning=TUNING) as dsn:
        await run_sql(dsn, "CREATE TABLE kept AS SELECT 7 AS n")
        assert running_dsn(home) == dsn
    assert running_dsn(home) is None
    with running(home, tuning=TUNING) as dsn:
        assert await run_sql(dsn, "SELECT n FROM kept") == 7
        await run_sql(dsn, "DROP TABLE kept")


async def test_it_listens_on_its_socket_alone_and_is_durable_by_default(tmp_path):
    with running(tmp_path) as dsn:
        assert await run_sql(dsn, "SHOW listen_addresses") == ""
        assert await run_sql(dsn, "SELECT inet_server_addr() IS NULL")
        assert [await run_sql(dsn, f"SHOW {name}") for name in ("fsync", "full_page_writes", "jit")] == [
            "on",
            "on",
            "off",
        ]
        assert await run_sql(dsn, "SELECT current_database()") == "docsearch"
        assert await run_sql(dsn, "SELECT lower('ÄÖÅ')") == "äöå"
        (socket_file,) = (tmp_path / "pg").glob(".s.PGSQL.5432")
        assert socket_file.stat().st_mode & 0o077 == 0


async def test_a_killed_server_starts_again_with_its_data(home, server):
    dsn = server.start()
    await run_sql(dsn, "CREATE TABLE survived AS SELECT 1 AS n")
    await run_sql(dsn, "CHECKPOINT")
    os.kill(postmaster(home), signal.SIGKILL)
    wait_until_gone(home)
    assert (home / "pg" / "postmaster.pid").exists()
    dsn = server.start()
    assert await run_sql(dsn, "SELECT n FROM survived") == 1
    await run_sql(dsn, "DROP TABLE survived")


def wait_until_gone(home: Path) -> None:
    """Wait for the backends of a killed server: they hold its socket's other end until they notice."""
    while running_dsn(home) is not None:
        pass


def test_the_pid_of_another_program_in_a_stale_pid_file_is_no_obstacle(home, server):
    server.start()
    socket_dir = Path(socket_folder(home))
    locks = [home / "pg" / "postmaster.pid", socket_dir / ".s.PGSQL.5432.lock"]
    contents = [lock.read_text().splitlines() for lock in locks]
    server.stop()
    for lock, (_, *lines) in zip(locks, contents, strict=True):
        lock.write_text("\n".join([str(os.getpid()), *lines, ""]))
        if server.user:
            os.chown(lock, server.user.uid, server.user.gid)
    assert running_dsn(home) is None
    server.start()
    assert postmaster(home) != os.getpid()


START_AND_DIE = """
import os, signal, sys
from pathlib import Path
from db.embedded import EmbeddedPostgres, HomeLock
from tests.database import TUNING
home = Path(sys.argv[1])
with HomeLock(home):
    EmbeddedPostgres(home, tuning=TUNING).start()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_server_left_by_a_killed_process_is_taken_over_and_stopped(home):
    done = subprocess.run([sys.executable, "-c", START_AND_DIE, str(home)], check=False)
    assert done.returncode == -signal.SIGKILL
    left = postmaster(home)
    with HomeLock(home), running(home, tuning=TUNING):
        assert postmaster(home) == left
    assert not is_running(left)


def test_it_is_out_of_reach_of_ctrl_c(home, server):
    server.start()
    pid = postmaster(home)
    assert os.getsid(pid) != os.getsid(0)
    assert os.getpgid(pid) != os.getpgid(0)


HOLD = """
import sys
import tempfile
from pathlib import Path
from db.home import HomeLock
with HomeLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_home_has_one_holder_and_is_free_when_it_dies(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(HomeLocked, match=f"process {holder.pid}") as refused, HomeLock(tmp_path):
            pass
        assert refused.value.pid == holder.pid
        holder.kill()
    with HomeLock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_command_uses_the_running_database_and_leaves_it_running(home, server):
    dsn = server.start()
    with database_dsn(None, home) as used:
        assert used == dsn
    assert running_dsn(home) == dsn


def test_a_command_runs_the_database_for_itself_when_nobody_does(home):
    with database_dsn(None, home) as dsn:
        assert running_dsn(home) == dsn
    assert running_dsn(home) is None


def test_a_command_prefers_the_configured_database(tmp_path):
    with database_dsn("postgresql://elsewhere/db", tmp_path) as dsn:
        assert dsn == "postgresql://elsewhere/db"
    assert list(tmp_path.iterdir()) == []


def test_an_unusable_home_is_told_in_a_sentence(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for attempt in (HomeLock(file / "home").__enter__, EmbeddedPostgres(file / "home").start):
        with pytest.raises(EmbeddedDatabaseError, match="DOCSEARCH_HOME"):
            attempt()


@pytest.mark.skipif(ROOT, reason="root may write anywhere")
def test_a_read_only_home_is_told_in_a_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(EmbeddedDatabaseError, match="permission denied"), HomeLock(tmp_path / "home"):
        pass


def test_data_of_another_major_version_is_refused(tmp_path):
    (tmp_path / "pg").mkdir()
    (tmp_path / "pg" / "PG_VERSION").write_text("14\n")
    with pytest.raises(EmbeddedDatabaseError, match="made by PostgreSQL 14"):
        EmbeddedPostgres(tmp_path).start()


def test_an_interrupted_first_start_leaves_nothing_in_the_way(tmp_path):
    (tmp_path / "pg.partial").mkdir()
    (tmp_path / "pg.partial" / "PG_VERSION").write_text("18\n")
    with running(tmp_path, tuning=TUNING) as dsn:
        assert running_dsn(tmp_path) == dsn


async def test_a_home_too_deep_for_a_socket_address_works(tmp_path):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    with running(deep, tuning=TUNING) as dsn:
        assert await run_sql(dsn, "SELECT 1") == 1


@pytest.mark.skipif(not ROOT, reason="only root runs it as another user")
async def test_root_lets_the_servers_user_pass_and_nobody_read(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with running(closed / "home", tuning=TUNING) as dsn:
        assert await run_sql(dsn, "SELECT 1") == 1
        assert os.stat(f"/proc/{postmaster(closed / 'home')}").st_uid != 0  # noqa: PTH116
    assert closed.stat().st_mode & 0o004 == 0


def test_a_server_is_stopped_by_another_than_started_it(home, server):
    server.start()
    pid = postmaster(home)
    EmbeddedPostgres(home).stop()
    assert not is_running(pid)
    assert running_dsn(home) is None
