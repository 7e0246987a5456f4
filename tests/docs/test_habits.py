"""Build files agree with each other, with the documents, and with the tree."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.docs.markdown import ROOT, documents, inline_code, name_of, shell_lines, table_rows

MAKEFILE = (ROOT / "Makefile").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", MAKEFILE, flags=re.MULTILINE))


def _compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return loaded


def _copied_paths() -> list[str]:
    """Return what the Dockerfile copies from the checkout."""
    copies = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, flags=re.MULTILINE)
    return [source for copy in copies for source in copy.split()[:-1]]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "make test" in [line.partition("#")[0].strip() for line in shell_lines(ROOT / "README.md")]
    last_command = (ROOT / ".ci" / "run").read_text().splitlines()[-1]
    assert last_command == "make test"


@pytest.mark.parametrize("path", documents(), ids=name_of)
def test_make_targets_that_are_named_exist(path: Path) -> None:
    named = [target for code in inline_code(path) for target in re.findall(r"^make ([a-z]+)", code)]
    named += [target for line in shell_lines(path) for target in re.findall(r"^make ([a-z]+)", line)]
    assert set(named) - _targets() == set()


def test_every_make_target_that_people_use_explains_itself() -> None:
    explained = set(re.findall(r"^([a-z]+):.*## ", MAKEFILE, flags=re.MULTILINE))
    assert _targets() - explained == {"environment"}


def test_benchmarks_that_make_runs_exist() -> None:
    modules = re.findall(r"-m (benchmarks[\w.]*)", MAKEFILE)
    assert modules
    assert [name for name in modules if not (ROOT / f"{name.replace('.', '/')}.py").exists()] == []


def test_dockerfile_copies_what_exists_and_is_not_ignored() -> None:
    patterns = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")
    ]
    allowed = [pattern.removeprefix("!").rstrip("/") for pattern in patterns if pattern.startswith("!")]
    for source in _copied_paths():
        assert (ROOT / source).exists(), source
        assert any(fnmatch(name.rstrip("/"), source.rstrip("/") + "*") for name in allowed), source


def test_dockerfile_copies_every_package_of_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert set(packages) <= {source.rstrip("/") for source in _copied_paths()}


def test_image_runs_as_nobody_special_and_reports_its_health() -> None:
    final_stage = DOCKERFILE.rpartition("FROM ")[2]
    assert re.search(r"^USER (?!root|0)", final_stage, flags=re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*/healthz", final_stage, flags=re.MULTILINE | re.DOTALL)


def test_compose_services_refer_to_what_is_there() -> None:
    compose = _compose()
    services = compose["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        mounted = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        assert mounted <= set(compose["volumes"]), name


def test_compose_keeps_no_secret_and_the_example_names_each() -> None:
    text = (ROOT / "compose.yaml").read_text()
    required = set(re.findall(r"\$\{([A-Z_]+):\?", text))
    example = (ROOT / "docs" / "env.example").read_text()
    assert required == set(re.findall(r"^([A-Z_]+)=$", example, flags=re.MULTILINE))


def test_changelog_has_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_dependency_is_named_with_its_licence() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.split(r"[^\w\-]", dependency, maxsplit=1)[0] for dependency in project["dependencies"]]
    rows = table_rows(ROOT / "THIRD_PARTY.md", "package")
    assert [row.split("|")[1].strip() for row in rows] == sorted(names)


def test_decisions_are_numbered_without_a_gap_and_listed() -> None:
    folder = ROOT / "docs" / "adr"
    names = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    index = (folder / "README.md").read_text()
    assert [name for name in names if f"({name})" not in index] == []
    for name in names:
        headings = re.findall(r"^## (.+)$", (folder / name).read_text(), flags=re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences", "Alternatives"], name
