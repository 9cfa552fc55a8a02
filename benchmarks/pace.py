"""What a simulated hour costs: `python -m benchmarks.pace [--hours 1 4 24] [--repeat 3]`.

TOP selenide, saturated, with its hold at 200 °C made so many hours long: all instruments of the
bundled rig are polled, recorded and watched, and nothing else happens. Printed per length are CPU
seconds, the least of the repeats, and the digest, which must not change when the code only became
faster; then the slope from the shortest to the longest, which is the cost of one more hour without
what a run costs once. CPU time, since other work on the machine stretches the wall clock. The goal
is 0.8 s.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import cast

from benchmarks.recipes import RECIPES
from labctl.plan import Plan
from labctl.prepare import Request, prepare
from labctl.session import dry_run

RECIPE = RECIPES / "stock_top_chalcogenide.yaml"
HOLD = "hold: {for: 24 h"


def plan_of(hours: float, folder: Path) -> Plan:
    """Prepare the recipe with a hold of so many hours."""
    before, after = RECIPE.read_text(encoding="utf-8").split(HOLD)
    recipe = folder / RECIPE.name
    recipe.write_text(f"{before}hold: {{for: {hours:g} h{after}", encoding="utf-8")
    return prepare(Request(recipe, batch=RECIPE.with_suffix(".batch.yaml")))[0]


def cost(plan: Plan, seed: int, repeat: int) -> tuple[float, float, str]:
    """Dry-run a plan; return simulated hours, the least CPU seconds, and the digest."""
    least_s, hours, digest = float("inf"), 0.0, ""
    for _ in range(repeat):
        with tempfile.TemporaryDirectory() as runs:
            began_s = time.process_time()
            summary = dry_run(plan, seed=seed, runs=Path(runs)).summary
            least_s = min(least_s, time.process_time() - began_s)
        hours = cast("float", summary["simulated_s"]) / 3600
        digest = str(summary["digest"])
    return hours, least_s, digest


def main() -> None:
    """Print the cost of each length, and the slope."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, nargs="+", default=[1.0, 4.0, 24.0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    costs = []
    for hours in sorted(asked.hours):
        with tempfile.TemporaryDirectory() as folder:
            plan = plan_of(hours, Path(folder))
        simulated_h, cpu_s, digest = cost(plan, asked.seed, asked.repeat)
        costs.append((simulated_h, cpu_s))
        each = f"{cpu_s / simulated_h:.2f} s per simulated hour"
        print(f"{simulated_h:6.2f} h  {cpu_s:6.2f} s CPU  {each}  digest {digest[:12]}")
    (first_h, first_s), (last_h, last_s) = costs[0], costs[-1]
    if last_h > first_h:
        print(f"slope {(last_s - first_s) / (last_h - first_h):.2f} s for one hour more")


if __name__ == "__main__":
    main()
