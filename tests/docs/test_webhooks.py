"""docs/webhooks.md: what it says of verification works, and its tables are what the code does."""

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from standardwebhooks import WebhookVerificationError

from service.webhooks.endpoints import EVENT_TYPES
from service.webhooks.sending import Failure
from service.webhooks.signing import new_secret, signed_headers
from tests.docs.markdown import ROOT, fences, table_rows

PAGE = ROOT / "docs" / "webhooks.md"
SECRET = new_secret()
BODY = '{"type": "ping", "data": {"title": "Grüße"}}'


def _snippet(language: str) -> str:
    (text,) = [fence.text for fence in fences(PAGE) if fence.language == language]
    return text


def _headers(*secrets: str, sent_at: datetime | None = None) -> dict[str, str]:
    return dict(signed_headers(secrets, message_id="msg_1", sent_at=sent_at or datetime.now(UTC), body=BODY))


def _codes(header: str) -> list[str]:
    return [code for row in table_rows(PAGE, header) for code in re.findall(r"`([^`]+)`", row.split("|")[1])]


def test_python_snippet_takes_an_event_once_and_refuses_forgeries() -> None:
    names: dict[str, Any] = {}
    exec(compile(_snippet("python"), str(PAGE), "exec"), names)
    receive = names["receive"]
    with pytest.raises(WebhookVerificationError):
        receive(SECRET, _headers(new_secret()), BODY.encode())
    with pytest.raises(WebhookVerificationError):
        receive(SECRET, _headers(SECRET, sent_at=datetime.now(UTC) - timedelta(minutes=6)), BODY.encode())
    with pytest.raises(WebhookVerificationError):
        receive(SECRET, _headers(SECRET), BODY.replace("ping", "pong").encode())
    assert receive(SECRET, _headers(SECRET, new_secret()), BODY.encode()) == json.loads(BODY)
    assert receive(SECRET, _headers(SECRET), BODY.encode()) is None


_NODE = """
const [secret, headers, body] = JSON.parse(process.argv[1]);
try {
  console.log(JSON.stringify(verify(secret, headers, Buffer.from(body))));
} catch (error) {
  console.log("refused: " + error.message);
}
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_node_snippet_takes_an_event_and_refuses_forgeries() -> None:
    late = datetime.now(UTC) - timedelta(minutes=6)
    assert json.loads(_node(_headers(SECRET), BODY)) == json.loads(BODY)
    assert json.loads(_node(_headers(new_secret(), SECRET), BODY)) == json.loads(BODY)
    assert _node(_headers(new_secret()), BODY) == "refused: not signed by docsearch"
    assert _node(_headers(SECRET), BODY.replace("ping", "pong")) == "refused: not signed by docsearch"
    assert _node(_headers(SECRET, sent_at=late), BODY) == "refused: not of now"
    assert _node({**_headers(SECRET), "webhook-timestamp": "soon"}, BODY) == "refused: not of now"


def _node(headers: dict[str, str], body: str) -> str:
    script = _snippet("js") + _NODE
    command = ["node", "--input-type=module", "-e", script, json.dumps([SECRET, headers, body])]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_events_are_those_that_can_be_asked_for() -> None:
    assert sorted(_codes("event")) == sorted(EVENT_TYPES)


def test_errors_are_those_of_deliveries() -> None:
    assert _codes("`error`") == list(get_args(Failure))
