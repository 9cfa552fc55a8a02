"""Strangers' clients on simulated instruments: served here, driven from another process."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import Callable, Sequence
from typing import TypeVar

from labctl.clock import WallClock
from labctl.twin import SimDevice
from simulators.serve import serve_pty, serve_tcp
from tests.foreign import python_with

Sim = TypeVar("Sim", bound=SimDevice)


async def drive_each(
    make: Callable[[], Sim],
    requirements: tuple[str, ...],
    script: str,
    ways: Sequence[str],
    *,
    hurry: int = 1,
) -> list[tuple[Sim, list[str]]]:
    """Run a stranger's script over several ways at once, each on a simulator of its own.

    Clients spend their time waiting, so that two take hardly longer than one.
    """
    sims = [make() for _ in ways]
    pairs = zip(sims, ways, strict=True)
    runs = (drive(sim, requirements, script, way, hurry=hurry) for sim, way in pairs)
    return list(zip(sims, await asyncio.gather(*runs), strict=True))


async def drive(
    sim: SimDevice, requirements: tuple[str, ...], script: str, way: str, *, hurry: int = 1
) -> list[str]:
    """Run a stranger's script on a simulator over `pty`, `tcp` or `socket`; return its lines.

    The script gets the path, HOST:PORT, or the URL that pyserial opens as its first argument. The
    simulator's time passes `hurry` times as fast; its replies come as fast as always.
    """
    python = python_with(*requirements)
    clock = WallClock()
    served = await (serve_pty if way == "pty" else serve_tcp)(sim, lambda: hurry * clock.now_ns())
    if way == "pty":
        where = served.path
    else:
        where = served.url if way == "socket" else f"{served.host}:{served.port}"
    try:
        return (await foreign_lines(python, script, where)).splitlines()
    finally:
        await served.close()


async def foreign_lines(python: str, script: str, *arguments: str) -> str:
    """Run a script in its environment without stopping what is served here; return its output."""
    process = await asyncio.create_subprocess_exec(
        python, "-c", script, *arguments, stdout=PIPE, stderr=PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()[-3000:]
    return out.decode()
