"""Examples do what the documents say, run as they stand: curl against a service with its worker, SQL on its schema."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from db import users
from db.pool import Conn
from db.seed import seed
from service.templates.seeds import seeded_templates
from tests.docs.markdown import ROOT, fences, shell_lines
from tests.fakes.chat_servers import FakeOpenAI
from tests.fakes.webhook_receiver import webhook_receiver
from tests.running import Service, run_service

# A reply of 400 or more fails the example; curl's own word for what the documents promise.
_CURL = """
set -euo pipefail
curl() { command curl --fail-with-body --max-time 60 "$@" && echo; }
ID=$(curl -s "$API/v1/documents?wait=50" -H "Authorization: Bearer $KEY" -F file=@README.md |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')
"""
# Only a document that failed can be tried again, and tests fetch nothing from elsewhere.
_LEFT_OUT = ("/retry", '{"url": "https://www.')


PAGES = ("README.md", *(f"docs/{name}.md" for name in ("guide", "http", "teams", "webhooks", "openai")))


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_examples_with_curl_work(database_url: str, tmp_path: Path) -> None:
    examples = [
        line
        for name in (
            "README.md",
            "docs/guide.md",
            "docs/http.md",
            "docs/teams.md",
            "docs/webhooks.md",
            "docs/models.md",
            "docs/answers.md",
            "docs/conversations.md",
            "docs/openai.md",
            "docs/mcp.md",
            "docs/dify.md",
            "docs/budgets.md",
            "docs/templates.md",
            "docs/workflows.md",
        )
        for line in shell_lines(ROOT / name)
        if line.startswith(("curl ", "export ")) and not any(part in line for part in _LEFT_OUT)
    ]
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copy(ROOT / "service" / "handbook" / "administration.pdf", tmp_path / "handbook.pdf")
    with (
        webhook_receiver() as receiver,
        FakeOpenAI() as model,
        run_service(
            database_url,
            tmp_path / ".docsearch",
            webhook_allowed_networks="127.0.0.0/8",
            model_allowed_networks="127.0.0.0/8",
        ) as service,
    ):
        service.call(_seed(service))
        (tmp_path / ".docsearch" / "owner.key").write_text(service.key + "\n")
        script = f"API=http://127.0.0.1:8000 KEY={service.key}\n{_CURL}\n" + "\n".join(examples)
        done = subprocess.run(
            ["bash", "-c", _here(script, service.url, receiver.url, model.url)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert model.requests[0].body["model"] == "llama3.2"
        assert b'"type":"ping"' in receiver.wait_for(1)[0].body


async def _seed(service: Service) -> None:
    """Add what a start adds, which the examples name."""
    async with service.runtime.pool.acquire() as conn, conn.transaction():
        await seed(conn, seeded_templates())


def _here(script: str, server: str, receiver: str, model: str) -> str:
    """Return the script with the addresses that the documents show led to those that there are."""
    shown = {
        "http://127.0.0.1:8000": server,
        "https://example.com/hooks/docsearch": receiver,
        "http://127.0.0.1:11434/v1": model,
    }
    for address, there in shown.items():
        script = script.replace(address, there)
    return script


async def test_query_in_sql_gives_the_nearest_documents(conn: Conn) -> None:
    (sql,) = [fence.text for fence in fences(ROOT / "README.md") if fence.language == "sql"]
    user = await users.create_user(conn, email="reader@example.com")
    nearest, other = np.eye(2, 1536, dtype=np.float32)
    for title, embedding in (("far", other), ("near", nearest), ("not ready", None)):
        await conn.execute(
            'INSERT INTO "Document" ("userId", "title", "content", "embedding") VALUES ($1, $2, $2, $3)',
            user.id,
            title,
            embedding,
        )
    rows = await conn.fetch(sql.rstrip().rstrip(";"), nearest, user.id)
    assert [(row["title"], row["similarity"]) for row in rows] == [("near", 1.0), ("far", 0.0)]
