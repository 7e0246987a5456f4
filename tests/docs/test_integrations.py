"""What the pages about other programs show is JSON where they say so, and does what they say."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.docs.markdown import ROOT, Fence, fences, name_of
from tests.running import Service, run_service

FOLDER = ROOT / "docs" / "integrations"
PAGES = [ROOT / "docs" / "mcp.md", *sorted(FOLDER.glob("*.md"))]
STARTED = [
    pytest.param(server, id=f"{name_of(path)}:{fence.line}")
    for path in PAGES
    for fence in fences(path)
    if fence.language == "json"
    for server in json.loads(fence.text).get("mcpServers", {}).values()
    if "command" in server
]


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Any:
    with run_service(database_url, tmp_path / ".docsearch", worker=False) as service:
        yield service


def test_there_are_configurations_to_start() -> None:
    assert len(STARTED) >= 3


@pytest.mark.parametrize("configured", STARTED)
async def test_a_configuration_starts_the_tools(
    server: Service, tmp_path: Path, configured: dict[str, Any]
) -> None:
    home = tmp_path / ".docsearch"
    (home / "server.json").write_text(json.dumps({"url": server.url}))
    (home / "owner.key").write_text(server.key)
    there = {"DOCSEARCH_URL": server.url, "DOCSEARCH_API_KEY": server.key, "DOCSEARCH_HOME": str(home)}
    assert configured["command"].endswith("/.venv/bin/docsearch")
    environment = {name: there[name] for name in configured["env"]}
    with (tmp_path / "stderr").open("w") as errlog:
        parameters = StdioServerParameters(
            command=str(Path(sys.executable).parent / "docsearch"),
            args=configured["args"],
            env={"PATH": os.environ["PATH"], **environment},
        )
        async with Client(stdio_client(parameters, errlog=errlog)) as client:
            reply = await client.call_tool("list_documents", {})
    assert reply.structured_content == {"documents": [], "next_cursor": None}


def _python(path: Path) -> list[Fence]:
    return [fence for fence in fences(path) if fence.language == "python"]


def test_the_program_of_the_mcp_page_works(server: Service) -> None:
    (program,) = _python(ROOT / "docs" / "mcp.md")
    done = subprocess.run(
        [sys.executable, "-c", program.text],
        env={"PATH": os.environ["PATH"], "API": server.url, "KEY": server.key},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "Nothing was found.\n"), done.stderr


def test_the_node_for_n8n_searches(server: Service) -> None:
    (node,) = [
        node
        for fence in fences(FOLDER / "n8n.md")
        if fence.language == "json"
        for node in json.loads(fence.text)["nodes"]
    ]
    asked = node["parameters"]
    # As n8n fills it in: an expression begins with =, and what stands in {{ }} is JavaScript.
    match = re.fullmatch(r"=\{\{ JSON\.stringify\((.+)\) \}\}", asked["jsonBody"])
    assert match
    body = re.sub(r"(\w+):", r'"\1":', match[1].replace("$json.chatInput", '"What may a viewer do?"'))
    with server.client() as client:
        reply = client.request(asked["method"], urlsplit(asked["url"]).path, json=json.loads(body))
    assert reply.json()["hits"] == []


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_programs_are_at_least_programs(path: Path) -> None:
    for program in _python(path):
        compile(program.text, str(path), "exec")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.md")), ids=name_of)
def test_each_page_says_what_was_tried(path: Path) -> None:
    text = path.read_text()
    assert re.search(r"^## What was tried$", text, flags=re.MULTILINE)
