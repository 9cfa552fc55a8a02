"""HORIBA SpectrAcq3 behind a monochromator, through HORIBA's ICL program: JSON on a WebSocket.

A spectrum is a scan: the monochromator steps, each point is triggered, waited for and read. The
photon channel comes in counts per second and is handed on as counts. Sources: "ICL API Programmers
Manual" 2.1.0; horiba-sdk 1.0.4 for the names of results.
"""

from __future__ import annotations

import contextlib
import json
import math
from array import array
from collections.abc import Mapping

from labctl.capabilities import DeviceSettings, Identity, Look, ScanSettings
from labctl.errors import (
    DeviceError,
    GarbledError,
    NoReplyError,
    OutOfRangeError,
    PortLostError,
    RefusedByDeviceError,
)
from labctl.framing import websocket
from labctl.framing.websocket import Opcode, Stream
from labctl.readings import Channel, Spectrum
from labctl.transport import Port, Priority

_INTEGRATION_S = (0.001, 60.0)
_MOST_POINTS = 131_070
_TIMEOUT_S = 5.0
_MOVE_S = 180.0
_LOOK_AGAIN_S = 0.05
_LATE_S = 5.0
_AT_NM = 0.05
_ABSURD = 1e12
_EACH_WAITS_FOR_TRIGGER = 3
_NORMAL = (1000).to_bytes(2, "big")
_SPREAD = 0x9E3779B1

Answer = Mapping[str, object]


class HoribaIcl:
    """A scanning Spectrometer; `wavelength` is where the monochromator stands, in nm.

    Raises:
        OutOfRangeError: the rig file gives no scan, or one of more points than can be taken.
    """

    def __init__(self, port: Port, settings: DeviceSettings) -> None:
        self.name = settings.name
        self.channels = (Channel("wavelength", "wavelength"),)
        self._port = port
        self._scan = _checked(settings)
        self._nm = array("d", self._scan.wavelengths_nm())
        self._icl = _Dialogue(port, settings.name)
        self._mono = {"index": self._scan.monochromator}
        self._saq = {"index": 0}
        self._integration_s = self._scan.dwell_s
        self._averages = 1
        self._homed = False

    @property
    def max_counts(self) -> int:
        """The counts at which the tube no longer counts linearly, at the present exposure."""
        return max(1, round(self._scan.rate_high * self._integration_s))

    async def connect(self) -> Identity:
        """Open the connection and both instruments, and end what another program left running.

        Opened for the first time after power-up, the monochromator homes; the first scan waits.

        Raises:
            RefusedByDeviceError: an instrument is missing, or refuses.
            GarbledError: an answer outside the protocol.
            NoReplyError: no answer.
            PortLostError: the port is gone, or the other side hung up.
        """
        await self._icl.open()
        info = await self._icl.ask("icl_info")
        await self._icl.ask("icl_binMode", {"mode": "none"})
        mono = await self._find("mono", self._scan.monochromator)
        detector = await self._find("saq3", 0)
        self._homed = False
        await self._clear()
        await self.set_exposure(self._integration_s, self._averages)
        model = f"{mono}, {detector}"
        serial = (await self._icl.ask("saq3_getSerialNumber", self._saq)).get("serialNumber", "")
        program = f"ICL {info.get('nodeVersion', '')}"
        return Identity("HORIBA", model, str(serial).strip(), program)

    async def look(self) -> Look:
        """Read the program's version and what it lists; nothing is opened, so nothing homes.

        Raises:
            DeviceError: it does not answer, or not in the protocol.
        """
        await self._icl.open()
        info = await self._icl.ask("icl_info")
        listed = {
            module: str((await self._icl.ask(f"{module}_list")).get("devices"))
            for module in ("mono", "saq3")
        }
        return Look(
            Identity("HORIBA", "ICL", firmware=f"ICL {info.get('nodeVersion', '')}"), listed
        )

    async def poll(self) -> tuple[float | None, ...]:
        """Read where the monochromator stands, in nm; this also answers the server's pings.

        Raises:
            DeviceError: it does not answer, or not in the protocol.
        """
        return (await self._at_nm(Priority.POLL),)

    async def make_safe(self) -> None:
        """Do nothing: a detector only looks; the lamp's shutter is another instrument."""

    def last_will(self) -> tuple[bytes, ...]:
        """Say nothing: a detector only looks, and the tube stands room light behind its slits."""
        return ()

    async def set_exposure(self, integration_s: float, averages: int) -> None:
        """Set how long each point is counted, in s, and how many times.

        Raises:
            OutOfRangeError: not 1 ms .. 60 s, or more points than one acquisition holds.
            RefusedByDeviceError: it reads back differently.
            DeviceError: it does not answer, or not in the protocol.
        """
        low, high = _INTEGRATION_S
        if not low <= integration_s <= high:
            asked = f"{integration_s:g} s"
            raise OutOfRangeError(self.name, "integration time", f"{low:g} s .. {high:g} s", asked)
        most = _MOST_POINTS // len(self._nm)
        if not 1 <= averages <= most:
            raise OutOfRangeError(self.name, "points to average", f"1 .. {most}", str(averages))
        wanted: dict[str, float] = {
            "scanCount": len(self._nm) * averages,
            "timeStep": 0,
            "integrationTime": integration_s,
            "externalParam": 0,
        }
        await self._icl.ask("saq3_setAcqSet", {**self._saq, **wanted})
        seen = await self._icl.ask("saq3_getAcqSet", self._saq)
        for name in ("scanCount", "integrationTime"):
            if not math.isclose(_number(seen, name, self.name), wanted[name], rel_tol=1e-6):
                raise RefusedByDeviceError(self.name, name, str(wanted[name]), str(seen[name]))
        self._integration_s, self._averages = integration_s, averages

    async def acquire(self, t_ns: int) -> Spectrum:
        """Scan once, stamped `t_ns` at its start: mean counts of each point, shape (n,).

        The first scan waits, for three minutes at most, until the grating is homed.

        A point above the tube's linear rate, or with its current over scale, is given as
        `max_counts`, which is saturated.

        Raises:
            RefusedByDeviceError: it refuses, or does not arrive at a wavelength in time.
            GarbledError: an answer outside the protocol, or another point than the one asked for.
            DeviceError: it does not answer.
        """
        if not self._homed:
            await self._home()
        await self._clear()
        started = await self._icl.ask(
            "saq3_acqStart", self._saq | {"trigger": _EACH_WAITS_FOR_TRIGGER}
        )
        if started.get("errorCount", 0) != 0:
            raise RefusedByDeviceError(self.name, "saq3_acqStart", "no errors", repr(started))
        counts = array("I")
        for n, nm in enumerate(self._nm):
            await self._move(nm)
            first = n * self._averages
            taken = [await self._point(first + k) for k in range(self._averages)]
            counts.append(round(sum(taken) / len(taken)))
        exposure = (self._integration_s, self._averages, 0, self.max_counts)
        return Spectrum(self.name, self._nm, counts, *exposure, t_ns)

    async def _find(self, module: str, index: int) -> str:
        await self._icl.ask(f"{module}_discover", timeout_s=30.0)
        devices = (await self._icl.ask(f"{module}_list")).get("devices")
        listed = devices if isinstance(devices, list) else []
        known = (row for row in listed if isinstance(row, dict) and row.get("index") == index)
        found = next(known, None)
        if found is None:
            asked, expected = f"{module}_list", f"a device of index {index}; is it powered?"
            raise RefusedByDeviceError(self.name, asked, expected, repr(devices))
        if not _flag(await self._icl.ask(f"{module}_isOpen", {"index": index}), "open", self.name):
            await self._icl.ask(f"{module}_open", {"index": index}, timeout_s=30.0)
        return str(found.get("deviceType", "")).removeprefix("HORIBA Scientific ")

    async def _home(self) -> None:
        await self._rest("to be homed")
        if not await self._is_initialised():
            await self._icl.ask("mono_init", self._mono | {"force": False})
            await self._rest("to be homed")
        self._homed = await self._is_initialised()
        if not self._homed:
            raise RefusedByDeviceError(self.name, "mono_isInitialized", "true", "false")

    async def _is_initialised(self) -> bool:
        answer = await self._icl.ask("mono_isInitialized", self._mono)
        return _flag(answer, "initialized", self.name)

    async def _clear(self) -> None:
        """End an acquisition that was cut short, and throw its points away."""
        if _flag(await self._icl.ask("saq3_isBusy", self._saq), "isBusy", self.name):
            await self._icl.ask("saq3_acqStop", self._saq)
        if await self._has_data():
            await self._icl.ask("saq3_getAvailableData", self._saq)

    async def _has_data(self) -> bool:
        answer = await self._icl.ask("saq3_isDataAvailable", self._saq)
        return _flag(answer, "isDataAvailable", self.name)

    async def _move(self, nm: float) -> None:
        target: Answer = {**self._mono, "wavelength": round(nm, 4)}
        await self._icl.ask("mono_moveToPosition", target, timeout_s=_MOVE_S)
        await self._rest(f"to go to {nm:g} nm")
        stands_nm = await self._at_nm()
        if abs(stands_nm - nm) > _AT_NM:
            raise RefusedByDeviceError(self.name, "wavelength", f"{nm:g} nm", f"{stands_nm:g} nm")

    async def _at_nm(self, priority: Priority = Priority.COMMAND) -> float:
        answer = await self._icl.ask("mono_getPosition", self._mono, priority=priority)
        return _number(answer, "wavelength", self.name)

    async def _rest(self, asked: str) -> None:
        """Wait until nothing in the monochromator moves.

        Raises:
            RefusedByDeviceError: it is busy for three minutes.
        """
        for _ in range(round(_MOVE_S / _LOOK_AGAIN_S)):
            answer = await self._icl.ask("mono_isBusy", self._mono)
            if not _flag(answer, "busy", self.name):
                return
            await self._port.pause(_LOOK_AGAIN_S)
        raise RefusedByDeviceError(self.name, asked, f"at rest within {_MOVE_S:g} s", "busy")

    async def _point(self, number: int) -> float:
        """Trigger one point and return its counts.

        Raises:
            NoReplyError: it does not come in its time.
            GarbledError: it is another one, or not in counts per second.
        """
        await self._icl.ask("saq3_forceTrigger", self._saq)
        await self._port.pause(self._integration_s)
        for _ in range(round(_LATE_S / _LOOK_AGAIN_S)):
            if await self._has_data():
                break
            await self._port.pause(_LOOK_AGAIN_S)
        else:
            expected = f"within {_LATE_S:g} s of its exposure"
            raise NoReplyError(self.name, f"point {number}", expected, "no data")
        data = (await self._icl.ask("saq3_getAvailableData", self._saq)).get("data")
        return self._counts(data, number)

    def _counts(self, data: object, number: int) -> float:
        asked = f"point {number}"
        point = data[0] if isinstance(data, list) and len(data) == 1 else None
        if not isinstance(point, dict) or point.get("pointNumber") != number:
            raise GarbledError(self.name, asked, "that point alone", repr(data)[:200])
        signal = point.get("pmtSignal")
        if not isinstance(signal, dict) or signal.get("unit") != "Counts/Second":
            expected = "pmtSignal in Counts/Second"
            raise GarbledError(self.name, asked, expected, repr(signal)[:200])
        rate = _number(signal, "value", self.name)
        if rate < 0.0:
            raise GarbledError(self.name, asked, "0 counts/s or more", f"{rate:g}")
        over = _flag(point, "overscaleCurrentChannel", self.name)
        return (
            float(self.max_counts)
            if over
            else min(rate * self._integration_s, float(self.max_counts))
        )


class _Dialogue:
    """Commands and their answers on a WebSocket; an answer is known by its id.

    Masks and the opening key follow from a count: the RFC wants them unpredictable to protect
    proxies from scripts in a browser; here one program talks to one other, the same every time.
    """

    def __init__(self, port: Port, name: str) -> None:
        self._port = port
        self._name = name
        self._stream: Stream | None = None
        self._owed = b""
        self._sent = 0
        self._asked = 0
        port.unsolicited.append(self._hear)

    async def open(self) -> None:
        """Ask for the connection to be upgraded, unless it already is.

        Raises:
            RefusedByDeviceError: the other side is no WebSocket server.
        """
        if self._stream is not None:
            return
        self._sent += 1
        nonce = self._sent.to_bytes(16, "big")
        reply = await self._port.ask(
            self._name, websocket.request("icl", nonce), _whole_head, timeout_s=_TIMEOUT_S
        )
        head, _, rest = reply.partition(websocket.HEAD_END)
        why = websocket.why_refused(head + websocket.HEAD_END, nonce)
        if why:
            raise RefusedByDeviceError(self._name, "for a WebSocket", "101, the upgrade", why)
        self._stream, self._owed = Stream(from_client=False), b""
        self._hear(rest)

    async def ask(
        self,
        command: str,
        parameters: Answer | None = None,
        *,
        timeout_s: float = _TIMEOUT_S,
        priority: Priority = Priority.COMMAND,
    ) -> Answer:
        """Send a command; return its results.

        Raises:
            RefusedByDeviceError: the ICL reports errors.
            GarbledError: the answer is not in the protocol.
            PortLostError: the other side hung up.
        """
        if self._stream is None:
            raise await self._lost(command)
        number = self._asked = self._asked + 1
        asked = {"id": number, "command": command, "parameters": dict(parameters or {})}
        question = self._owed + self._frame(Opcode.TEXT, json.dumps(asked).encode("utf-8"))
        self._owed = b""
        expected = _AnswerTo(number, self)
        try:
            await self._port.ask(
                self._name, question, expected, timeout_s=timeout_s, priority=priority
            )
        finally:
            expected.over = True
        if expected.answer is None:
            raise await self._lost(command)
        return self._results(command, expected.answer)

    @property
    def closed(self) -> bool:
        """Whether the other side hung up, or broke the rules."""
        return self._stream is None

    def take(self, data: bytes) -> list[bytes]:
        """Return the texts in what arrived; a ping is answered with the next question."""
        texts: list[bytes] = []
        try:
            messages = self._stream.feed(data) if self._stream is not None else []
        except ValueError:
            self._stream = None
            return texts
        for message in messages:
            if message.kind == Opcode.TEXT:
                texts.append(message.data)
            elif message.kind == Opcode.PING:
                self._owed += self._frame(Opcode.PONG, message.data)
            elif message.kind == Opcode.CLOSE:
                self._stream = None
        return texts

    def _hear(self, data: bytes) -> None:
        """Take what came outside a question: answers nobody waits for, pings, a close."""
        self.take(data)

    async def _lost(self, command: str) -> PortLostError:
        """Say goodbye, as the RFC wants, and make the error."""
        with contextlib.suppress(DeviceError):
            await self._port.tell(self._frame(Opcode.CLOSE, _NORMAL))
        got = "closed by the other side; connect again"
        return PortLostError(self._name, command, "an open WebSocket", got)

    def _results(self, command: str, answer: Answer) -> Answer:
        errors, results = answer.get("errors") or [], answer.get("results") or {}
        if answer.get("command") != command or not isinstance(errors, list):
            raise GarbledError(self._name, command, "its own answer", repr(answer)[:200])
        if not isinstance(results, dict):
            raise GarbledError(self._name, command, "its own answer", repr(answer)[:200])
        if errors:
            said = "; ".join(map(str, errors))
            raise RefusedByDeviceError(self._name, command, "no errors", said)
        return results

    def _frame(self, kind: Opcode, data: bytes) -> bytes:
        self._sent += 1
        mask = (self._sent * _SPREAD % 2**32).to_bytes(4, "big")
        return websocket.encode(kind, data, mask=mask)


class _AnswerTo:
    """The frame of one answer: takes all that comes in, until the answer of that id is there.

    What comes later is left to the port, which hands it on as unasked.
    """

    def __init__(self, number: int, dialogue: _Dialogue) -> None:
        self.answer: Answer | None = None
        self.over = False
        self._number = number
        self._dialogue = dialogue
        self._taken = 0

    def __call__(self, buffer: bytes) -> int | None:
        if self.over:
            return None
        texts = self._dialogue.take(buffer[self._taken :])
        self._taken = len(buffer)
        for text in texts:
            answer = _parsed(text)
            if answer is None or answer.get("id") == self._number:
                self.answer = answer or {}
        self.over = self.answer is not None or self._dialogue.closed
        return len(buffer) if self.over else None


def _parsed(text: bytes) -> Answer | None:
    try:
        found = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _no_number(text: str) -> float:
    """Refuse NaN and infinities, which JSON does not have.

    Raises:
        ValueError: always.
    """
    raise ValueError(text)


def _whole_head(buffer: bytes) -> int | None:
    """Take all there is once the head of the reply is whole; what follows are frames already."""
    return len(buffer) if websocket.HEAD_END in buffer else None


def _number(answer: Answer, name: str, device: str) -> float:
    value = answer.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _ABSURD:
        raise GarbledError(device, name, "a number", repr(value)[:40])
    return float(value)


def _flag(answer: Answer, name: str, device: str) -> bool:
    value = answer.get(name)
    if not isinstance(value, bool):
        raise GarbledError(device, name, "true or false", repr(dict(answer))[:200])
    return value


def _checked(settings: DeviceSettings) -> ScanSettings:
    scan = settings.scan
    if scan is None:
        asked, expected = "for its scan", "`scan: {from, to, step, dwell}` in the rig file"
        raise OutOfRangeError(settings.name, asked, expected, "none")
    points = len(scan.wavelengths_nm())
    if not 2 <= points <= _MOST_POINTS:
        expected = f"2 .. {_MOST_POINTS}"
        raise OutOfRangeError(settings.name, "points of the scan", expected, str(points))
    return scan
