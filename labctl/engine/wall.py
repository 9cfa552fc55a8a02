"""Notes when the machine's clock is set while a run goes on; the run's own time is monotonic."""

from __future__ import annotations

from labctl.clock import NS
from labctl.engine.run import Run
from labctl.units import show

TOLD_S = 1.0


async def watch_wall_clock(run: Run) -> None:
    """Write down each setting of the clock by 1 s or more, and tie run time to UTC anew."""
    known_s = 0.0
    while True:
        await run.clock.sleep_until(run.clock.now_ns() + NS)
        by_s = run.clock.set_by_s() - known_s
        if abs(by_s) < TOLD_S:
            continue
        known_s += by_s
        now_ns = run.clock.now_ns()
        way = "forward" if by_s > 0 else "back"
        message = f"the machine's clock was set {way} by {show(abs(by_s), 'time')}"
        why = "no time of this run depends on it"
        run.event("clock.set", f"{message}; {why}", {"by_s": by_s}, "warning")
        run.record.anchor(now_ns, run.clock.local(now_ns))
