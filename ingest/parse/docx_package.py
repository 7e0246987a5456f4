"""The parts of a Word package that hold text, found by their relationships, with limits on what they unpack to."""

import posixpath
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxml import etree  # type: ignore[import-untyped]

from ingest.errors import CorruptFile, EncryptedFile, ParserLimit, UnsupportedFormat
from ingest.parse.clean import clean_line

MAX_PART_BYTES = 256 * 1024 * 1024
"""What one XML part may unpack to: a zip bomb holds a petabyte in a megabyte. Pictures are never unpacked."""

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
MATH = "http://schemas.openxmlformats.org/officeDocument/2006/math"

# ISO/IEC 29500 Strict has other names for the same things.
_STRICT = {
    b"http://purl.oclc.org/ooxml/wordprocessingml/main": WORD.encode(),
    b"http://purl.oclc.org/ooxml/officeDocument/math": MATH.encode(),
}
_RELATIONSHIP = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
_PROPERTIES = {
    "{http://purl.org/dc/elements/1.1/}title": "title",
    "{http://purl.org/dc/elements/1.1/}creator": "author",
    "{http://purl.org/dc/elements/1.1/}subject": "subject",
    "{http://schemas.openxmlformats.org/package/2006/metadata/core-properties}keywords": "keywords",
}
_TEMPLATE_TITLES = frozenset({"Word Document", "Document"})
"""What programs put there themselves."""

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")

Element = Any  # lxml has no types of its own


@dataclass(frozen=True, slots=True)
class WordPackage:
    body: Element
    styles: Element | None
    notes: tuple[Element, ...]
    """Footnotes and endnotes, without the separators that Word keeps among them."""
    properties: Mapping[str, str]


def open_package(path: Path) -> WordPackage:
    """Raises CorruptFile, EncryptedFile, UnsupportedFormat or ParserLimit."""
    _refuse_old_word(path)
    try:
        with zipfile.ZipFile(path) as package:
            return _read(package)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as exc:
        raise CorruptFile("The Word document is damaged or cut off: it is not a whole ZIP package.") from exc
    except RuntimeError as exc:
        raise EncryptedFile("The Word document is protected by a password.") from exc
    except (etree.XMLSyntaxError, KeyError) as exc:
        raise CorruptFile("The Word document is damaged: its parts cannot be read.") from exc


def _refuse_old_word(path: Path) -> None:
    with path.open("rb") as stream:
        if stream.read(len(_OLE)) != _OLE:
            return
        # A password puts the whole package into one of these.
        if _ENCRYPTED_PACKAGE in stream.read():
            raise EncryptedFile("The Word document is protected by a password.")
    raise UnsupportedFormat("The file is an old Word document (.doc): save it as .docx.")


def _read(package: zipfile.ZipFile) -> WordPackage:
    package_parts = _relations(package, "")
    main = package_parts.get("officeDocument")
    if main is None:
        raise UnsupportedFormat("The file is a ZIP archive, but not a Word document.")
    document = _part(package, main)
    body = document.find(f"{{{WORD}}}body")
    if body is None:
        raise UnsupportedFormat("The file is an Office file, but not a Word document.")
    parts = _relations(package, main)
    styles = _part(package, parts["styles"]) if "styles" in parts else None
    notes = [
        *_notes(package, parts.get("footnotes"), "footnote"),
        *_notes(package, parts.get("endnotes"), "endnote"),
    ]
    return WordPackage(body, styles, tuple(notes), _properties(package, package_parts.get("core-properties")))


def _relations(package: zipfile.ZipFile, part: str) -> dict[str, str]:
    """Return the names of the parts that this one refers to, by the last word of the relation's type."""
    folder, name = posixpath.split(part)
    relations = posixpath.join(folder, "_rels", f"{name}.rels")
    if relations not in package.NameToInfo:
        return {}
    found: dict[str, str] = {}
    for relation in _part(package, relations).iter(_RELATIONSHIP):
        kind, target = relation.get("Type", "").rpartition("/")[2], relation.get("Target", "")
        if relation.get("TargetMode") != "External":
            found.setdefault(kind, posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/"))
    return found


def _part(package: zipfile.ZipFile, name: str) -> Element:
    with package.open(name) as stream:
        # The size in the directory may lie: read no more than the limit.
        data = stream.read(MAX_PART_BYTES + 1)
    if len(data) > MAX_PART_BYTES:
        raise ParserLimit("The Word document unpacks to more than can be read safely.")
    for strict, transitional in _STRICT.items():
        data = data.replace(strict, transitional)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    return etree.fromstring(data, parser)


def _notes(package: zipfile.ZipFile, name: str | None, tag: str) -> Iterator[Element]:
    if name is None or name not in package.NameToInfo:
        return
    for note in _part(package, name).iter(f"{{{WORD}}}{tag}"):
        if note.get(f"{{{WORD}}}type") is None:
            yield note


def _properties(package: zipfile.ZipFile, name: str | None) -> dict[str, str]:
    if name is None or name not in package.NameToInfo:
        return {}
    try:
        root = _part(package, name)
    except etree.XMLSyntaxError:
        return {}  # a broken title is no reason to refuse the text
    found = {
        _PROPERTIES[child.tag]: clean_line(child.text)
        for child in root
        if child.tag in _PROPERTIES and child.text
    }
    if found.get("title") in _TEMPLATE_TITLES:
        del found["title"]
    return found
