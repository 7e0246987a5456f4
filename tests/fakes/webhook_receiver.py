"""A receiver of webhooks on loopback: a scripted server that knows what a delivery is."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from standardwebhooks import Webhook

from tests.fakes.scripted_server import Recorded, Reply, Scripted, serve


@dataclass(frozen=True)
class Received(Recorded):
    """A delivery as it came."""

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    def verify(self, secret: str) -> Any:
        """Return the event in it. Raises where the signature is not by this secret, or not of now."""
        return Webhook(secret).verify(self.body, dict(self.headers))


class Receiver(Scripted[Received]):
    """What tests see of a running receiver: it says 204 unless it is told otherwise."""

    def __init__(self, url: str) -> None:
        super().__init__(f"{url}/hook", Received)
        self.otherwise = Reply(204, b"")


@contextmanager
def webhook_receiver(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Run a receiver for the length of a test."""
    with serve(Receiver, tls) as receiver:
        yield receiver
