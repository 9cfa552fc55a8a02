"""Simulated HORIBA ICL: a monochromator and a SpectrAcq3 behind JSON on a WebSocket.

Sources: "ICL API Programmers Manual" 2.1.0 and horiba-sdk 1.0.4, whose names of results are
followed. One client at a time: a new opening request ends the connection before. Binary messages
(logs of the ICL) are never sent. Tests and faults reach `mono`, `detector`, `ping` and `hang_up`.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from labctl.framing import websocket
from labctl.framing.websocket import Message, Opcode, Stream
from labctl.twin import Plant, TwinDevice
from simulators.horiba_monochromator import IclError, Monochromator, Parameters, Results
from simulators.horiba_spectracq import SpectrAcq

_REPLY_NS = 4_000_000
_LONGEST_HEAD = 8192
_GET = b"GET "
_NORMAL, _PROTOCOL_ERROR = (1000).to_bytes(2, "big"), (1002).to_bytes(2, "big")


class SimHoribaIcl:
    """The ICL program with its two instruments."""

    def __init__(self, device: TwinDevice, plant: Plant) -> None:
        self.mono = Monochromator()
        self.detector = SpectrAcq(plant, device.touches.get("spectrum", "pl"), self.mono)
        self._head = bytearray()
        self._stream: Stream | None = None
        self._unasked: list[bytes] = []
        self._discovered: set[str] = set()

    @property
    def speaks(self) -> bool:
        """Whether something waits to be said that nobody asked for."""
        return bool(self._unasked)

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes; answer every whole frame, or the request that opens the connection."""
        self.advance(t_ns)
        replies, self._unasked = self._unasked, []
        if self._stream is not None and self._stream.between_frames and data.startswith(b"G"):
            self._stream = None  # no frame begins so: somebody else connects
        if self._stream is None:
            answer, data = self._open(data)
            replies += answer
        if self._stream is not None and data:
            replies += self._hear(self._stream, data, t_ns)
        return [(_REPLY_NS, reply) for reply in replies]

    def advance(self, t_ns: int) -> None:
        """Complete the points that are due."""
        self.detector.advance(t_ns)

    def ping(self, data: bytes = b"") -> None:
        """Have the server ask whether the client is there, as many do."""
        self._unasked.append(websocket.encode(Opcode.PING, data))

    def hang_up(self) -> None:
        """Have the server close the connection."""
        self._unasked.append(websocket.encode(Opcode.CLOSE, _NORMAL))
        self._stream = None

    def power_cycle(self) -> None:
        """Switch the instruments off and on; the ICL's program goes on."""
        self.mono.power_cycle()
        self.detector.power_cycle()
        self._discovered.clear()

    def _open(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Take an opening request; return the reply and what follows it."""
        self._head += data
        at = self._head.find(_GET)
        del self._head[: at if at >= 0 else max(0, len(self._head) - len(_GET) + 1)]
        end = self._head.find(websocket.HEAD_END)
        if end < 0:
            del self._head[_LONGEST_HEAD:]
            return [], b""
        end += len(websocket.HEAD_END)
        reply, is_open = websocket.answer(bytes(self._head[:end]))
        rest = bytes(self._head[end:])
        self._head.clear()
        self._stream = Stream(from_client=True) if is_open else None
        return [reply], rest

    def _hear(self, stream: Stream, data: bytes, t_ns: int) -> list[bytes]:
        try:
            messages = stream.feed(data)
        except ValueError:
            self._stream = None
            return [websocket.encode(Opcode.CLOSE, _PROTOCOL_ERROR)]
        replies = []
        for message in messages:
            replies += self._react(message, t_ns)
            if self._stream is None:
                break
        return replies

    def _react(self, message: Message, t_ns: int) -> list[bytes]:
        if message.kind == Opcode.PING:
            return [websocket.encode(Opcode.PONG, message.data)]
        if message.kind == Opcode.CLOSE:
            self._stream = None
            return [websocket.encode(Opcode.CLOSE, message.data[:2])]
        if message.kind != Opcode.TEXT:
            return []
        return [websocket.encode(Opcode.TEXT, self._answer(message.data, t_ns))]

    def _answer(self, text: bytes, t_ns: int) -> bytes:
        asked = _parsed(text)
        command, parameters = asked.get("command"), asked.get("parameters", {})
        results: Results = {}
        errors = []
        try:
            results = self._obey(command, parameters, t_ns)
        except IclError as refused:
            errors.append(f"[E];{refused.number};{refused.text}")
        reply = {"command": command, "errors": errors, "id": asked.get("id", 0), "results": results}
        return json.dumps(reply).encode("utf-8")

    def _obey(self, command: object, parameters: object, t_ns: int) -> Results:
        if not isinstance(command, str) or not isinstance(parameters, dict):
            raise IclError(*_NO_PARSER)
        module, _, verb = command.partition("_")
        instruments: dict[str, Monochromator | SpectrAcq] = {
            "mono": self.mono,
            "saq3": self.detector,
        }
        if module not in {"icl", "mono", "saq3", "ccd"}:
            raise IclError(*_NO_PARSER)
        if module != "icl" and verb in {"discover", "list", "listCount"}:
            return self._directory(module, verb)
        if module in instruments:
            return instruments[module].obey(verb, parameters, t_ns)
        serve = self._own().get(command)
        if serve is None:
            raise IclError(*_UNKNOWN[module])
        return serve(parameters)

    def _directory(self, module: str, verb: str) -> Results:
        if verb == "discover":
            self._discovered.add(module)
        devices = {
            "mono": [_listed("HORIBA Scientific iHR", self.mono.serial)],
            "saq3": [_listed("HORIBA Scientific Spectracq 3", self.detector.serial)],
        }.get(module, [])
        shown = devices if module in self._discovered else []
        return {"devices": shown} if verb == "list" else {"count": len(shown)}

    def _own(self) -> dict[str, Callable[[Parameters], Results]]:
        return {
            "icl_info": lambda _: {
                "nodeAlias": "ICL",
                "nodeApiVersion": 300,
                "nodeBuilt": "Oct 29 2025-13:17:00",
                "nodeDescription": "Instrument Control Library",
                "nodeId": 1,
                "nodeVersion": "2.1.0.a41d1ab7",
            },
            "icl_binMode": _binary_mode,
            "icl_shutdown": self._shut_down,
        }

    def _shut_down(self, _parameters: Parameters) -> Results:
        self.hang_up()
        return {"state": "Shutting down"}


_NO_PARSER = -1, "ICL error: no parser found"
_UNKNOWN = {
    "icl": (-2, "ICL error: unknown command"),
    "ccd": (-307, "CCD error: invalid device index"),
}


def _parsed(text: bytes) -> dict[str, object]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _listed(kind: str, serial: str) -> Results:
    return {"deviceType": kind, "index": 0, "serialNumber": serial}


def _binary_mode(parameters: Parameters) -> Results:
    if parameters.get("mode") not in {"none", "all"}:
        raise IclError(-3, "ICL error: invalid bin mode")
    return {}
