"""What one question costs in CPU, against peers: `python -m benchmarks.asks [--rounds 15]`.

`PV?` is asked and `25.000` answered on pseudo-terminals, by an instrument in another process. Ours
is `Port.ask` with timeout, framing, priority, the check for late replies and a trace of all bytes.
The peers are pyvisa-py's `query` on an ASRL resource, pyserial through `asyncio.to_thread`, a bare
`add_reader` with a timeout, and blocking system calls. All take turns within one run, and the
median of the rounds counts, in CPU time of this process with its threads: the wall clock of a busy
machine says little. The goals: at most 0.5 of pyvisa-py, 0.2 of pyserial, 1.4 of the bare loop.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import select
import statistics
import subprocess
import sys
import time
import tty
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import pyvisa
import serial
from pyvisa.resources import SerialInstrument

from labctl.clock import WallClock
from labctl.framing import until
from labctl.transport import Port
from labctl.transport.descriptor import LineSettings, SerialWire

QUESTION, ANSWER = b"PV?\r\n", b"25.000\r\n"
ASKS = 200
Asker = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to ask: its name, the most that ours may cost of it, and how it asks n times."""

    name: str
    goal: float | None
    ask: Asker


@contextlib.contextmanager
def instruments(count: int) -> Iterator[list[str]]:
    """Serve the answer on so many terminals, from another process; yield their paths."""
    command = (sys.executable, "-m", "benchmarks.asks", "--serve", str(count))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - ourselves
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
        try:
            yield process.stdout.readline().decode().split()
        finally:
            process.stdin.close()


def serve(count: int) -> None:
    """Answer every question on so many terminals until stdin closes."""
    ends = [os.openpty() for _ in range(count)]
    for _, slave in ends:
        tty.setraw(slave)
    print(*(os.ttyname(slave) for _, slave in ends), flush=True)
    poll = select.poll()
    for fd in (sys.stdin.fileno(), *(master for master, _ in ends)):
        poll.register(fd, select.POLLIN | select.POLLHUP)
    while True:
        for fd, _ in poll.poll():
            if fd == sys.stdin.fileno():
                return
            for _ in range(os.read(fd, 4096).count(b"\n")):
                os.write(fd, ANSWER)


async def _ours(path: str, closing: contextlib.AsyncExitStack) -> Asker:
    clock = WallClock()
    port = Port("line", SerialWire("line", path, LineSettings(), clock), clock)
    await port.open()
    closing.push_async_callback(port.close)
    log: list[tuple[int, str, bytes]] = []
    port.trace = lambda t_ns, way, data: log.append((t_ns, way, data))
    frame = until(b"\r\n")

    async def ask(count: int) -> None:
        log.clear()
        for _ in range(count):
            _check(await port.ask("device", QUESTION, frame))

    return ask


def _visa(path: str, closing: contextlib.AsyncExitStack) -> Asker:
    manager = pyvisa.ResourceManager("@py")
    closing.callback(manager.close)
    opened = manager.open_resource(f"ASRL{path}::INSTR")
    assert isinstance(opened, SerialInstrument)  # noqa: S101 - what that name opens
    opened.read_termination = opened.write_termination = "\r\n"
    opened.timeout = 1000

    async def ask(count: int) -> None:
        for _ in range(count):
            _check(opened.query("PV?").encode() + b"\r\n")

    return ask


def _pyserial(path: str, closing: contextlib.AsyncExitStack) -> Asker:
    port = serial.Serial(path, timeout=1)
    closing.callback(port.close)

    def query() -> bytes:
        port.write(QUESTION)
        return bytes(port.readline())

    async def ask(count: int) -> None:
        for _ in range(count):
            _check(await asyncio.to_thread(query))

    return ask


def _opened(path: str, closing: contextlib.AsyncExitStack) -> int:
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd)
    closing.callback(os.close, fd)
    return fd


def _bare(path: str, closing: contextlib.AsyncExitStack) -> Asker:
    fd = _opened(path, closing)
    os.set_blocking(fd, False)
    loop = asyncio.get_running_loop()
    waiting: list[asyncio.Future[bytes]] = []
    loop.add_reader(fd, lambda: waiting.pop().set_result(os.read(fd, 4096)))
    closing.callback(loop.remove_reader, fd)

    async def ask(count: int) -> None:
        for _ in range(count):
            os.write(fd, QUESTION)
            answer = loop.create_future()
            waiting.append(answer)
            async with asyncio.timeout(1):
                _check(await answer)

    return ask


def _blocking(path: str, closing: contextlib.AsyncExitStack) -> Asker:
    fd = _opened(path, closing)

    async def ask(count: int) -> None:
        for _ in range(count):
            os.write(fd, QUESTION)
            _check(os.read(fd, 4096))

    return ask


def _check(answer: bytes) -> None:
    if answer != ANSWER:
        raise ValueError(f"answered {answer!r}")


async def measure(rounds: int) -> list[tuple[Peer, list[float]]]:
    """Return for each way, ours first, the CPU µs of one question in each round."""
    with instruments(5) as paths:
        async with contextlib.AsyncExitStack() as closing:
            peers = (
                Peer("labctl Port.ask", None, await _ours(paths[0], closing)),
                Peer("pyvisa-py ASRL query", 0.5, _visa(paths[1], closing)),
                Peer("pyserial, asyncio.to_thread", 0.2, _pyserial(paths[2], closing)),
                Peer("bare add_reader + timeout", 1.4, _bare(paths[3], closing)),
                Peer("blocking os.write/os.read", None, _blocking(paths[4], closing)),
            )
            found: list[tuple[Peer, list[float]]] = [(peer, []) for peer in peers]
            for n in range(rounds + 1):
                for peer, each_us in found:
                    began_s = time.process_time()
                    await peer.ask(ASKS)
                    if n:  # the first warms up
                        each_us.append((time.process_time() - began_s) / ASKS * 1e6)
            return found


def main() -> None:
    """Print the table; with `--serve N`, be the instruments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve)
        return
    found = asyncio.run(measure(asked.rounds))
    ours_us = statistics.median(found[0][1])
    print(f"{'':30}{'CPU µs':>8}{'least':>8}{'ours/it':>9}{'goal':>7}")
    for peer, each_us in found:
        middle = statistics.median(each_us)
        row = f"{peer.name:30}{middle:8.1f}{min(each_us):8.1f}{ours_us / middle:9.2f}"
        print(row + (f"{peer.goal:7.1f}" if peer.goal else ""))


if __name__ == "__main__":
    main()
