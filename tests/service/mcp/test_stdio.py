"""`docsearch mcp` as a subprocess, with the official client at the other end of its pipes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.running import Service
from tests.service.mcp.talking import refusal, result_of, text_of

COMMAND = (sys.executable, "-c", "from service.cli import main; main()", "mcp")
ROOT = Path(__file__).parents[3]


def environment(home: Path, url: str | None, key: str | None) -> dict[str, str]:
    given = {"DOCSEARCH_HOME": str(home), "DOCSEARCH_URL": url, "DOCSEARCH_API_KEY": key}
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    return kept | {name: value for name, value in given.items() if value is not None}


def started(home: Path, url: str | None, key: str | None, errlog: Any) -> Any:
    return stdio_client(
        StdioServerParameters(command=COMMAND[0], args=list(COMMAND[1:]), env=environment(home, url, key)),
        errlog=errlog,
    )


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_program_that_starts_it_searches_and_adds(server: Service, tmp_path: Path, mode: str) -> None:
    with (tmp_path / "stderr").open("w+") as errlog:
        async with Client(started(tmp_path, server.url, server.key, errlog), mode=mode) as client:
            assert "search_documents" in [tool.name for tool in (await client.list_tools()).tools]
            given = {"title": "Minutes", "content": "The board met on Monday.", "wait_s": 30}
            document_id = result_of(await client.call_tool("add_document", given))["document_id"]
            found = await client.call_tool("search_documents", {"query": "board"})
            assert text_of(found).startswith("[1] Minutes")
            got = result_of(await client.call_tool("get_document", {"document_id": document_id}))
            assert got["document"]["title"] == "Minutes"
            assert refusal(await client.call_tool("get_document", {"document_id": "x"})).startswith(
                "There is no"
            )
        errlog.seek(0)
        assert errlog.read() == ""


async def test_the_local_server_and_its_owner_are_found(server: Service, tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text(json.dumps({"url": server.url}))
    (tmp_path / "owner.key").write_text(server.key)
    with (tmp_path / "stderr").open("w") as errlog:
        async with Client(started(tmp_path, None, None, errlog)) as client:
            assert result_of(await client.call_tool("list_documents", {}))["documents"] == []


async def test_a_server_that_is_away_or_does_not_know_the_key_is_the_tools_answer(
    server: Service, tmp_path: Path
) -> None:
    cases = {
        ("http://127.0.0.1:9", server.key): "No docsearch server answers at http://127.0.0.1:9",
        (server.url, "dsk_" + "A" * 43): "This API key is unknown, revoked or expired.",
    }
    with (tmp_path / "stderr").open("w") as errlog:
        for (url, key), sentence in cases.items():
            async with Client(started(tmp_path, url, key, errlog)) as client:
                assert refusal(await client.call_tool("list_documents", {})).startswith(sentence)


def test_without_a_server_or_a_key_it_says_so_and_stdout_stays_empty(tmp_path: Path) -> None:
    for url, sentence in ((None, "No docsearch server runs"), ("https://example.com", "There is no API key")):
        done = subprocess.run(
            COMMAND,
            env=environment(tmp_path, url, None),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"docsearch: {sentence}")


@pytest.mark.parametrize("end", ["eof", "interrupt"])
async def test_it_ends_with_its_client(tmp_path: Path, end: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        env=environment(tmp_path, "http://127.0.0.1:9", "dsk_x"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\nnot JSON at all\n')
    reply = json.loads(await process.stdout.readline())
    assert reply["jsonrpc"] == "2.0"
    if end == "eof":
        process.stdin.close()
    else:
        process.send_signal(signal.SIGINT)
    async with asyncio.timeout(20):
        rest = await process.stdout.read()
        code = await process.wait()
    assert [json.loads(line)["jsonrpc"] for line in rest.splitlines()] == ["2.0"] * len(rest.splitlines())
    assert code == (0 if end == "eof" else -signal.SIGINT)
