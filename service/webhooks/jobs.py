"""The job that sends an event to a webhook.

Running it twice is harmless to us: a delivery that is finished or due later is left alone. The receiver may get an
event twice, where a worker died between sending and writing it down, and knows it by its webhook-id.
"""

import asyncio
import binascii
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from weakref import WeakValueDictionary

import structlog
from pgqueuer.errors import RetryRequested
from pgqueuer.models import Job
from standardwebhooks.webhooks import EmptyWebhookSecretError

from db.deliveries import Due, find_due, give_up_delivery, list_orphans, record_attempt
from db.jobs import DELIVER_WEBHOOK, enqueue_deliveries
from db.notifications import notify
from db.pool import Conn, Pool
from db.webhooks import Called, count_call, pause_webhook, webhook_managers
from service.metrics import WEBHOOK_ATTEMPTS, WEBHOOK_SECONDS
from service.secrets import SecretBox, SecretUnreadable
from service.settings import Settings
from service.webhooks.backoff import next_delay
from service.webhooks.sending import Attempt, Verdict, WebhookSender

log = structlog.get_logger()

# A webhook that has answered nothing well for as long as all attempts of an event take is paused.
PATIENCE_HOURS = 3 * 24
# So that one slow receiver does not take the places of all others: who finds no place soon comes back later.
MAX_IN_FLIGHT_PER_WEBHOOK = 8
_PLACE_TIMEOUT_S = 1.0
_BUSY_DELAY_S = (5.0, 15.0)
_OUTAGE_DELAY = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Deliverer:
    """What deliveries work with; opened once by whoever runs them."""

    pool: Pool
    sender: WebhookSender
    secrets: SecretBox
    _places: WeakValueDictionary[str, asyncio.Semaphore] = field(
        default_factory=WeakValueDictionary, repr=False
    )

    @classmethod
    def open(cls, pool: Pool, settings: Settings) -> "Deliverer":
        """Raises SettingsError where there is no key to read secrets with."""
        return cls(pool, WebhookSender(settings.webhook_networks), SecretBox(settings.encryption_keys()))

    @contextlib.asynccontextmanager
    async def place(self, webhook_id: str) -> AsyncIterator[None]:
        """Take one of a webhook's places. Raises RetryRequested where none becomes free."""
        places = self._places.setdefault(webhook_id, asyncio.Semaphore(MAX_IN_FLIGHT_PER_WEBHOOK))
        try:
            await asyncio.wait_for(places.acquire(), _PLACE_TIMEOUT_S)
        except TimeoutError as exc:
            delay_s = random.uniform(*_BUSY_DELAY_S)  # noqa: S311 - spreads load, guards nothing
            raise RetryRequested(
                timedelta(seconds=delay_s), reason="the receiver is busy with others"
            ) from exc
        try:
            yield
        finally:
            places.release()


async def run_delivery(deliverer: Deliverer, job: Job) -> None:
    """Make the attempt that the job names, and write down how it went."""
    delivery_id = (job.payload or b"").decode()
    with structlog.contextvars.bound_contextvars(delivery_id=delivery_id, job_id=int(job.id)):
        try:
            await deliver(deliverer, delivery_id)
        except RetryRequested:
            raise
        except Exception as exc:
            # The delivery is as it was: it waits, and its job comes back to it.
            log.exception("delivery_crashed")
            raise RetryRequested(_OUTAGE_DELAY, reason=type(exc).__name__) from exc


async def deliver(deliverer: Deliverer, delivery_id: str) -> None:
    async with deliverer.pool.acquire() as conn:
        due = await find_due(conn, delivery_id)
        if due is None:
            return
        if not due.is_active:
            await give_up_delivery(conn, delivery_id, "paused")
            return
    async with deliverer.place(due.webhook_id):
        attempt = await _attempt(deliverer, due)
    WEBHOOK_ATTEMPTS.labels(attempt.verdict).inc()
    WEBHOOK_SECONDS.observe(attempt.duration_ms / 1000)
    async with deliverer.pool.acquire() as conn, conn.transaction():
        await _record(conn, due, attempt)
    log.info(
        "webhook_attempted",
        webhook_id=due.webhook_id,
        event_type=due.event_type,
        verdict=attempt.verdict.value,
        status=attempt.status,
        error=attempt.error,
        attempts=due.attempts + 1,
    )


async def _attempt(deliverer: Deliverer, due: Due) -> Attempt:
    """Send what is due, with no connection held."""
    try:
        keys = [deliverer.secrets.open(sealed) for sealed in due.sealed_secrets]
        return await deliverer.sender.send(due.url, keys=keys, message_id=due.event_id, body=due.body)
    except (SecretUnreadable, EmptyWebhookSecretError, binascii.Error) as exc:
        # Another key, or a secret from the web application that signs nothing: somebody has to set it right.
        log.warning("webhook_secret_unreadable", webhook_id=due.webhook_id, reason=type(exc).__name__)
        return Attempt(verdict=Verdict.RETRY, duration_ms=0, error="secret_unreadable")


async def _record(conn: Conn, due: Due, attempt: Attempt) -> None:
    delivered = attempt.verdict is Verdict.DELIVERED
    called = await count_call(conn, due.webhook_id, delivered=delivered, patience_hours=PATIENCE_HOURS)
    if called is None:  # deleted meanwhile, and its deliveries with it
        return
    delay = (
        next_delay(due.attempts + 1, attempt.retry_after_s)
        if attempt.verdict is Verdict.RETRY and called.is_active
        else None
    )
    await record_attempt(
        conn,
        due.id,
        delivered=delivered,
        response_status=attempt.status,
        response_body=attempt.excerpt,
        error=attempt.error,
        duration_ms=attempt.duration_ms,
        next_delay=delay,
    )
    if delay is not None:
        await enqueue_deliveries(conn, [due.id], delay)
    if attempt.verdict is Verdict.GONE:
        await _pause(conn, due.webhook_id, called, "gone")
    elif called.given_up:
        await _pause(conn, due.webhook_id, called, "failing")


_PAUSED = {
    "gone": "It answered with status 410: it wants no more events.",
    "failing": "Nothing could be delivered to it for three days.",
}


async def _pause(conn: Conn, webhook_id: str, called: Called, reason: str) -> None:
    if not await pause_webhook(conn, webhook_id, reason):
        return
    log.warning("webhook_paused", webhook_id=webhook_id, reason=reason)
    await notify(
        conn,
        await webhook_managers(conn, called.user_id, called.team_id),
        "SYSTEM",
        "A webhook was paused",
        f"{called.url} gets no more events. {_PAUSED[reason]} Set it right, and activate the webhook again.",
        {"webhook_id": webhook_id, "reason": reason, "team_id": called.team_id},
    )


async def requeue_orphan_deliveries(pool: Pool) -> None:
    """Give every delivery that is due and has no job a new one."""
    async with pool.acquire() as conn, conn.transaction():
        orphans = await list_orphans(conn, DELIVER_WEBHOOK)
        if orphans:
            await enqueue_deliveries(conn, orphans)
    if orphans:
        log.info("orphan_deliveries_requeued", deliveries=len(orphans))
