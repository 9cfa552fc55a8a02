"""Strangers' clients on simulated instruments: served here, driven from another process."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE

from labctl.clock import WallClock
from labctl.twin import SimDevice
from simulators.serve import serve_pty, serve_tcp
from tests.foreign import python_with


async def drive(sim: SimDevice, requirements: tuple[str, ...], script: str, way: str) -> list[str]:
    """Run a stranger's script on a simulator over `pty`, `tcp` or `socket`; return its lines.

    The script gets the path, HOST:PORT, or the URL that pyserial opens as its first argument.
    """
    python = python_with(*requirements)
    now_ns = WallClock().now_ns
    served = await (serve_pty if way == "pty" else serve_tcp)(sim, now_ns)
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
