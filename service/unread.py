"""A reply to a body that was not read to its end closes the connection, and says so.

The server does close it: it cannot know where the next request would begin. A client that is not told sends its next
request into a closed connection, and sees it fail.
"""

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, ReceiveMessage, Scope, Send

# What the server reads to the end by itself: it has arrived along with the headers.
_SMALL_BYTES = 4096


class ClosesUnread:
    """Adds `Connection: close` where a reply starts before the request's body has been read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or not _large(scope):
            await self._app(scope, receive, send)
            return
        unread = True

        async def receive_noting() -> ReceiveMessage:
            nonlocal unread
            message = await receive()
            unread = message["type"] == "http.request" and message["more_body"]
            return message

        async def send_closing(message: Message) -> None:
            if message["type"] == "http.response.start" and unread:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive_noting, send_closing)


def _large(scope: Scope) -> bool:
    """Return whether there is a body that need not have arrived whole."""
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"0")
    return b"transfer-encoding" in headers or not length.isdigit() or int(length) > _SMALL_BYTES
