"""The guard's process: `python -m labctl.guard LOG`, a will and heartbeats on stdin.

Lines of JSON. In: the will first, then `{"beat": …}`, `{"enable": true}` (close the contactor),
`{"open": true}` (open it now) and `{"done": true}` (the run has ended well). Out: `{"ready": …}`,
`{"enabled": …}`, `{"seq": …}` for each heartbeat, `{"cut": reason}`. When heartbeats stop, count
wrongly or the pipe closes: contactor open, SIGKILL, then each port is opened and the last will is
sent, going on past every failure.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import serial

from labctl.guard.lines import FAILURES, ask, opened, tell
from labctl.guard.logic import Beat, Limits, Logic
from labctl.guard.will import Bequest, Line, Will, decode

LOOK_S = 0.25
ATTEMPTS = 3
GONE = "the pipe from the run closed: its process is gone"
Log = Callable[..., None]


def main(log_file: Path) -> int:
    """Guard one run; return 0 if it ended well, 3 if the heater was cut, 2 if it never began."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    with log_file.open("a", encoding="utf-8") as file:
        log = _logger(file)
        lines = _lines(sys.stdin.fileno())
        try:
            will = decode(next(filter(None, lines), b"").decode())
        except ValueError as error:
            log("refused", why=str(error))
            return 2
        with _watched(will.pid) as kill, contextlib.ExitStack() as stack:
            try:
                contactor = Switch(will, stack)
            except OSError as error:
                log("no_contactor", port=will.contactor.line.url, why=str(error))
                _say(ready=False, why=f"{will.contactor.line.url}: {error}")
                return 2
            return _guard(will, contactor, kill, log, lines)


class Switch:
    """The heater's contactor on the guard's own port, which stays open while it guards."""

    def __init__(self, will: Will, stack: contextlib.ExitStack) -> None:
        self._will = will
        self._stack = stack
        self._port: serial.SerialBase = stack.enter_context(opened(will.contactor.line))

    def open(self) -> bool:
        """Open the contactor; say whether the relay confirmed it."""
        contactor = self._will.contactor
        return self._switch(contactor.opens, contactor.opened)

    def close(self) -> bool:
        """Close the contactor, which lets the heater have power; say whether it was confirmed."""
        contactor = self._will.contactor
        return self._switch(contactor.closes, contactor.closed)

    def _switch(self, frame: bytes, expected: bytes) -> bool:
        for _ in range(ATTEMPTS):
            try:
                if ask(self._port, frame, expected):
                    return True
            except FAILURES:
                with contextlib.suppress(OSError):
                    line = self._will.contactor.line
                    self._port = self._stack.enter_context(opened(line, within_s=1.0))
        return False


def _guard(
    will: Will, contactor: Switch, kill: Callable[[], None], log: Log, lines: Iterator[bytes]
) -> int:
    logic = Logic(Limits(will.beat_s, will.age_s))
    confirmed = contactor.open()
    log(
        "ready",
        pid=will.pid,
        guard=os.getpid(),
        contactor_open=confirmed,
        unreachable=will.unreachable,
    )
    _say(ready=confirmed, why="" if confirmed else "the contactor's relay does not answer")
    for line in lines:
        message = _message(line, log) if line else {}
        if message.get("done"):
            log("done", contactor_open=contactor.open())
            return 0
        if message.get("enable"):
            closed = contactor.close()
            log("enabled", contactor_closed=closed)
            _say(enabled=closed)
        if message.get("open"):
            log("opened", contactor_open=contactor.open())
        _hear(logic, message)
        reason = logic.judge(time.monotonic())
        if reason:
            break
    else:
        reason = GONE
    _cut(will, contactor, kill, log, reason)
    return 3


def _hear(logic: Logic, message: dict[str, object]) -> None:
    beat = message.get("beat")
    if not isinstance(beat, dict):
        return
    try:
        age_s = float("inf") if beat["age_s"] is None else float(beat["age_s"])
        heard = Beat(int(beat["seq"]), str(beat["state"]), age_s, bool(beat["heating"]))
    except (KeyError, TypeError, ValueError):
        logic.lost(f"a heartbeat that cannot be read: {beat!r}")
        return
    logic.hear(heard, time.monotonic())
    _say(seq=heard.seq)


def _cut(will: Will, contactor: Switch, kill: Callable[[], None], log: Log, reason: str) -> None:
    """Cut the heat, end the run's process, and do its last will."""
    confirmed = contactor.open()
    log("cut", reason=reason, contactor_open=confirmed)
    _say(cut=reason)
    kill()
    log("killed", pid=will.pid)
    if not confirmed:
        log("contactor", contactor_open=contactor.open())
    lines = {line.name: line for line in will.lines}
    for bequest in will.bequests:
        log("will", device=bequest.device, sent=_sent(bequest, lines))
    for device in will.unreachable:
        log("will", device=device, sent=False, why="its port cannot be opened by the guard")
    log("over")


def _sent(bequest: Bequest, lines: dict[str, Line]) -> bool:
    try:
        with opened(lines[bequest.port]) as port:
            for frame in bequest.frames:
                tell(port, frame, bequest.pause_s)
    except (*FAILURES, KeyError):
        return False
    return True


def _lines(descriptor: int) -> Iterator[bytes]:
    """Give the lines that come, and an empty one whenever it is time to look at the clock."""
    waiting = selectors.DefaultSelector()
    waiting.register(descriptor, selectors.EVENT_READ)
    buffer = b""
    while True:
        if waiting.select(LOOK_S):
            data = os.read(descriptor, 65536)
            if not data:
                return
            *lines, buffer = (buffer + data).split(b"\n")
            yield from lines
        yield b""


def _message(line: bytes, log: Log) -> dict[str, object]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    log("garbled", line=repr(line[:200]))
    return {}


@contextlib.contextmanager
def _watched(pid: int) -> Iterator[Callable[[], None]]:
    """Hold on to a process, so that its number cannot come to mean another one."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        yield lambda: None
        return

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)

    try:
        yield kill
    finally:
        os.close(descriptor)


def _logger(file: TextIO) -> Log:
    def log(what: str, **facts: object) -> None:
        row = {"utc_s": round(time.time(), 3), "what": what, **facts}
        with contextlib.suppress(OSError):
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())

    return log


def _say(**facts: object) -> None:
    with contextlib.suppress(OSError):
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()
