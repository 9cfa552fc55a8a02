"""Faults of the wire, F1 to F12: what happens to bytes between a port and its instruments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from labctl.twin import FaultArgument
from simulators.faults.kind import Acts, FaultKind, Site, argument, kind, lasting, line, port
from simulators.faults.lines import Reply, Tap

_NS: Final = 1_000_000_000
_JUNK: Final = bytes((0x00, 0xFF, 0x7F, 0x3F, 0x0D))
_LINE: Final = "a port, or a device on it"
_PORT: Final = "a port"

COUNT: Final = argument("count", 0.0, "how many replies, 0 for all", high=1e6)
ONCE: Final = argument("count", 1.0, "how many replies, 0 for all", high=1e6)
SHARE: Final = argument("share", 1.0, "what share of the replies")
BY: Final = argument("by", 1.5, "how much later", unit="time", high=3600.0)

Strike = Callable[[int, bytes], list[Reply]]


def _tap(site: Site) -> Tap:
    return site.bench.taps[site.target]


def _struck(site: Site) -> bool:
    """Say whether the next reply is one to strike, and count it."""
    count, share = site.number("count"), site.number("share")
    if (count and site.acted >= count) or (share < 1.0 and site.chance.random() >= share):
        return False
    site.acted += 1
    return True


def _striking(site: Site, strike: Strike) -> Acts:
    """Strike so many replies, or such a share of them."""

    def say(_: bytes, replies: list[Reply]) -> list[Reply]:
        said: list[Reply] = []
        for delay_ns, reply in replies:
            said += strike(delay_ns, reply) if _struck(site) else [(delay_ns, reply)]
        return said

    with _tap(site).saying(say):
        yield from lasting()


def _flipped(site: Site, reply: bytes) -> bytes:
    bit = site.chance.randrange(8 * len(reply))
    flipped = bytearray(reply)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def byte_flip(site: Site) -> Acts:
    """Flip one bit of a reply."""
    return _striking(site, lambda delay_ns, reply: [(delay_ns, _flipped(site, reply))])


def drop_byte(site: Site) -> Acts:
    """Lose one byte of a reply."""

    def strike(delay_ns: int, reply: bytes) -> list[Reply]:
        at = site.chance.randrange(len(reply))
        left = reply[:at] + reply[at + 1 :]
        return [(delay_ns, left)] if left else []

    return _striking(site, strike)


def drop_reply(site: Site) -> Acts:
    """Lose a reply."""
    return _striking(site, lambda _delay_ns, _reply: [])


def late_reply(site: Site) -> Acts:
    """Bring a reply late; what follows comes after it."""
    by_ns = round(site.number("by") * _NS)
    free_ns = 0

    def say(_: bytes, replies: list[Reply]) -> list[Reply]:
        nonlocal free_ns
        said: list[Reply] = []
        for delay_ns, reply in replies:
            late_ns = delay_ns + by_ns * _struck(site)
            due_ns = max(site.t_ns + late_ns, free_ns)
            free_ns = due_ns if late_ns > delay_ns else free_ns
            said.append((due_ns - site.t_ns, reply))
        return said

    with _tap(site).saying(say):
        yield from lasting()


def split_reply(site: Site) -> Acts:
    """Bring a reply in two parts with a pause between."""
    by_ns = round(site.number("by") * _NS)

    def strike(delay_ns: int, reply: bytes) -> list[Reply]:
        at = site.chance.randrange(1, len(reply)) if len(reply) > 1 else len(reply)
        parts = [(delay_ns, reply[:at]), (delay_ns + by_ns, reply[at:])]
        return [part for part in parts if part[1]]

    return _striking(site, strike)


def merged_reply(site: Site) -> Acts:
    """Keep a reply back, and bring it in one piece with the next one."""
    kept = b""

    def say(_: bytes, replies: list[Reply]) -> list[Reply]:
        nonlocal kept
        said: list[Reply] = []
        for delay_ns, reply in replies:
            if kept:
                said.append((delay_ns, kept + reply))
                kept = b""
            elif _struck(site):
                kept = reply
            else:
                said.append((delay_ns, reply))
        return said

    with _tap(site).saying(say):
        yield from lasting()


def echo(site: Site) -> Acts:
    """Return the question before its reply, as an adapter does with its echo on."""

    def say(question: bytes, replies: list[Reply]) -> list[Reply]:
        if not question:
            return replies
        site.acted += 1
        return [(0, question), *replies]

    with _tap(site).saying(say):
        yield from lasting()


def garbage_at_open(site: Site) -> Acts:
    """Leave junk in the line before the first question."""
    junk = bytes(site.chance.choice(_JUNK) for _ in range(round(site.number("bytes"))))
    _tap(site).junk = junk
    site.acted += 1
    yield from lasting()


def _noise(site: Site, data: bytes) -> bytes:
    """What a UART makes of bytes at another speed: fewer of them, and none of the same."""
    return bytes(byte ^ site.chance.randrange(1, 256) for byte in data[::2])


def baud_mismatch(site: Site) -> Acts:
    """Set one end to another speed: neither understands the other."""

    def hear(data: bytes) -> bytes:
        site.acted += bool(data)
        return _noise(site, data)

    def say(_: bytes, replies: list[Reply]) -> list[Reply]:
        return [(delay_ns, _noise(site, reply)) for delay_ns, reply in replies if len(reply) > 1]

    tap = _tap(site)
    with tap.hearing(hear), tap.saying(say):
        yield from lasting()


def crc_storm(site: Site) -> Acts:
    """Flip one to three bits in many replies in a row, as a bad ground or a contactor does."""

    def strike(delay_ns: int, reply: bytes) -> list[Reply]:
        for _ in range(site.chance.randint(1, 3)):
            reply = _flipped(site, reply)
        return [(delay_ns, reply)]

    return _striking(site, strike)


def _deaf(_: bytes) -> bytes:
    return b""


def usb_unplug(site: Site) -> Acts:
    """Pull the plug; at the fault's end the adapter is back, under another name."""
    cable, tap = site.bench.cables[site.target], _tap(site)
    cable.lost = "Input/output error: the adapter is gone (ENODEV)"
    cable.pulled += 1
    site.acted += 1
    with tap.hearing(_deaf), tap.saying(lambda _question, _replies: []):
        try:
            yield from lasting()
        finally:
            cable.lost = ""


def port_busy(site: Site) -> Acts:
    """Let another program hold the port: it cannot be opened."""
    cable = site.bench.cables[site.target]
    cable.busy = "Device or resource busy: another program holds the port (EBUSY)"
    site.acted += 1
    try:
        yield from lasting()
    finally:
        cable.busy = ""


def half_open(site: Site) -> Acts:
    """Take every question and never answer: the other end of the connection is gone."""

    def hear(data: bytes) -> bytes:
        site.acted += bool(data)
        return b""

    tap = _tap(site)
    with tap.hearing(hear), tap.saying(lambda _question, _replies: []):
        yield from lasting()


def _row(
    number: str,
    acts: Callable[[Site], Acts],
    reaction: str,
    noticed_by: str,
    *arguments: FaultArgument,
    whole: bool = False,
    yet: str = "",
) -> FaultKind:
    targets, fits = (_PORT, port) if whole else (_LINE, line)
    return kind(number, "wire", acts, targets, fits, reaction, noticed_by, *arguments, yet=yet)


_READ_AGAIN = "the reply is refused, a read is asked again once; a value is missing at most"
KINDS: Final = (
    _row("F1", byte_flip,
         f"{_READ_AGAIN}; without a checksum a wrong number may pass (benchmarks/wire_faults.py)",
         "driver", ONCE, SHARE),
    _row("F2", drop_byte, _READ_AGAIN, "driver", ONCE, SHARE),
    _row("F3", drop_reply, "the question times out, the value is missing; a command that cannot be "
         "confirmed fails its step, which asks", "transport", ONCE, SHARE),
    _row("F4", late_reply, "as a lost reply; the late one is drained and answers nobody",
         "transport", ONCE, SHARE, BY),
    _row("F5", split_reply, "none: the parts are put together", "nobody", COUNT, SHARE,
         argument("by", 0.05, "the pause", unit="time", high=3600.0)),
    _row("F5", merged_reply, "the first question times out; the old reply is not taken for the "
         "second", "transport", ONCE, SHARE),
    _row("F6", echo, "replies that are not in the grammar are refused: the device counts as silent",
         "driver", whole=True,
         yet="the safe state cannot read its outputs back and leaves the valves where they are"),
    _row("F7", garbage_at_open, "junk is drained before the first question", "transport",
         argument("bytes", 12.0, "how much", low=1.0, high=4096.0), whole=True),
    _row("F8", baud_mismatch, "nothing answers; at the start the run ends before it began, later "
         "its readings are missing", "transport", whole=True,
         yet="the heater cannot be told to go off; only the guard's contactor cuts it"),
    _row("F9", crc_storm, _READ_AGAIN + "; readings that stay away too long trip their interlock",
         "driver", COUNT, argument("share", 0.5, "what share of the replies"),
         yet="commands of the safe state may fail for good: they are tried once"),
    _row("F10", usb_unplug, "the port is lost, opened again by its serial number, its instruments "
         "verified before they are used; meanwhile their policies for silence hold, and the "
         "interlock of a missing reading trips", "transport", whole=True,
         yet="until the port is back only the guard's contactor cuts a heater on it"),
    _row("F11", port_busy, "the run ends before it began: exit 3 and the port's name", "transport",
         whole=True),
    _row("F12", half_open, "every question times out; readings go missing, their interlock trips. "
         "A heater on that line keeps its setpoint: only the hardware limiter is left",
         "transport",
         yet="the heater cannot be told to go off; only the guard's contactor cuts it"),
)  # fmt: skip
