"""Is what gets installed whole? Imports every module and opens every data file, with nothing but what users have.

Run by `make check` in an environment of its own, without the tools of development and apart from the checkout: what
only works because a test tool brings a package along, or because a file lies in the checkout, fails here.
"""

import importlib
import pkgutil
import sys
from pathlib import Path

PACKAGES = ("db", "ingest", "migrations", "search", "service")
# Makes a file of the handbook, with a tool of development; nothing imports it.
NOT_FOR_USERS = {"service.handbook.build_pdf"}


def modules() -> list[str]:
    names = list(PACKAGES)
    for package in PACKAGES:
        path = importlib.import_module(package).__path__
        names += [found.name for found in pkgutil.walk_packages(path, f"{package}.", onerror=fail)]
    # env.py is Alembic's: it runs inside a migration only.
    return [name for name in names if name not in NOT_FOR_USERS | {"migrations.env"}]


def fail(name: str) -> None:
    raise ImportError(f"{name} cannot be imported")


def check_data() -> None:
    from db.migrate import head
    from service.console.routes import console_routes
    from service.handbook import handbook_files
    from service.providers.minilm.files import FOLDER, verify_files

    verify_files(FOLDER)
    for path in handbook_files():
        path.read_bytes()
    if not head() or not console_routes or not handbook_files():
        raise FileNotFoundError("migrations, console or handbook are missing")


def main() -> None:
    where = Path(importlib.import_module("service").__file__ or "").parent
    if where.is_relative_to(Path(__file__).parents[1] / "service"):
        raise SystemExit("This looks at the checkout, not at what is installed.")
    names = modules()
    for name in names:
        importlib.import_module(name)
    check_data()
    sys.stdout.write(f"Installed without the tools of development: {len(names)} modules and their data.\n")


if __name__ == "__main__":
    main()
