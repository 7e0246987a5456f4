"""The shipped handbook: complete, reproducible, and true to the settings it describes."""

import io
import re
from functools import cache

import pytest
from pypdf import PdfReader

from service.handbook import handbook_files
from service.handbook.build_pdf import SOURCE, TARGET, build
from service.settings import EmbeddingProvider, Settings
from tests.handbook_questions import HANDBOOK_QUESTIONS, HandbookQuestion

# The table says in words what these default to.
IN_WORDS = {"DATABASE_URL", "SECRET_KEY", "STORAGE_URL", "EMBEDDING_MODEL"}


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>|[`*]", "", text).split())


@cache
def text_of(filename: str, page: int | None = None) -> str:
    path = next(path for path in handbook_files() if path.name == filename)
    if path.suffix != ".pdf":
        return words(path.read_text(encoding="utf-8"))
    pages = PdfReader(path).pages
    return words("\n".join(p.extract_text() for p in (pages if page is None else [pages[page - 1]])))


def test_handbook_has_several_formats_and_is_all_there() -> None:
    files = handbook_files()
    assert all(path.stat().st_size > 1000 for path in files)
    assert {path.suffix for path in files} == {".md", ".html", ".pdf"}


def test_pdf_is_what_its_source_builds() -> None:
    built = build(SOURCE.read_text(encoding="utf-8"))
    assert built == TARGET.read_bytes(), "run: python -m service.handbook.build_pdf"


def test_pdf_has_pages_headings_and_a_table() -> None:
    reader = PdfReader(io.BytesIO(TARGET.read_bytes()))
    assert 3 <= len(reader.pages) <= 5
    titles = [item.title for item in reader.outline if not isinstance(item, list)]
    assert titles == [
        "1 Where everything lives",
        "2 Settings",
        "3 Backup and restore",
        "4 Plans and limits",
        "5 Watching the service",
    ]
    assert "PRO 50 50,000 10 GB" in text_of("administration.pdf", 4)


@pytest.mark.parametrize("question", HANDBOOK_QUESTIONS, ids=lambda q: q.question)
def test_each_question_has_one_right_passage(question: HandbookQuestion) -> None:
    assert question.phrase in text_of(question.filename, question.page)
    others = [path.name for path in handbook_files() if path.name != question.filename]
    assert [name for name in others if question.phrase in text_of(name)] == []


def test_settings_in_the_handbook_are_the_settings() -> None:
    lines = SOURCE.read_text(encoding="utf-8").split("\n")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if re.match(r"\| [A-Z_]+ \|", line)
    ]
    documented = {row[0]: row[1] for row in rows if row[0] not in {"FREE", "PRO", "ENTERPRISE"}}
    fields = {str(f.validation_alias or name).upper(): f.default for name, f in Settings.model_fields.items()}
    assert len(documented) > 10
    assert documented.keys() <= fields.keys()
    for name in documented.keys() - IN_WORDS:
        default = fields[name]
        shown = (
            default.value
            if isinstance(default, EmbeddingProvider)
            else f"{default:g}"
            if isinstance(default, float)
            else str(default)
        )
        assert documented[name] == shown, name
