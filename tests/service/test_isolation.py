"""Every route × everybody who might ask: from one table of expected answers (tests/service/isolation.py)."""

from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar, asgi, get
from litestar.types import Receive, Scope, Send

from service.app import create_app, require_rows, served_routes
from service.auth.access import ROUTES
from tests.database import TestServer
from tests.running import Service, run_service
from tests.service.isolation import (
    ALSO_NEEDED,
    EXPECTED,
    OPEN,
    ROLES,
    World,
    all_but,
    clear,
    error_type,
    key_of,
    make_world,
)

FORGED = "dsk_" + "A" * 43


@pytest.fixture(scope="module")
def running(postgres: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all cases, each of which makes a world of its own; nothing works on its queue."""
    dsn = postgres.create()
    with run_service(dsn, tmp_path_factory.mktemp("home"), worker=False) as service:
        yield service
    postgres.drop(dsn)


@pytest.fixture(autouse=True)
def _emptied(running: Service) -> Iterator[None]:
    """Leave no worlds behind: comparing what there was with what there is would take ever longer."""
    yield
    running.call(clear(running))


def test_every_route_has_a_row(running: Service) -> None:
    assert served_routes(create_app(running.runtime)) == set(ROUTES)
    assert set(ROUTES) - OPEN == set(EXPECTED)


@get("/v1/new")
async def _route() -> None:
    """A route that nobody has written down."""


@asgi("/v1/new", is_mount=True, copy_scope=True)
async def _mounted(scope: Scope, receive: Receive, send: Send) -> None:
    """A whole application."""


@pytest.mark.parametrize("handler", [_route, _mounted], ids=("route", "mount"))
def test_what_has_no_row_is_not_served(handler: Any) -> None:
    with pytest.raises(LookupError, match="/v1/new"):
        require_rows(Litestar([handler], openapi_config=None))


@pytest.mark.parametrize("route", EXPECTED)
def test_nobody_gets_in_without_a_valid_key(running: Service, route: str) -> None:
    world = make_world(running, "owner")
    keys = {
        "none": None,
        "nonsense": "nonsense",
        "forged": FORGED,
        "expired": key_of(world, scopes=["admin"], state="expired"),
        "revoked": key_of(world, scopes=["admin"], state="revoked"),
    }
    before = world.snapshot()
    for name, key in keys.items():
        reply = world.send(route, EXPECTED[route], key)
        assert reply.status_code == 401, (name, reply.text)
        assert reply.headers["www-authenticate"].startswith("Bearer"), name
        assert reply.headers["content-type"] == error_type(route)
    assert world.snapshot() == before


@pytest.mark.parametrize("route", EXPECTED)
def test_a_key_without_the_scope_is_refused_whatever_its_owner_may(running: Service, route: str) -> None:
    needed = str(ROUTES[route])
    world = make_world(running, "owner")
    lacking = key_of(world, scopes=all_but(needed))
    before = world.snapshot()
    reply = world.send(route, EXPECTED[route], lacking)
    assert reply.status_code == 403
    told = reply.json()
    assert told.get("error", told)["required_scope"] == needed
    assert world.snapshot() == before
    enough = world.send(route, EXPECTED[route], key_of(world, scopes=[needed, *ALSO_NEEDED.get(needed, ())]))
    assert enough.status_code == EXPECTED[route].status("owner"), enough.text


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("route", EXPECTED)
def test_each_role_gets_what_the_table_says(running: Service, route: str, role: str) -> None:
    world = make_world(running, role)
    before = world.snapshot()
    reply = world.send(route, EXPECTED[route])
    body = "" if reply.is_closed and not reply.is_stream_consumed else reply.text
    assert reply.status_code == EXPECTED[route].status(role), body
    if reply.status_code >= 400:
        assert reply.headers["content-type"] == error_type(route)
        assert world.snapshot() == before, "a refused request has changed something"
    if role in {"stranger", "outsider"}:
        _assert_tells_nothing(world, body)
        assert world.snapshot() == before, "somebody from outside has changed something"


def _assert_tells_nothing(world: World, body: str) -> None:
    told = [secret for secret in world.secrets() if secret in body]
    assert told == []
