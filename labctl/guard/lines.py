"""The guard's ports: opened by pyserial, written to, and never trusted to answer."""

from __future__ import annotations

import contextlib
import os
import termios
import time
from collections.abc import Iterator

import serial

from labctl.guard.will import Line

OPEN_FOR_S = 5.0
"""How long a port may stay taken by the process that was just killed."""
WRITE_S = 1.0
STRAY = 65536
"""More than can have come: a read of so much ends with its timeout."""
FAILURES = (serial.SerialException, OSError, ValueError, termios.error)


@contextlib.contextmanager
def opened(line: Line, within_s: float = OPEN_FOR_S) -> Iterator[serial.SerialBase]:
    """Open a line, trying again while it is taken.

    Raises:
        OSError: it stays closed.
    """
    port = _open(line, time.monotonic() + within_s)
    try:
        yield port
    finally:
        with contextlib.suppress(*FAILURES):
            port.close()


def ask(port: serial.SerialBase, frame: bytes, expected: bytes, within_s: float = 0.5) -> bool:
    """Send a frame and say whether its reply came back just as expected."""
    port.read(STRAY)
    port.write(frame)
    got = b""
    end_s = time.monotonic() + within_s
    while len(got) < len(expected) and time.monotonic() < end_s:
        got += port.read(len(expected) - len(got))
    return got == expected


def tell(port: serial.SerialBase, frame: bytes, pause_s: float) -> None:
    """Send a frame; drop whatever is answered."""
    port.write(frame)
    port.timeout = pause_s
    port.read(STRAY)


def _open(line: Line, end_s: float) -> serial.SerialBase:
    while True:
        try:
            return _opened(line)
        except FAILURES as error:
            if time.monotonic() >= end_s:
                raise OSError(str(error)) from None
            time.sleep(0.1)


def _opened(line: Line) -> serial.SerialBase:
    on_pty = line.url.startswith("/dev/pts/")
    return serial.serial_for_url(
        os.fspath(line.url),
        baudrate=line.baud,
        bytesize=8 if on_pty else line.data_bits,
        parity="N" if on_pty else line.parity,
        stopbits=line.stop_bits,
        timeout=0.05,
        write_timeout=WRITE_S,
        exclusive=None if "://" in line.url else True,
    )
