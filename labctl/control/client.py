"""The other end of a run's control port: plain sockets, for a terminal and for scripts."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from labctl.control.server import FILE_NAME
from labctl.errors import UsageError

Json = Mapping[str, object]
CONNECT_S = 5.0


class Client:
    """One connection to a live run, found by its directory.

    Raises:
        UsageError: no run goes on there, or it does not answer.
    """

    def __init__(self, directory: Path) -> None:
        try:
            where = json.loads((directory / FILE_NAME).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UsageError(
                f"{directory.name} is not going on; `labctl show` tells more"
            ) from None
        except (OSError, ValueError) as error:
            raise UsageError(f"{directory / FILE_NAME} cannot be read: {error}") from None
        self._token = str(where["token"])
        try:
            self._socket = socket.create_connection(("127.0.0.1", where["port"]), CONNECT_S)
        except OSError as error:
            message = f"{directory.name} does not answer: {error}; its process may have died"
            raise UsageError(f"{message}: look at the rig") from None
        self._socket.settimeout(None)
        self._buffer = b""
        self.over = False

    def __enter__(self) -> Self:
        """Use it as a context."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up."""
        self._socket.close()

    def fileno(self) -> int:
        """Return the socket's descriptor, to wait on."""
        return self._socket.fileno()

    def ask(self, verb: str, **words: object) -> Json:
        """Send a command and return its answer: `accepted`, and a `reason` where it is not."""
        row = {"token": self._token, "verb": verb, **words}
        try:
            self._socket.sendall(json.dumps(row).encode() + b"\n")
        except OSError:
            self.over = True
        answer = self.next()
        return answer if answer is not None else {"accepted": False, "reason": "the run is over"}

    def next(self) -> Json | None:
        """Wait for the next message; None when the connection ended."""
        while b"\n" not in self._buffer and not self.over:
            self.receive()
        return next(self.held(), None)

    def receive(self) -> None:
        """Take what has come, waiting for the first of it; `over` tells that there is no more."""
        try:
            data = self._socket.recv(65536)
        except OSError:
            data = b""
        self._buffer += data
        self.over = not data

    def held(self) -> Iterator[Json]:
        """Give the messages that have come whole, without waiting."""
        while b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            found = json.loads(line)
            if isinstance(found, dict):
                yield found
