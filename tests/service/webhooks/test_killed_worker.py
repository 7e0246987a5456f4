"""A worker that is killed after it sent an event and before it wrote that down: another one sends it again."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fakes.scripted_server import Hang
from tests.fakes.webhook_receiver import Receiver
from tests.running import ENCRYPTION_KEY, SECRET, Service
from tests.service.webhooks.conftest import LOOPBACK

# A process of its own loads everything anew, on a machine that may be busy with other tests.
START_TIMEOUT_S = 120


@contextmanager
def working(service: Service, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `docsearch worker` on the service's database; it is killed at the end, if it has not been."""
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "worker"],
        env=os.environ
        | {
            "DATABASE_URL": service.database_url,
            "DOCSEARCH_HOME": str(home),
            "SECRET_KEY": SECRET,
            "ENCRYPTION_KEY": ENCRYPTION_KEY,
            "WEBHOOK_ALLOWED_NETWORKS": LOOPBACK,
            "LOG_LEVEL": "ERROR",
        },
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_the_event_comes_again_under_the_same_id(api: Service, receiver: Receiver, tmp_path: Path) -> None:
    receiver.script(Hang())
    with api.client() as client:
        made = client.post("/v1/webhooks", json={"url": receiver.url}).json()
        path = f"/v1/webhooks/{made['id']}"
        client.post(f"{path}/test").raise_for_status()
        with working(api, tmp_path / "first") as first:
            receiver.wait_for(1, START_TIMEOUT_S)
            os.killpg(first.pid, signal.SIGKILL)
            first.wait()
        (row,) = client.get(f"{path}/deliveries").json()["data"]
        assert (row["status"], row["attempts"]) == ("pending", 0)
        api.call(_let_heartbeat_pass(api))
        with working(api, tmp_path / "second"):
            sent, again = receiver.wait_for(2, START_TIMEOUT_S)
        assert sent.message_id == again.message_id == row["event_id"]
        assert sent.body == again.body
        assert again.verify(made["secret"])["type"] == "ping"


async def _let_heartbeat_pass(service: Service) -> None:
    """Make the dead worker's silence longer than a living one waits."""
    async with service.runtime.pool.acquire() as conn:
        await conn.execute(
            "UPDATE pgqueuer SET heartbeat = now() - interval '1 hour' WHERE status = 'picked'"
        )
