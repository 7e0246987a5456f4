"""Links lead somewhere, and files that are named exist."""

import re
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, anchors, documents, inline_code, links, name_of

# Folders whose files the documents speak of; a name with a placeholder in it is not a file.
_SOURCE_PATH = re.compile(
    r"^(service|ingest|search|db|migrations|tests|benchmarks|docs|\.ci)/[\w\-./]*$|^[\w\-]+\.(md|yaml|toml|lock)$"
)


@pytest.mark.parametrize("path", documents(), ids=name_of)
def test_links_resolve(path: Path) -> None:
    broken = []
    for link in links(path):
        target, _, fragment = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or (fragment and file.suffix == ".md" and fragment not in anchors(file)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("path", documents(), ids=name_of)
def test_files_that_are_named_exist(path: Path) -> None:
    named = [code for code in inline_code(path) if _SOURCE_PATH.match(code)]
    assert [name for name in named if not (ROOT / name).exists() and not (path.parent / name).exists()] == []


def test_every_document_can_be_found_from_the_readme() -> None:
    found = {ROOT / "README.md"}
    to_read = list(found)
    while to_read:
        path = to_read.pop()
        targets = {
            (path.parent / link.partition("#")[0]).resolve() for link in links(path) if "://" not in link
        }
        new = {target for target in targets if target.suffix == ".md" and target.exists()} - found
        found |= new
        to_read += new
    apart = {path for path in documents() if path.is_relative_to(ROOT / "service")}
    assert sorted(name_of(path) for path in set(documents()) - found - apart) == []
