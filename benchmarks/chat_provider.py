"""The provider of benchmarks.chat: chat completions as OpenAI streams them, as fast as a loop can."""

import asyncio
import json
from multiprocessing.connection import Connection

TOKENS = 50


def serve_provider(parent: Connection) -> None:
    """Answer chat completions as OpenAI does, as fast as a loop can; a process of its own."""

    def event(delta: dict[str, str], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        data = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        return _chunk(f"data: {json.dumps(data)}\n\n")

    usage = {"prompt_tokens": 2_000, "completion_tokens": TOKENS, "total_tokens": 2_000 + TOKENS}
    last = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [],
        "usage": usage,
    }
    events = [
        *(event({"content": f"word{number} "}) for number in range(TOKENS - 1)),
        event({"content": "[1]."}),
        event({}, "stop"),
        _chunk(f"data: {json.dumps(last)}\n\n"),
        _chunk("data: [DONE]\n\n"),
        b"0\r\n\r\n",
    ]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                await reader.readexactly(int(asked.split("content-length:")[1].split("\r\n")[0]))
                for part in (head, *events):
                    writer.write(part)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        parent.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        await asyncio.to_thread(parent.recv)
        server.close()

    asyncio.run(main())


def _chunk(text: str) -> bytes:
    data = text.encode()
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
