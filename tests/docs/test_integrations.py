"""Programs that the documents show for others' clients: what can be run here is, the rest is at least Python."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, fences
from tests.running import run_service


@pytest.mark.parametrize("page", ["mcp", "integrations"])
def test_programs_are_python(page: str) -> None:
    programs = [fence.text for fence in fences(ROOT / "docs" / f"{page}.md") if fence.language == "python"]
    assert programs
    for program in programs:
        compile(program, page, "exec")


def test_the_program_that_calls_a_tool_works(database_url: str, tmp_path: Path) -> None:
    (program,) = [fence.text for fence in fences(ROOT / "docs" / "mcp.md") if fence.language == "python"]
    with run_service(database_url, tmp_path / ".docsearch") as service:
        (tmp_path / ".docsearch" / "owner.key").write_text(service.key + "\n")
        with service.client() as client:
            content = "A deleted document is kept for thirty days."
            client.post("/v1/documents?wait=50", json={"title": "Retention", "content": content})
        done = subprocess.run(
            [sys.executable, "-c", program.replace("http://127.0.0.1:8000", service.url)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[1] Retention (characters 0–43")
