"""The templates that come along: each can be read and run; all but the one that asks a model, without one."""

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from pgqueuer.models import Job

from db import workflow_steps
from db.ai_models import insert_model
from db.tenancy import as_system
from ingest.pipeline import ingest_document
from service.engine.definition import read_definition
from service.engine.expressions import check
from service.engine.graph import build_graph
from service.engine.jobs import fire_event_triggers
from service.engine.nodes import NODE_TYPES
from service.engine.sharing import strip_credentials
from service.engine.validation import validate
from service.runtime import open_ingestor
from service.templates.seeds import seeded_templates
from tests.fakes.chat_servers import FakeGemini, Say
from tests.fakes.recording_server import RecordingServer
from tests.service.engine.conftest import Engine, node, open_engine

TEMPLATES = {template.name: template for template in seeded_templates()}
HEATING = "The heating in hall B is switched on every year on the first of October, by the caretaker."


@pytest.fixture
async def engine(database_url: str, tmp_path: Path) -> AsyncIterator[Engine]:
    async with open_engine(database_url, tmp_path / "home", model_allowed_networks="127.0.0.0/8") as opened:
        yield opened


def test_there_is_one_for_each_of_these() -> None:
    assert set(TEMPLATES) == {
        "AI Content Generator",
        "Answer support messages",
        "Watch a page",
        "Answer, or ask a person",
        "Announce new documents",
        "Answer a list of questions",
    }
    assert len({template.id for template in TEMPLATES.values()}) == len(TEMPLATES)


@pytest.mark.parametrize("name", TEMPLATES)
def test_it_is_drawn_right(name: str) -> None:
    template = TEMPLATES[name]
    definition = read_definition(template.nodes, template.connections, template.settings)
    graph = build_graph(definition)
    (start,) = graph.triggers()
    # Loops go back to where they came from; what is inside is reached all the same.
    assert graph.reachable_from([start.id]) == set(graph.nodes)
    for connection in definition.connections:
        source, target = graph.nodes[connection.source], graph.nodes[connection.target]
        assert connection.leaves_by in NODE_TYPES[source.type].outputs(source.data)
        assert connection.enters_by in NODE_TYPES[target.type].inputs(target.data)
    assert strip_credentials(template.nodes) == template.nodes
    assert validate(definition) == []


@pytest.mark.parametrize("name", TEMPLATES)
def test_its_configurations_are_those_of_their_types(name: str) -> None:
    for one in read_definition(TEMPLATES[name].nodes, []).nodes:
        kind = NODE_TYPES[one.type]
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind.config)}
        assert set(one.data) <= set(fields), one.id
        assert kind.problems(one.data) == []
        for key, value in one.data.items():
            texts = list(_texts(value))
            for text in texts:
                check(text)
            if not any("{{" in text for text in texts):
                msgspec.convert(value, fields[key].type)


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for inner in value.values():
                yield from _texts(inner)
        case list():
            for inner in value:
                yield from _texts(inner)


async def draw(engine: Engine, name: str, **changed: dict[str, Any]) -> str:
    """Store the workflow of a template; changed: other data of nodes, by id with _ for -."""
    template = TEMPLATES[name]
    nodes = [
        {**one, "data": {**one["data"], **changed.get(one["id"].replace("-", "_"), {})}}
        for one in template.nodes
    ]
    return await engine.draw(nodes, list(template.connections), settings=template.settings)


async def add_document(engine: Engine, title: str, content: str) -> str:
    """Have a workflow add a document, and take it in."""
    drawn = await engine.draw(
        [node("start", "trigger"), node("add", "document", {"title": title, "content": content})],
        ["start>add"],
    )
    done = await engine.run(drawn, {})
    assert done["status"] == "SUCCESS", done["error"]
    await take_in(engine, done["output"]["id"])
    return str(done["output"]["id"])


async def take_in(engine: Engine, document_id: str) -> None:
    async with open_ingestor(engine.runtime) as ingestor:
        await ingest_document(ingestor, document_id)


async def notifications(engine: Engine) -> list[dict[str, Any]]:
    return await engine.fetch(
        """SELECT "title" AS title, "message" AS message FROM "Notification" ORDER BY "createdAt", "id" """
    )


async def test_the_generator_writes_about_its_topic(engine: Engine) -> None:
    with FakeGemini() as gemini:
        gemini.script(Say("# One search"))
        async with engine.pool.acquire() as conn:
            await insert_model(
                conn,
                name="Gemini 1.5 Flash",
                provider="GEMINI",
                model_id="gemini-1.5-flash",
                config={
                    "apiKey": engine.workflows.services.secret_box.seal("sk-never-shown"),
                    "endpoint": gemini.url,
                },
                is_active=True,
            )
        drawn = await draw(engine, "AI Content Generator")
        done = await engine.run(drawn, {"topic": "archives"})
    assert done["status"] == "SUCCESS", done["error"]
    assert done["output"] == {
        "topic": "archives",
        "post": "# One search",
        "model": "gemini/gemini-1.5-flash",
    }
    asked = str(gemini.requests[0].body)
    assert "about archives, for a general audience, of about 500 words" in asked


async def test_a_support_message_is_answered_from_documents(engine: Engine) -> None:
    await add_document(engine, "House rules", HEATING)
    drawn = await draw(engine, "Answer support messages")
    done = await engine.run(drawn, {"text": "When is the heating in hall B switched on?"})
    assert done["status"] == "SUCCESS", done["error"]
    (run,) = await engine.fetch("SELECT response FROM workflow_run WHERE execution_id = $1", done["id"])
    body = run["response"]["body"]
    assert run["response"]["status"] == 200
    assert body["found"] is True
    assert "first of October" in body["answer"]
    assert [one["title"] for one in body["citations"]] == ["House rules"]


async def test_a_watched_page_is_kept_and_its_changes_are_told(engine: Engine) -> None:
    with RecordingServer() as server:
        drawn = await draw(
            engine,
            "Watch a page",
            page={"fields": {"url": f"{server.url}/rules", "title": "Rules"}},
        )
        told = []
        for text in (b"Silence from ten.", b"Silence from ten.", b"Silence from nine."):
            server.reply("/rules", headers={"Content-Type": "text/plain"}, body=text)
            done = await engine.run(drawn, {})
            assert done["status"] == "SUCCESS", done["error"]
            (kept,) = await engine.fetch('SELECT "id" AS id, "metadata" AS metadata FROM "Document"')
            await take_in(engine, kept["id"])
            told.append([one["title"] for one in await notifications(engine)])
    assert kept["metadata"] == {"watched": True, "external_id": f"{server.url}/rules"}
    assert told == [[], [], ["Rules has changed"]]


async def test_a_question_is_answered_from_documents_or_by_a_person(engine: Engine) -> None:
    await add_document(engine, "House rules", HEATING)
    drawn = await draw(engine, "Answer, or ask a person")
    known = await engine.run(drawn, {"text": "When is the heating in hall B switched on?"})
    assert known["status"] == "SUCCESS", known["error"]
    assert known["output"]["answered_by"] == "documents"
    assert "first of October" in known["output"]["answer"]
    assert await notifications(engine) == []

    waiting = await engine.run(drawn, {"text": "Which parrot sings opera on Neptune?"})
    assert waiting["state"] == "waiting"
    (asked,) = await notifications(engine)
    assert "Which parrot" in asked["message"]
    assert f"/{waiting['id']}." in asked["message"]
    async with as_system(engine.pool) as conn:
        assert await workflow_steps.resume_reply(conn, waiting["id"], None, {"answer": "None."}) == "wait"
    await engine.workflows.runner.run(waiting["id"])
    done = await engine.execution(waiting["id"])
    assert done["status"] == "SUCCESS", done["error"]
    assert done["output"] == {"answer": "None.", "answered_by": "person", "citations": []}


async def test_a_document_that_is_ready_is_announced(engine: Engine) -> None:
    await draw(engine, "Announce new documents")
    await add_document(engine, "House rules", HEATING)
    queued = await engine.fetch("SELECT payload FROM pgqueuer WHERE entrypoint = 'fire_event_triggers'")
    for job in queued:
        await fire_event_triggers(engine.workflows, cast(Job, SimpleNamespace(**job)))
    await engine.drive_all()
    (done,) = await engine.fetch(
        """SELECT "status"::text AS status FROM "WorkflowExecution" WHERE "triggeredBy" = 'event'"""
    )
    assert done["status"] == "SUCCESS"
    assert await notifications(engine) == [
        {
            "title": "New document: House rules",
            "message": "It can be searched now. Passages: 1.",
        }
    ]


async def test_each_question_of_a_list_is_answered(engine: Engine) -> None:
    await add_document(engine, "House rules", HEATING)
    drawn = await draw(engine, "Answer a list of questions")
    asked = ["When is the heating in hall B switched on?", "Which parrot sings opera on Neptune?"]
    done = await engine.run(drawn, {"questions": asked})
    assert done["status"] == "SUCCESS", done["error"]
    first, second = done["output"]["answers"]
    assert [first["question"], second["question"]] == asked
    assert (first["found"], first["documents"]) == (True, ["House rules"])
    assert "first of October" in first["answer"]
    assert (second["found"], second["documents"]) == (False, [])
    assert done["output"]["open"] == asked[1:]
