"""Every case of every shipped recipe against its expectations, over several seeds.

    python -m benchmarks.recipes [--seeds 20] [--only STEM]

Prints one line per case: how many of the seeds kept their expectations, seconds of wall clock per
run, simulated hours. The tests run one seed of the first case of each recipe.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from labctl.errors import Finding
from labctl.plan import Plan
from labctl.prepare import Request, prepare
from labctl.session import dry_run
from labctl.source import read
from labctl.units import parse, parse_range

RECIPES = Path(__file__).parents[1] / "recipes"
Case = Mapping[str, object]


def cases() -> Iterator[tuple[Path, Case]]:
    """Yield every recipe with each of its cases."""
    for path in sorted(RECIPES.glob("*.expect.yaml")):
        document = read(path).mapping()
        for case in cast("list[Case]", document["cases"]):
            yield path.with_name(path.name.replace(".expect", "")), case


def departures(
    case: Case, summary: Mapping[str, object], findings: Sequence[Finding], plan: Plan
) -> list[str]:
    """Return in words what a run did not do as its case expects; a key left out is not asked."""
    wrong: list[str] = []
    if summary["outcome"] != case["outcome"]:
        wrong.append(f"outcome {summary['outcome']}")
    rules = [finding.rule for finding in findings]
    if rules != case["findings"]:
        wrong.append(f"findings {rules}")
    product = cast("Mapping[str, float]", summary.get("product") or {})
    found = {
        "final_1S": ("wavelength", product.get("peak_nm")),
        "duration": ("time", cast("float", summary["simulated_s"])),
        "layers": ("", product.get("layers")),
        "qy": ("", product.get("qy")),
    }
    for name in found.keys() & case.keys():
        dimension, value = found[name]
        low, high = _span(str(case[name]), dimension)
        if value is None or not low <= value <= high:
            wrong.append(f"{name} {value}")
    fullest = max(p.after.hot_volume_ml(p.after.temperature_c) for p in plan.steps)
    if "max_fill" in case and fullest > parse(str(case["max_fill"]), "volume").value:
        wrong.append(f"max_fill {fullest:.1f} mL")
    return sorted(wrong)


def _span(text: str, dimension: str) -> tuple[float, float]:
    if dimension:
        low, high = parse_range(text, dimension)
        return low.value, high.value
    first, _, last = text.partition("..")
    return float(first), float(last)


def main() -> None:
    """Run the cases and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", default="", help="the stem of one recipe")
    asked = parser.parse_args()
    for recipe, case in cases():
        if asked.only in {"", recipe.stem}:
            _judge(recipe, case, asked.seeds)


def _judge(recipe: Path, case: Case, seeds: int) -> None:
    chosen = case["set"] if isinstance(case["set"], dict) else {}
    settings = {name: str(value) for name, value in chosen.items()}
    plan, findings = prepare(Request(recipe, settings=settings))
    kept, wall_s, cpu_s, hours = 0, 0.0, 0.0, 0.0
    wrong: list[str] = []
    for seed in range(1, seeds + 1):
        began, busy = time.perf_counter(), time.process_time()
        with tempfile.TemporaryDirectory() as runs:
            summary = dry_run(plan, seed=seed, runs=Path(runs)).summary
        wall_s += time.perf_counter() - began
        cpu_s += time.process_time() - busy
        hours += cast("float", summary["simulated_s"]) / 3600
        missed = departures(case, summary, findings, plan)
        kept += not missed
        wrong += [f"seed {seed}: {text}" for text in missed]
    print(
        f"{recipe.stem:28} {settings!s:42} {kept}/{seeds} kept  "
        f"{wall_s / seeds:5.1f} s wall {cpu_s / seeds:5.1f} s cpu  {hours / seeds:5.1f} h"
    )
    for text in wrong:
        print(f"    {text}")


if __name__ == "__main__":
    main()
