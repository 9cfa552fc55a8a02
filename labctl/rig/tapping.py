"""A tap: connects the instruments of a port, reads them for a while, and notes what crosses.

The same calls, told to a driver on a replayed wire, must ask the same and get the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

from labctl.capabilities import Device, Identity
from labctl.clock import NS, Clock
from labctl.errors import DeviceError
from labctl.readings import Spectrum
from labctl.transport import Port
from labctl.transport.capture import Row

Note = Callable[[Row], None]


async def tap(
    port: Port, devices: Sequence[Device], note: Note, clock: Clock, *, for_s: float, every_s: float
) -> list[str]:
    """Connect and read the devices of a port for a while; return what went wrong, in sentences.

    Nothing is actuated. A spectrometer takes one spectrum. An error is noted like a value.

    Raises:
        PortLostError: the port cannot be opened.
    """
    until_ns = clock.now_ns() + round(for_s * NS)
    wrong: list[str] = []
    await port.open()
    try:
        ready = [device for device in devices if await call(device, "connect", note, clock, wrong)]
        for device in ready:
            if hasattr(device, "acquire"):
                await call(device, "acquire", note, clock, wrong)
        due_ns = clock.now_ns()
        while ready and due_ns < until_ns:
            for device in ready:
                await call(device, "poll", note, clock, wrong)
            due_ns += round(every_s * NS)
            await clock.sleep_until(due_ns)
    finally:
        await port.close()
    return wrong


async def call(device: Device, verb: str, note: Note, clock: Clock, wrong: list[str]) -> bool:
    """Have a device do something, noted with what came of it; say whether it did."""
    note({"device": device.name, "call": verb})
    try:
        result = await told(device, verb, clock.now_ns())
    except DeviceError as error:
        note({"device": device.name, "error": type(error).__name__})
        wrong.append(str(error))
        return False
    note({"device": device.name, "result": result})
    return True


async def told(device: Device, verb: str, t_ns: int) -> object:
    """Call a device by a verb of a capture; return what came of it as JSON has it."""
    method: Callable[..., object] = getattr(device, verb)
    came = method(t_ns) if verb == "acquire" else method()
    result: object = await came  # type: ignore[misc]
    return json.loads(json.dumps(_plain(result)))


def _plain(result: object) -> object:
    """Reduce a result to JSON; of a spectrum, its shape and sum."""
    if isinstance(result, Identity):
        return asdict(result)
    if isinstance(result, Spectrum):
        return {"points": len(result.counts), "sum": sum(result.counts)}
    return list(result) if isinstance(result, list | tuple) else result
