"""A client that Prisma generates from the documented models, at work on our tables.

It needs node and npm, and the packages of package.json: from npm's registry the first time, which takes some
ten seconds and 300 MB, and then from the user's cache.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from db.dsn import with_user
from db.pool import Conn
from db.tenancy import SERVICE_ROLE

pytestmark = pytest.mark.prisma

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "docsearch-tests"
# No lock file: it would name the registry it was written from. The versions of what we ask for are exact, and
# packages run no scripts of their own: prisma's would download an engine from a host of its makers.
INSTALL = (
    *("npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"),
    # Without a registry, say so at once rather than after some minutes.
    *("--prefer-offline", "--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000"),
)
GENERATE = ("node", "node_modules/prisma/build/index.js", "generate", "--schema", "schema.prisma")
# The generator is WebAssembly in the package, but the command first looks for the engine that migrates, and would
# download it. It takes any file that it is told is the engine, since generating does not run it.
ENVIRONMENT = {
    "PRISMA_SCHEMA_ENGINE_BINARY": __file__,
    "CHECKPOINT_DISABLE": "1",
    "PRISMA_HIDE_UPDATE_MESSAGE": "1",
}
# Neither owner nor superuser: bound by forced row-level security like everybody.
WEB_ROLE = "web_application"
OLDEST_NODE = (20, 19)
TIMEOUT_S = 300


@pytest.fixture(scope="session")
def client_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with check.mjs and all that it imports: the packages, and a client generated from the models."""
    _require_node()
    folder = tmp_path_factory.mktemp("prisma")
    (folder / "node_modules").symlink_to(_installed_packages())
    for file in (HERE / "schema.prisma", *HERE.glob("*.mjs")):
        shutil.copy(file, folder)
    generated = _run(*GENERATE, cwd=folder)
    assert generated.returncode == 0, generated.stdout + generated.stderr
    return folder


@pytest.fixture(params=["owner", "service"])
async def client_url(request: pytest.FixtureRequest, database_url: str, conn: Conn) -> AsyncIterator[str]:
    """The database, as the owner of the tables or as what else the web application may log in as."""
    if request.param == "owner":
        yield database_url
    else:
        await conn.execute(f"CREATE ROLE {WEB_ROLE} LOGIN IN ROLE {SERVICE_ROLE}")
        yield with_user(database_url, WEB_ROLE)
        await conn.execute(f"DROP ROLE {WEB_ROLE}")


def test_every_table_serves_a_generated_client(client_dir, client_url):
    found = _run("node", "check.mjs", cwd=client_dir, DATABASE_URL=client_url)
    assert found.returncode == 0, found.stderr
    report = json.loads(found.stdout)
    assert report["failed"] == {}
    assert len(report["models"]) == 16
    assert {name.split(":")[0] for name in report["passed"]} >= set(report["models"])


def _require_node() -> None:
    if missing := [name for name in ("node", "npm") if shutil.which(name) is None]:
        pytest.skip(f"needs {' and '.join(missing)}")
    version = _run("node", "--version", cwd=HERE).stdout.strip()
    if tuple(int(part) for part in version.removeprefix("v").split(".")[:2]) < OLDEST_NODE:
        pytest.skip(f"needs node {'.'.join(map(str, OLDEST_NODE))} or newer, and this is {version}")


def _installed_packages() -> Path:
    """Return the node_modules of package.json, installed by whoever comes first; whole, or not there at all."""
    package = (HERE / "package.json").read_bytes()
    folder = CACHE / f"prisma-{hashlib.sha256(package).hexdigest()[:16]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as making:
                (Path(making) / "package.json").write_bytes(package)
                installed = _run(*INSTALL, cwd=Path(making))
                if installed.returncode != 0:
                    errors = [line for line in installed.stderr.splitlines() if line.startswith("npm error")]
                    pytest.skip(f"the packages cannot be installed: {'; '.join(errors[:3])}")
                Path(making).rename(folder)
    return folder / "node_modules"


def _run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | ENVIRONMENT | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
