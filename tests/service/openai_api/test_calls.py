"""docs/openai.md says which calls there are: each is made here, and its example is run."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam
from openai.types.responses import FileSearchToolParam

from tests.docs.markdown import ROOT, fences, table_rows
from tests.running import Service

PAGE = ROOT / "docs" / "openai.md"
TEXT = ("notes.txt", b"The boiler is in the cellar.")


def journey(client: OpenAI) -> dict[str, Callable[[], object]]:
    """Return every call by its name in the client, in an order in which they can be made; each asserts its result."""
    file_id = client.files.create(file=TEXT, purpose="assistants").id
    store = client.vector_stores.create(file_ids=[file_id]).id
    stores, files, batches = (
        client.vector_stores,
        client.vector_stores.files,
        client.vector_stores.file_batches,
    )
    batch = batches.create(store, file_ids=[file_id]).id
    question = "Where is the boiler?"
    asked: list[ChatCompletionMessageParam] = [{"role": "user", "content": question}]
    search: FileSearchToolParam = {"type": "file_search", "vector_store_ids": [store]}

    def stream_chat() -> bool:
        return len(list(client.chat.completions.create(model="extractive", messages=asked, stream=True))) > 1

    def stream_response() -> str:
        with client.responses.stream(model="extractive", input=question, tools=[search]) as stream:
            return stream.get_final_response().output_text

    return {
        "models.list": lambda: client.models.list().data,
        "models.retrieve": lambda: client.models.retrieve("docsearch/extractive").id,
        "embeddings.create": lambda: (
            len(client.embeddings.create(model="any", input="x").data[0].embedding) == 1536
        ),
        "files.create": lambda: client.files.create(file=TEXT, purpose="user_data").id,
        "files.list": lambda: client.files.list().data,
        "files.retrieve": lambda: client.files.retrieve(file_id).id == file_id,
        "files.wait_for_processing": lambda: client.files.wait_for_processing(file_id, poll_interval=0.1).id,
        "files.content": lambda: client.files.content(file_id).read() == TEXT[1],
        "chat.completions.create": lambda: (
            client.chat.completions.create(model="extractive", messages=asked).choices[0].message.annotations
        ),
        "chat.completions.create(stream=True)": stream_chat,
        "responses.create": lambda: (
            client.responses.create(model="extractive", input=question, tools=[search]).output_text
        ),
        "responses.stream": stream_response,
        "vector_stores.create": lambda: stores.create(name="a").id,
        "vector_stores.list": lambda: stores.list().data,
        "vector_stores.retrieve": lambda: stores.retrieve(store).file_counts.total == 1,
        "vector_stores.update": lambda: stores.update(store, name="b").name == "b",
        "vector_stores.search": lambda: stores.search(store, query="boiler").data,
        "vector_stores.files.create": lambda: files.create(store, file_id=file_id).id == file_id,
        "vector_stores.files.create_and_poll": lambda: (
            files.create_and_poll(file_id, vector_store_id=store).id
        ),
        "vector_stores.files.upload": lambda: files.upload(vector_store_id=store, file=TEXT).id,
        "vector_stores.files.upload_and_poll": lambda: (
            files.upload_and_poll(vector_store_id=store, file=TEXT).status == "completed"
        ),
        "vector_stores.files.poll": lambda: files.poll(file_id, vector_store_id=store).status == "completed",
        "vector_stores.files.list": lambda: files.list(store).data,
        "vector_stores.files.retrieve": lambda: files.retrieve(file_id, vector_store_id=store).id,
        "vector_stores.files.update": lambda: (
            files.update(file_id, vector_store_id=store, attributes={"a": 1}).attributes
        ),
        "vector_stores.files.content": lambda: files.content(file_id, vector_store_id=store).data,
        "vector_stores.file_batches.create": lambda: batches.create(store, file_ids=[file_id]).id,
        "vector_stores.file_batches.create_and_poll": lambda: (
            batches.create_and_poll(store, file_ids=[file_id]).status == "completed"
        ),
        "vector_stores.file_batches.upload_and_poll": lambda: (
            batches.upload_and_poll(store, files=[TEXT]).file_counts.completed == 1
        ),
        "vector_stores.file_batches.retrieve": lambda: batches.retrieve(batch, vector_store_id=store).id,
        "vector_stores.file_batches.poll": lambda: batches.poll(batch, vector_store_id=store).id,
        "vector_stores.file_batches.list_files": lambda: (
            batches.list_files(batch, vector_store_id=store).data
        ),
        "vector_stores.file_batches.cancel": lambda: batches.cancel(batch, vector_store_id=store).id == batch,
        "vector_stores.files.delete": lambda: files.delete(file_id, vector_store_id=store).deleted,
        "vector_stores.delete": lambda: stores.delete(store).deleted,
        "files.delete": lambda: client.files.delete(file_id).deleted,
    }


def test_every_call_of_the_page_can_be_made_and_no_other_is_promised(client: OpenAI) -> None:
    calls = journey(client)
    documented = [
        name
        for row in table_rows(PAGE, "call")
        for name in re.findall(r"`([\w.]+(?:\(stream=True\))?)`", row.split("|")[1])
    ]
    assert sorted(documented) == sorted(calls)
    for name, call in calls.items():
        assert call(), name


def test_the_example_runs_as_it_stands(server: Service, tmp_path: Path) -> None:
    (example,) = [fence.text for fence in fences(PAGE) if fence.language == "python"]
    (tmp_path / ".docsearch").mkdir()
    (tmp_path / ".docsearch" / "owner.key").write_text(server.key + "\n")
    (tmp_path / "README.md").write_bytes((ROOT / "README.md").read_bytes())
    script = example.replace("http://127.0.0.1:8000", server.url)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "README.md" in done.stdout
