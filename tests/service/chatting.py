"""What tests of answers share: a service that may ask a fake provider on loopback, a model of it, some documents."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.fakes.chat_servers import FakeOpenAI
from tests.running import Service, run_service

LEASE = "The lease of hall B ends on the last day of May. Notice has to be given three months before."
PRINTER = "The printer on the second floor jams with thick paper. Use tray two for envelopes."
QUESTION = "When does the lease of hall B end?"


@dataclass(slots=True)
class Talk:
    """A running service, the provider behind its one model, and what was put into it."""

    service: Service
    provider: FakeOpenAI
    model_id: str
    documents: dict[str, str]

    @property
    def url(self) -> str:
        return self.service.url

    def client(self, **options: Any) -> httpx.Client:
        return self.service.client(**options)


@contextmanager
def talking(database_url: str, home: Path, **settings: Any) -> Iterator[Talk]:
    with (
        FakeOpenAI() as provider,
        run_service(database_url, home, model_allowed_networks="127.0.0.0/8", **settings) as service,
        service.client() as client,
    ):
        model = client.post(
            "/v1/ai/models",
            json={
                "name": "Fake",
                "provider": "CUSTOM",
                "model_id": "fake-1",
                "endpoint": provider.url,
                "api_key": "sk-never-shown",
                "input_price_per_million": 1_000.0,
                "output_price_per_million": 2_000.0,
            },
        )
        assert model.status_code == 201, model.text
        documents = {
            title: client.post("/v1/documents?wait=50", json={"title": title, "content": content}).json()[
                "id"
            ]
            for title, content in (("Lease", LEASE), ("Printer", PRINTER))
        }
        yield Talk(service, provider, model.json()["id"], documents)


def read_events(reply: httpx.Response) -> list[tuple[str, dict[str, Any], str | None]]:
    """Return (event, data, id) of a stream of server-sent events that has ended."""
    return list(iter_events(reply))


def iter_events(reply: httpx.Response) -> Iterator[tuple[str, dict[str, Any], str | None]]:
    """Yield (event, data, id) as they come."""
    event, data, place = "message", "", None
    for line in reply.iter_lines():
        if not line:
            if data:
                yield event, json.loads(data), place
            event, data, place = "message", "", None
        elif line.startswith("event:"):
            event = line[6:].strip()
        elif line.startswith("data:"):
            data += line[5:].strip()
        elif line.startswith("id:"):
            place = line[3:].strip()
