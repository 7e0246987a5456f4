"""The job that sends an event: what is written down, when it comes back, when a webhook is paused."""

import asyncio
import ipaddress
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from pgqueuer.errors import RetryRequested

from db import deliveries, jobs, outbox, users, webhooks
from db.pool import Conn, Pool, open_pool
from db.webhooks import WebhookRow
from service.maintenance import prune_webhook_deliveries
from service.secrets import SecretBox
from service.webhooks import jobs as webhook_jobs
from service.webhooks.backoff import MAX_ATTEMPTS
from service.webhooks.jobs import (
    MAX_IN_FLIGHT_PER_WEBHOOK,
    Deliverer,
    deliver,
    requeue_orphan_deliveries,
    run_delivery,
)
from service.webhooks.sending import WebhookSender
from service.webhooks.signing import new_secret
from tests.fakes.scripted_server import Drop, Hang, Reply
from tests.fakes.webhook_receiver import Receiver
from tests.running import ENCRYPTION_KEY

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
SECRET = new_secret()
DATA = {"document_id": "d1", "title": "Grüße", "status": "ready"}


@pytest.fixture
def deliverer(pool: Pool) -> Deliverer:
    return Deliverer(pool, WebhookSender(LOOPBACK, timeout_s=5), SecretBox(ENCRYPTION_KEY))


@pytest.fixture
async def user_id(conn: Conn) -> str:
    return (await users.create_user(conn, email="ann@example.com")).id


@pytest.fixture
async def webhook_id(conn: Conn, user_id: str, receiver: Receiver) -> str:
    return await add_webhook(conn, user_id, receiver.url)


async def add_webhook(conn: Conn, user_id: str, url: str, *, secret: str | None = None) -> str:
    async with conn.transaction():
        webhook_id = await webhooks.insert_webhook(
            conn,
            user_id=user_id,
            team_id=None,
            url=url,
            sealed_secret=secret or SecretBox(ENCRYPTION_KEY).seal(SECRET),
            events=[],
            description=None,
            limit=20,
        )
    assert webhook_id is not None
    return webhook_id


async def event(conn: Conn, webhook_id: str) -> str:
    async with conn.transaction():
        return await outbox.emit_to(conn, webhook_id, "document.ready", DATA)


async def delivery(conn: Conn, webhook_id: str, delivery_id: str) -> deliveries.DeliveryRow:
    row = await deliveries.find_delivery(conn, webhook_id, delivery_id)
    assert row is not None
    return row


async def webhook(conn: Conn, user_id: str, webhook_id: str) -> WebhookRow:
    row = await webhooks.find_webhook(conn, user_id, [], webhook_id)
    assert row is not None
    return row


async def queued(conn: Conn) -> list[tuple[str, timedelta]]:
    """Return the deliveries that have a job, and how long after it was made it is due."""
    rows = await conn.fetch(
        "SELECT payload, execute_after - created AS delay FROM pgqueuer WHERE entrypoint = $1 ORDER BY id",
        jobs.DELIVER_WEBHOOK,
    )
    return [(row["payload"].decode(), row["delay"]) for row in rows]


async def make_due(conn: Conn, delivery_id: str) -> None:
    await conn.execute(
        "UPDATE webhook_delivery SET next_attempt_at = now() WHERE id = $1::uuid AND status = 'pending'",
        delivery_id,
    )


async def test_an_event_is_sent_signed_and_written_down(
    deliverer: Deliverer, conn: Conn, user_id: str, webhook_id: str, receiver: Receiver
) -> None:
    receiver.script(Reply(200, body=b"thank you"))
    delivery_id = await event(conn, webhook_id)
    await deliver(deliverer, delivery_id)
    (request,) = receiver.requests
    sent = request.verify(SECRET)
    row = await delivery(conn, webhook_id, delivery_id)
    assert sent == json.loads(row.body)
    assert (sent["type"], sent["data"]) == ("document.ready", DATA)
    assert datetime.fromisoformat(sent["timestamp"]) <= datetime.now(UTC)
    assert request.message_id == row.event_id
    assert (row.status, row.attempts, row.response_status, row.response_body) == (
        "delivered",
        1,
        200,
        "thank you",
    )
    assert row.finished_at is not None
    assert row.next_attempt_at is None
    after = await webhook(conn, user_id, webhook_id)
    assert after.total_calls == 1
    assert after.last_called_at is not None
    assert after.failing_since is None


async def test_running_twice_sends_once(
    deliverer: Deliverer, conn: Conn, webhook_id: str, receiver: Receiver
) -> None:
    delivery_id = await event(conn, webhook_id)
    await deliver(deliverer, delivery_id)
    await deliver(deliverer, delivery_id)
    assert len(receiver.requests) == 1


async def test_what_failed_comes_back_later_with_the_same_id(
    deliverer: Deliverer, conn: Conn, user_id: str, webhook_id: str, receiver: Receiver
) -> None:
    receiver.script(Reply(503, body=b"busy"), Drop(), Reply(200))
    delivery_id = await event(conn, webhook_id)
    await deliver(deliverer, delivery_id)
    row = await delivery(conn, webhook_id, delivery_id)
    assert (row.status, row.attempts, row.response_status, row.error) == ("pending", 1, 503, "http_status")
    assert row.next_attempt_at is not None
    assert row.last_attempt_at is not None
    assert timedelta(seconds=4) <= row.next_attempt_at - row.last_attempt_at <= timedelta(seconds=6)
    # Its own job is not over yet in this test; the other is the next attempt's.
    (_, again) = await queued(conn)
    assert again[0] == delivery_id
    assert timedelta(seconds=4) <= again[1] <= timedelta(seconds=6)
    assert (await webhook(conn, user_id, webhook_id)).failing_since is not None

    await deliver(deliverer, delivery_id)  # before it is due
    assert len(receiver.requests) == 1
    await make_due(conn, delivery_id)
    await deliver(deliverer, delivery_id)
    row = await delivery(conn, webhook_id, delivery_id)
    assert (row.status, row.attempts, row.response_status, row.error) == (
        "pending",
        2,
        None,
        "connection_failed",
    )
    await make_due(conn, delivery_id)
    await deliver(deliverer, delivery_id)
    row = await delivery(conn, webhook_id, delivery_id)
    assert (row.status, row.attempts, row.error) == ("delivered", 3, None)
    assert {request.message_id for request in receiver.requests} == {row.event_id}
    assert {request.body for request in receiver.requests} == {row.body.encode()}
    after = await webhook(conn, user_id, webhook_id)
    assert (after.total_calls, after.failing_since) == (3, None)


async def test_a_receiver_that_asks_for_patience_gets_it(
    deliverer: Deliverer, conn: Conn, webhook_id: str, receiver: Receiver
) -> None:
    receiver.script(Reply(429, headers={"Retry-After": "3600"}))
    await deliver(deliverer, await event(conn, webhook_id))
    assert (await queued(conn))[-1][1] == timedelta(hours=1)


async def test_after_the_last_attempt_it_has_failed(
    deliverer: Deliverer, conn: Conn, webhook_id: str, receiver: Receiver
) -> None:
    receiver.otherwise = Reply(500)
    delivery_id = await event(conn, webhook_id)
    for _ in range(MAX_ATTEMPTS + 2):
        await make_due(conn, delivery_id)
        await deliver(deliverer, delivery_id)
    row = await delivery(conn, webhook_id, delivery_id)
    assert (row.status, row.attempts) == ("failed", MAX_ATTEMPTS)
    assert len(receiver.requests) == MAX_ATTEMPTS


async def test_a_refusal_is_final(
    deliverer: Deliverer, conn: Conn, user_id: str, webhook_id: str, receiver: Receiver
) -> None:
    receiver.script(Reply(401))
    delivery_id = await event(conn, webhook_id)
    await deliver(deliverer, delivery_id)
    row = await delivery(conn, webhook_id, delivery_id)
    assert (row.status, row.attempts, row.response_status) == ("failed", 1, 401)
    assert (await webhook(conn, user_id, webhook_id)).is_active


async def notifications(conn: Conn, user_id: str) -> list[dict[str, Any]]:
    rows = await conn.fetch('SELECT * FROM "Notification" WHERE "userId" = $1', user_id)
    return [dict(row) for row in rows]


async def test_a_receiver_that_is_gone_pauses_the_webhook(
    deliverer: Deliverer, conn: Conn, user_id: str, webhook_id: str, receiver: Receiver
) -> None:
    receiver.script(Reply(410))
    first, second = await event(conn, webhook_id), await event(conn, webhook_id)
    await deliver(deliverer, first)
    paused = await webhook(conn, user_id, webhook_id)
    assert (paused.is_active, paused.pause_reason) == (False, "gone")
    assert paused.paused_at is not None
    (told,) = await notifications(conn, user_id)
    assert told["type"] == "SYSTEM"
    assert told["data"]["webhook_id"] == webhook_id
    await deliver(deliverer, second)
    assert len(receiver.requests) == 1
    assert (await delivery(conn, webhook_id, second)).error == "paused"
    assert await outbox.emit(conn, user_id, "document.ready", DATA) == 0


@pytest.mark.parametrize(("hours", "active"), [(71, True), (73, False)])
async def test_three_days_of_failures_pause_the_webhook(
    deliverer: Deliverer,
    conn: Conn,
    user_id: str,
    webhook_id: str,
    receiver: Receiver,
    hours: int,
    active: bool,
) -> None:
    receiver.otherwise = Reply(500)
    await deliver(deliverer, await event(conn, webhook_id))
    await conn.execute(
        'UPDATE "Webhook" SET "failingSince" = "failingSince" - make_interval(hours => $1)', hours
    )
    await deliver(deliverer, await event(conn, webhook_id))
    after = await webhook(conn, user_id, webhook_id)
    assert after.is_active is active
    assert after.pause_reason == (None if active else "failing")
    assert len(await notifications(conn, user_id)) == (0 if active else 1)


async def test_one_success_in_three_days_is_enough(
    deliverer: Deliverer, conn: Conn, user_id: str, webhook_id: str, receiver: Receiver
) -> None:
    receiver.script(Reply(500), Reply(200), Reply(500))
    await deliver(deliverer, await event(conn, webhook_id))
    await conn.execute('UPDATE "Webhook" SET "failingSince" = "failingSince" - interval \'4 days\'')
    for _ in range(2):
        await deliver(deliverer, await event(conn, webhook_id))
    assert (await webhook(conn, user_id, webhook_id)).is_active


async def test_a_worker_that_dies_before_it_writes_down_leaves_the_event_to_another(
    deliverer: Deliverer, conn: Conn, user_id: str, webhook_id: str, receiver: Receiver
) -> None:
    receiver.script(Hang())
    delivery_id = await event(conn, webhook_id)
    dying = asyncio.create_task(deliver(deliverer, delivery_id))
    await asyncio.to_thread(receiver.wait_for, 1)
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    assert (await delivery(conn, webhook_id, delivery_id)).attempts == 0
    await deliver(deliverer, delivery_id)
    first, second = receiver.requests
    assert first.message_id == second.message_id
    assert first.body == second.body
    assert (await delivery(conn, webhook_id, delivery_id)).status == "delivered"
    assert (await webhook(conn, user_id, webhook_id)).total_calls == 1


async def test_of_two_runs_at_once_the_one_that_fails_does_not_undo_the_other(
    deliverer: Deliverer, conn: Conn, webhook_id: str, receiver: Receiver
) -> None:
    receiver.script(Hang(), Reply(200))
    delivery_id = await event(conn, webhook_id)
    slow = asyncio.create_task(deliver(deliverer, delivery_id))
    await asyncio.to_thread(receiver.wait_for, 1)
    await deliver(deliverer, delivery_id)
    receiver.released.set()
    await slow
    row = await delivery(conn, webhook_id, delivery_id)
    assert (row.status, row.response_status) == ("delivered", 200)


async def test_no_connection_is_held_while_sending(
    database_url: str, conn: Conn, webhook_id: str, receiver: Receiver
) -> None:
    receiver.script(Hang())
    delivery_id = await event(conn, webhook_id)
    async with open_pool(database_url, size=1) as single:
        sender = WebhookSender(LOOPBACK, timeout_s=5)
        sending = asyncio.create_task(
            deliver(Deliverer(single, sender, SecretBox(ENCRYPTION_KEY)), delivery_id)
        )
        await asyncio.to_thread(receiver.wait_for, 1)
        async with asyncio.timeout(2), single.acquire() as only:
            # pg_locks is the whole server's, and such a lock says nothing of its database.
            held = await only.fetchval("""
                SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
                WHERE locktype = 'transactionid' AND datname = current_database()
            """)
            assert held <= 1
        receiver.released.set()
        await sending


async def test_calls_are_counted_exactly(
    deliverer: Deliverer, conn: Conn, user_id: str, webhook_id: str, receiver: Receiver
) -> None:
    receiver.script(*[Reply(500)] * 10)
    ids = [await event(conn, webhook_id) for _ in range(30)]
    await asyncio.gather(*(deliver(deliverer, delivery_id) for delivery_id in ids))
    assert len(receiver.requests) == 30
    assert (await webhook(conn, user_id, webhook_id)).total_calls == 30


async def test_a_webhook_that_was_deleted_meanwhile_gets_nothing_more(
    deliverer: Deliverer, conn: Conn, webhook_id: str, receiver: Receiver
) -> None:
    receiver.script(Hang())
    first, second = await event(conn, webhook_id), await event(conn, webhook_id)
    sending = asyncio.create_task(deliver(deliverer, first))
    await asyncio.to_thread(receiver.wait_for, 1)
    await webhooks.delete_webhook(conn, webhook_id)
    receiver.released.set()
    await sending
    await deliver(deliverer, second)
    assert len(receiver.requests) == 1
    assert await conn.fetchval("SELECT count(*) FROM webhook_delivery") == 0


async def test_both_secrets_sign_while_one_is_rotated(
    deliverer: Deliverer, conn: Conn, webhook_id: str, receiver: Receiver
) -> None:
    newer = new_secret()
    await webhooks.rotate_secret(
        conn, webhook_id, sealed_secret=SecretBox(ENCRYPTION_KEY).seal(newer), grace_hours=24
    )
    await deliver(deliverer, await event(conn, webhook_id))
    assert receiver.requests[0].verify(SECRET) == receiver.requests[0].verify(newer)
    await conn.execute('UPDATE "Webhook" SET "previousSecretUntil" = now()')
    await deliver(deliverer, await event(conn, webhook_id))
    assert receiver.requests[1].headers["webhook-signature"].count("v1,") == 1
    receiver.requests[1].verify(newer)


async def test_a_plain_secret_of_the_web_application_signs_too(
    deliverer: Deliverer, conn: Conn, user_id: str, receiver: Receiver
) -> None:
    secret = new_secret()
    webhook_id = await add_webhook(conn, user_id, receiver.url, secret=secret)
    await deliver(deliverer, await event(conn, webhook_id))
    receiver.requests[0].verify(secret)


@pytest.mark.parametrize("secret", ["enc:of another key", "whsec_", "x"])
async def test_a_secret_that_signs_nothing_says_so_and_waits(
    deliverer: Deliverer, conn: Conn, user_id: str, receiver: Receiver, secret: str
) -> None:
    webhook_id = await add_webhook(conn, user_id, receiver.url, secret=secret)
    delivery_id = await event(conn, webhook_id)
    await deliver(deliverer, delivery_id)
    row = await delivery(conn, webhook_id, delivery_id)
    assert (row.status, row.error) == ("pending", "secret_unreadable")
    assert receiver.requests == []


async def test_a_private_address_is_refused_when_it_is_connected_to(
    pool: Pool, conn: Conn, webhook_id: str, receiver: Receiver
) -> None:
    delivery_id = await event(conn, webhook_id)
    await deliver(Deliverer(pool, WebhookSender(), SecretBox(ENCRYPTION_KEY)), delivery_id)
    row = await delivery(conn, webhook_id, delivery_id)
    assert (row.status, row.error) == ("failed", "address_refused")
    assert receiver.requests == []


async def test_a_slow_receiver_does_not_take_every_place(
    deliverer: Deliverer,
    conn: Conn,
    user_id: str,
    webhook_id: str,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_jobs, "_PLACE_TIMEOUT_S", 0.01)
    receiver.script(*[Hang()] * MAX_IN_FLIGHT_PER_WEBHOOK)
    other = await add_webhook(conn, user_id, receiver.url + "/other")
    ids = [await event(conn, webhook_id) for _ in range(MAX_IN_FLIGHT_PER_WEBHOOK + 1)]
    sending = [asyncio.create_task(deliver(deliverer, one)) for one in ids[:-1]]
    await asyncio.to_thread(receiver.wait_for, MAX_IN_FLIGHT_PER_WEBHOOK)
    with pytest.raises(RetryRequested):
        await deliver(deliverer, ids[-1])
    await deliver(deliverer, await event(conn, other))
    assert receiver.requests[-1].path == "/hook/other"
    receiver.released.set()
    await asyncio.gather(*sending)
    await deliver(deliverer, ids[-1])
    assert (await delivery(conn, webhook_id, ids[-1])).status == "delivered"


async def test_what_nobody_expected_brings_the_job_back(deliverer: Deliverer) -> None:
    job: Any = SimpleNamespace(id=1, payload=b"not a uuid", attempts=0)
    with pytest.raises(RetryRequested):
        await run_delivery(deliverer, job)


async def test_a_delivery_that_lost_its_job_gets_another(pool: Pool, conn: Conn, webhook_id: str) -> None:
    lost, late, has_one = [await event(conn, webhook_id) for _ in range(3)]
    await conn.execute("DELETE FROM pgqueuer WHERE payload = ANY($1)", [lost.encode(), late.encode()])
    await conn.execute(
        "UPDATE webhook_delivery SET next_attempt_at = now() + $2 WHERE id = ANY($1::uuid[])",
        [late],
        timedelta(hours=1),
    )
    await conn.execute(
        "UPDATE webhook_delivery SET next_attempt_at = now() - $2::interval WHERE id = ANY($1::uuid[])",
        [lost, has_one],
        timedelta(minutes=2),
    )
    for _ in range(2):
        await requeue_orphan_deliveries(pool)
        assert [one for one, _ in await queued(conn)] == [has_one, lost]


async def test_the_log_is_kept_for_a_month(pool: Pool, conn: Conn, webhook_id: str) -> None:
    old, recent = await event(conn, webhook_id), await event(conn, webhook_id)
    await conn.execute(
        "UPDATE webhook_delivery SET created_at = now() - interval '31 days' WHERE id = $1::uuid", old
    )
    await prune_webhook_deliveries(pool)
    kept = await deliveries.list_deliveries(conn, webhook_id, limit=10, after=None, status=None)
    assert [row.id for row in kept] == [recent]
