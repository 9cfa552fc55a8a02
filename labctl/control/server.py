"""The run's end of its control port: checks the token, answers, and streams what happens.

Loopback only. Where it listens and the token stand in `control.json` in the run's directory, which
nobody but its owner may read: whoever can read the run's files may command it, and nobody else.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from labctl.errors import UsageError

FILE_NAME: Final = "control.json"
LONGEST: Final = 65536
UNHEARD: Final = 1000
"""Messages that a watcher may leave unread before it is sent away."""

Json = Mapping[str, object]
Handle = Callable[[Json], Json]


class Control:
    """Listens for one run; `handle` answers a command, `snapshot` says how things stand."""

    def __init__(self, directory: Path, handle: Handle, snapshot: Callable[[], Json]) -> None:
        self._file = directory / FILE_NAME
        self._handle = handle
        self._snapshot = snapshot
        self._token = secrets.token_urlsafe(24)
        self._server: asyncio.Server | None = None
        self._watchers: set[asyncio.Queue[Json]] = set()
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to listen and write down where."""
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0, limit=LONGEST)
        port = self._server.sockets[0].getsockname()[1]
        words = json.dumps({"port": port, "token": self._token, "pid": os.getpid()})
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(words)

    def tell(self, message: Json) -> None:
        """Pass something on to all watchers; one that does not read is sent away."""
        for watcher in tuple(self._watchers):
            if watcher.qsize() >= UNHEARD:
                self._watchers.discard(watcher)
                continue
            watcher.put_nowait(message)

    def changed(self) -> None:
        """Tell all watchers how things stand."""
        self.tell({"status": self._snapshot()})

    async def close(self) -> None:
        """Say farewell to the watchers, stop listening, take the file away."""
        self._file.unlink(missing_ok=True)
        if self._server is None:
            return
        self._server.close()
        self.tell({"over": True})
        if self._clients:
            await asyncio.wait(self._clients, timeout=1.0)
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        await self._server.wait_closed()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)
        try:
            while asked := await _line(reader):
                answer = self._answer(asked)
                await _send(writer, answer)
                if answer.get("watching"):
                    await self._stream(reader, writer)
                    return
        except ConnectionError:
            return
        finally:
            writer.close()

    def _answer(self, asked: Json) -> Json:
        token = asked.get("token")
        if not isinstance(token, str) or not hmac.compare_digest(token, self._token):
            return {"accepted": False, "reason": "the token is not that of this run"}
        verb = asked.get("verb")
        if verb == "status":
            return {"accepted": True, "status": self._snapshot()}
        if verb == "watch":
            return {"accepted": True, "watching": True, "status": self._snapshot()}
        return self._handle(asked)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        queue: asyncio.Queue[Json] = asyncio.Queue()
        self._watchers.add(queue)
        gone = asyncio.create_task(reader.read(1), name="watcher leaves")
        try:
            while queue in self._watchers:
                heard = asyncio.create_task(queue.get(), name="watcher hears")
                await asyncio.wait({heard, gone}, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    heard.cancel()
                    return
                message = heard.result()
                await _send(writer, message)
                if message.get("over"):
                    return
        finally:
            self._watchers.discard(queue)
            gone.cancel()


def text_of(asked: Json, name: str) -> str:
    """Return a word of a command.

    Raises:
        UsageError: it is missing or no text.
    """
    value = asked.get(name, "")
    if not isinstance(value, str):
        raise UsageError(f"{name} must be text")
    return value


async def _line(reader: asyncio.StreamReader) -> Json | None:
    """Read one object; None at the end, or when what came is none."""
    try:
        line = await reader.readline()
    except ValueError:
        return None
    try:
        found = json.loads(line) if line else None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else ({} if line else None)


async def _send(writer: asyncio.StreamWriter, message: Json) -> None:
    writer.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")
    await writer.drain()
