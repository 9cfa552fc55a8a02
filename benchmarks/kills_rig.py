"""A whole rig on pseudo-terminals, with its truth: `python -m benchmarks.kills_rig`.

`labctl simulate --pty` with one thing more: each line of stdin is answered with the plant's
truth, when its heater last had power, and what each syringe has pushed, on the pump's own scale. It
says `ready` first, and ends with stdin.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from labctl.cli.bare import rig_twin
from labctl.clock import WallClock, local_now
from labctl.registry import build_world
from labctl.rig.load import load_rig
from labctl.rig.rewriting import in_date
from labctl.rig.wires import at_endpoints
from labctl.source import compose
from labctl.twin import TwinSpec
from simulators.serve import Ticked, serve_pty
from simulators.world import RigWorld

LOOK_S = 0.1


class Truth:
    """What really happens on the rig, looked at ten times a second."""

    def __init__(self, world: RigWorld, spec: TwinSpec, now_ns: Callable[[], int]) -> None:
        self._world = world
        self._spec = spec
        self._now_ns = now_ns
        self._heated_utc_s = 0.0

    async def watch(self) -> None:
        """Note when the heater has power, for ever."""
        while True:
            if self._world.truth(self._now_ns())["heater_w"] > 0:
                self._heated_utc_s = time.time()
            await asyncio.sleep(LOOK_S)

    def told(self) -> str:
        """Return the truth of now."""
        truth = dict(self._world.truth(self._now_ns()))
        for syringe in self._spec.syringes:
            left_ml = truth[f"{syringe.device}.left_ml"]
            pushed_ml = (syringe.drawn_ml - left_ml) / syringe.delivered_fraction
            truth[f"{syringe.device}.pushed_ml"] = pushed_ml
        return json.dumps(truth | {"heated_utc_s": self._heated_utc_s})


async def serve(rig_file: Path, written: Path, seed: int) -> None:
    """Serve until stdin closes."""
    rig = load_rig(rig_file)
    spec, clock = rig_twin(rig, seed), WallClock()
    world = build_world(spec)
    world.follow(clock.now_ns)
    assert isinstance(world, RigWorld)  # noqa: S101 - the only one there is
    truth = Truth(world, spec, clock.now_ns)
    async with contextlib.AsyncExitStack() as stack:
        places = {}
        for port in dict.fromkeys(device.port for device in spec.devices):
            terminal = await serve_pty(Ticked(world.line(port)), clock.now_ns)
            stack.push_async_callback(terminal.close)
            places[port] = terminal.path
        moved = compose(at_endpoints(rig.document, places), str(written))
        text = in_date(moved, local_now().date())
        await asyncio.to_thread(written.write_text, text, encoding="utf-8")
        looking = asyncio.create_task(truth.watch(), name="truth")
        print("ready", flush=True)
        await _answered(truth)
        looking.cancel()


async def _answered(truth: Truth) -> None:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while await reader.readline():
        print(truth.told(), flush=True)
    transport.close()


def main() -> None:
    """Serve the rig of a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rig", type=Path)
    parser.add_argument("--write", type=Path, required=True, help="the rig file with these ports")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(asked.rig, asked.write, asked.seed))


if __name__ == "__main__":
    main()
