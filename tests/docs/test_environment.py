"""What `make` does before everything else: the environment is made once, and one sentence says what is missing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT

# What the script itself needs; PATH holds nothing else.
_TOOLS = ("cat", "cksum", "cut", "dirname", "head", "ln", "mkdir", "sh", "sort")

# Stands in for uv, which is not ours: makes a .venv and writes down how it was called.
_UV = """#!/bin/sh
if [ "$1" = --version ]; then echo "uv {version} (somewhere)"; exit 0; fi
echo "$* env=${{VIRTUAL_ENV-}}${{UV_PROJECT_ENVIRONMENT-}}" >> calls
[ "$1" = sync ] && mkdir -p .venv/bin && ln -sf {python} .venv/bin/python
exit 0
"""


class Checkout:
    """A folder with what `.ci/environment` reads, and a PATH of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        self.path = folder / "bin"
        (self.folder / ".ci").mkdir(parents=True)
        self.path.mkdir()
        for name in (".ci/environment", ".ci/uv.txt", "pyproject.toml", "uv.lock"):
            shutil.copy(ROOT / name, self.folder / name)
        for tool in _TOOLS:
            (self.path / tool).symlink_to(shutil.which(tool) or pytest.skip(f"needs {tool}"))

    def add_program(self, name: str, script: str) -> None:
        program = self.path / name
        program.write_text(script)
        program.chmod(0o755)

    def add_python(self) -> None:
        (self.path / "python3").symlink_to(sys.executable)

    def add_uv(self, version: str = "0.13.9") -> None:
        self.add_program("uv", _UV.format(version=version, python=sys.executable))

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["sh", ".ci/environment", *arguments],
            cwd=self.folder,
            env={"PATH": str(self.path), "HOME": str(self.folder), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_old_python_gets_one_sentence(checkout: Checkout) -> None:
    checkout.add_program("python3", '#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.18" || exit 1\n')
    done = checkout.run("serve")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "docsearch: Python 3.11 or newer is needed, and Python 3.9.18 is what python3 gives here."
    ]


def test_no_python_gets_one_sentence(checkout: Checkout) -> None:
    done = checkout.run("serve")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Python 3.11 or newer is needed" in done.stderr


def test_environment_is_made_once(checkout: Checkout) -> None:
    checkout.add_python()
    checkout.add_uv()
    assert checkout.run("serve").returncode == 0
    assert checkout.run("serve").returncode == 0
    assert len(checkout.calls()) == 1
    assert checkout.calls()[0].startswith("sync --locked --inexact --no-dev")


def test_serving_after_testing_changes_nothing(checkout: Checkout) -> None:
    checkout.add_python()
    checkout.add_uv()
    checkout.run("dev")
    checkout.run("serve")
    assert [call.split()[3] for call in checkout.calls()] == ["--all-groups"]


def test_uv_can_be_run_whether_or_not_the_environment_is_current(checkout: Checkout) -> None:
    checkout.add_python()
    checkout.add_uv()
    checkout.run("uv", "lock", "--check")
    checkout.run("dev")
    checkout.run("uv", "lock", "--check")
    assert [call.split()[0] for call in checkout.calls()] == ["lock", "sync", "lock"]


@pytest.mark.parametrize("name", ["uv.lock", "pyproject.toml"])
def test_environment_is_made_again_when_its_description_changes(checkout: Checkout, name: str) -> None:
    checkout.add_python()
    checkout.add_uv()
    checkout.run("serve")
    with (checkout.folder / name).open("a") as file:
        file.write("# changed\n")
    checkout.run("serve")
    assert len(checkout.calls()) == 2


def test_environment_that_lost_its_python_is_made_again(checkout: Checkout) -> None:
    checkout.add_python()
    checkout.add_uv()
    checkout.run("serve")
    (checkout.folder / ".venv" / "bin" / "python").unlink()
    checkout.run("serve")
    assert len(checkout.calls()) == 2


def test_another_projects_shell_does_no_harm(checkout: Checkout) -> None:
    checkout.add_python()
    checkout.add_uv()
    checkout.run("serve", VIRTUAL_ENV="/elsewhere", UV_PROJECT_ENVIRONMENT="/elsewhere")
    assert checkout.calls()[0].endswith(" env=")


def test_mirror_of_the_package_index_does_not_make_the_lock_file_stale(checkout: Checkout) -> None:
    checkout.add_python()
    checkout.add_uv()
    checkout.run("serve", UV_DEFAULT_INDEX="https://mirror.example/simple")
    assert checkout.calls()[0].startswith("sync --frozen --inexact --no-dev")


@pytest.mark.parametrize(
    ("version", "used"), [("0.7.22", False), ("0.8.0", True), ("0.10.0", True), ("1.0.0", True)]
)
def test_uv_that_cannot_read_the_lock_file_is_not_used(checkout: Checkout, version: str, used: bool) -> None:
    # A Python that is new enough and cannot make virtual environments, so that no uv is installed instead.
    checkout.add_program(
        "python3", '#!/bin/sh\ncase "$*" in -m*) exit 1 ;; *sys.executable*) echo "$0" ;; esac\n'
    )
    checkout.add_uv(version)
    done = checkout.run("serve")
    assert bool(checkout.calls()) is used
    assert ("cannot make virtual environments" in done.stderr) is not used
