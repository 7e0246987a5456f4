"""What is secret in a workflow does not leave it."""

from copy import deepcopy

import msgspec
import pytest

from service.engine.sharing import strip_credentials

SECRET = "hunter2-and-more"


@pytest.mark.parametrize(
    "data",
    [
        {"credential": SECRET},
        {"hmac": {"credential": SECRET, "header": "X-Sig"}},
        {"webhookUrl": f"https://example.com/{SECRET}"},
        {"headers": {"Authorization": f"Bearer {SECRET}"}},
        {"headers": {"cookie": SECRET}},
        {"headers": {"X-Api-Key": SECRET}},
        {"headers": {"X-Auth-Token": SECRET}},
        {"headers": [{"name": "X-API-Key", "value": SECRET}]},
        {"url": f"https://ann:{SECRET}@example.com/path"},
        {"url": f"https://{SECRET}@example.com/path"},
        {"url": f"https://example.com/path?api_key={SECRET}"},
        {"url": f"https://example.com/{{{{ input.x }}}}?x=1&access_token={SECRET}"},
        {"body": {"deep": [{"password": SECRET}]}},
        {"client_secret": SECRET},
        {"apiKey": SECRET},
        {"api_key": SECRET},
        {"token": SECRET},
        {"text": f"see postgres://ann:{SECRET}@db/x for it"},
        {"body": f'{{"user": "ann", "api_key": "{SECRET}", "q": "{{{{ input.q }}}}"}}'},
        {"body": f'{{"password" : "a\\"{SECRET}"}}'},
        {"body": f"client_secret={SECRET}&grant_type=client_credentials"},
        {"fields": {"how": f"Bearer {SECRET}"}},
        {"url": "https://a.b", "query": {"key": SECRET}},
        {"url": "https://a.b", "query": {"subscription-key": SECRET}},
        {"url": "https://a.b", "query": {"code": SECRET}},
        {"url": "https://a.b", "query": {"q": f"x&token={SECRET}"}},
        {"url": "https://a.b", "query": {"who": f"{{{{ '{SECRET}' }}}}"}},
        {"url": f"https://x.azurewebsites.net/api/f?code={SECRET}"},
        {"url": f"https://api.telegram.org/bot123:{SECRET}/sendMessage"},
        {"headers": {"X-Id": f"{{{{ 'Bearer {SECRET}' }}}}"}},
        {"headers": {"X-Id": f'{{{{ ("{SECRET}") }}}}'}},
        {"headers": {"X-Id": f"{{{{ ['{SECRET}'] | first }}}}"}},
        {"headers": {"X-Id": f"{{{{ input.x }}}} {SECRET}"}},
    ],
    ids=str,
)
def test_a_secret_is_taken_out(data: object) -> None:
    nodes = [{"id": "a", "type": "http", "data": data}]
    before = deepcopy(nodes)
    stripped = strip_credentials(nodes)
    assert SECRET not in msgspec.json.encode(stripped).decode()
    assert (stripped[0]["id"], stripped[0]["type"]) == ("a", "http")
    assert nodes == before


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcdefghijklmnop_1234567890",
        "sk-ant-api03-abcdefghijklmnop-1234567890",
        "xoxb-123456789012-abcdefghijkl",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "AKIAIOSFODNN7EXAMPLE",
        "AIzaSyA-abcdefghijklmnopqrstuvwxyz01234",
        "dsk_DH6eWjW9U1A-kciXUiZ3HRJG9Zuo7Ypkp3GTi4KpZWo",
        "whsec_abcdefghijklmnopqrstuvwx",
    ],
)
def test_a_key_that_is_known_by_its_form_is_taken_out_wherever_it_stands(key: str) -> None:
    nodes = [{"id": "a", "type": "set", "data": {"fields": {"note": f"use {key}, please"}}}]
    assert strip_credentials(nodes)[0]["data"]["fields"]["note"] == "use , please"


@pytest.mark.parametrize(
    "data",
    [
        {"maxTokens": 100, "max_tokens": 3, "prompt": "Tell me a secret"},
        {"headers": {"Accept": "text/plain", "X-Request-Id": "{{ execution.id }}"}},
        {"url": "https://example.com/a@b?page=3&keyword=x"},
        {"fields": {"author": "Ann", "name": "key figures", "value": 3}},
        {
            "body": '{"q": "{{ input.q }}", "password": "{{ input.password }}", "max_tokens": 5, "mode": "fast"}'
        },
        {"text": "A Bearer of good news asks for sk-oil and the risk-free xoxo-hugs: token: none"},
        {"body": "grant_type=client_credentials&scope=all"},
        {
            "query": {
                "page": 3,
                "per_page": "50",
                "q": "halls to let",
                "who": "{{ nodes['a'].id }}",
                "deep": True,
            }
        },
        {"url": "https://a.b", "query": {"ids": "{{ input.ids | join(', ') }}"}},
        {"query": "{{ input.question }}"},
        {"url": "https://a.b", "body": {"query": {"match": {"author": "Ann"}}}},
        {"url": "https://example.com/?country_code=DE&q={{ input.q }}"},
        {"conditions": [{"left": "{{ input.a }}", "operator": "equals", "right": 1}]},
    ],
    ids=str,
)
def test_the_rest_stays_as_it_was(data: object) -> None:
    nodes = [{"id": "a", "type": "http", "position": {"x": 1, "y": 2}, "data": data}]
    assert strip_credentials(nodes) == nodes
