"""Every case of every shipped recipe against its expectations, over several seeds.

    python -m benchmarks.recipes [--seeds 20] [--only STEM] [--up-to HOURS] [--jobs 2]

Each dry run is a line in the results file, written when it is done; a run that stands there for the
same recipe and sheet is not repeated, so an interrupted benchmark goes on where it was: after a
change of labctl itself name another file with `--results`. Expectations are judged anew each time.
Printed per case: how many seeds kept them, wall clock per run, CPU per simulated hour; then what
took more than 10 s up to 10 hours and 0.8 s for every hour beyond.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from labctl.errors import Finding
from labctl.plan import Plan
from labctl.prepare import Request, prepare
from labctl.session import dry_run
from labctl.source import read
from labctl.units import parse, parse_range

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "recipes"
RESULTS = ROOT / "runs" / "recipes.jsonl"
FREE_H, FREE_S, BEYOND_S_H = 10.0, 10.0, 0.8

Case = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a dry run showed of all that a case may expect; volumes in mL, times in s."""

    outcome: str
    findings: list[str]
    duration_s: float
    fullest_ml: float
    product: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One dry run of one case; `case` and `inputs` say of what."""

    case: str
    inputs: str
    seed: int
    shown: Shown
    wall_s: float
    cpu_s: float
    digest: str


def cases() -> Iterator[tuple[Path, Case]]:
    """Yield every recipe with each of its cases."""
    for path in sorted(RECIPES.rglob("*.expect.yaml")):
        document = read(path).mapping()
        for case in cast("list[Case]", document["cases"]):
            yield path.with_name(path.name.replace(".expect", "")), case


def request_of(recipe: Path, case: Case) -> Request:
    """Return what a case asks to run: its choices, on its rig with that rig's sheet if it has one.

    A case without `rig` runs on the bundled rig, one with `rig: manual` on rigs/manual.yaml.
    """
    chosen = case["set"] if isinstance(case["set"], dict) else {}
    settings = {name: str(value) for name, value in chosen.items()}
    rig = case.get("rig")
    sheet = recipe.with_suffix(f".{rig}.batch.yaml")
    return Request(
        recipe,
        ROOT / f"rigs/{rig}.yaml" if rig else None,
        sheet if sheet.exists() else None,
        settings,
    )


def name_of(recipe: Path, case: Case) -> str:
    """Return a case's name: the recipe's, its choices, its rig."""
    settings = request_of(recipe, case).settings or {}
    parts = [recipe.stem, *(f"{name}={value}" for name, value in settings.items())]
    return " ".join([*parts, f"on {case['rig']}"] if "rig" in case else parts)


def shown(summary: Mapping[str, object], findings: Sequence[Finding], plan: Plan) -> Shown:
    """Pick what a case may expect from a dry run."""
    return Shown(
        str(summary["outcome"]),
        [finding.rule for finding in findings],
        cast("float", summary["simulated_s"]),
        max(step.after.hot_volume_ml(step.after.temperature_c) for step in plan.steps),
        cast("Mapping[str, float]", summary.get("product") or {}),
    )


def departures(case: Case, run: Shown) -> list[str]:
    """Return in words what a run did not do as its case expects; a key left out is not asked."""
    wrong: list[str] = []
    if run.outcome != case["outcome"]:
        wrong.append(f"outcome {run.outcome}")
    if run.findings != case["findings"]:
        wrong.append(f"findings {run.findings}")
    found = {
        "final_1S": ("wavelength", run.product.get("peak_nm")),
        "duration": ("time", run.duration_s),
        "layers": ("", run.product.get("layers")),
        "qy": ("", run.product.get("qy")),
        "oxide": ("", run.product.get("oxide")),
    }
    for name in found.keys() & case.keys():
        dimension, value = found[name]
        low, high = _span(str(case[name]), dimension)
        if value is None or not low <= value <= high:
            wrong.append(f"{name} {value}")
    if "max_fill" in case and run.fullest_ml > parse(str(case["max_fill"]), "volume").value:
        wrong.append(f"max_fill {run.fullest_ml:.1f} mL")
    return sorted(wrong)


def _span(text: str, dimension: str) -> tuple[float, float]:
    if dimension:
        low, high = parse_range(text, dimension)
        return low.value, high.value
    first, _, last = text.partition("..")
    return float(first), float(last)


def main() -> None:
    """Run what has not been run yet, then judge and print all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", default="", help="the stem of one recipe")
    parser.add_argument("--up-to", type=float, default=100.0, help="no case longer than this, in h")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    chosen = [
        (recipe, case)
        for recipe, case in cases()
        if asked.only in {"", recipe.stem} and _expected_h(case) <= asked.up_to
    ]
    done = {(row.case, row.inputs, row.seed): row for row in _kept(asked.results)}
    wanted = [
        (recipe, case, seed)
        for seed in range(1, asked.seeds + 1)
        for recipe, case in chosen
        if (name_of(recipe, case), inputs_of(recipe, case), seed) not in done
    ]
    for row in _run(wanted, asked.jobs, asked.results):
        done[row.case, row.inputs, row.seed] = row
    slow = []
    for recipe, case in chosen:
        keys = name_of(recipe, case), inputs_of(recipe, case)
        found = (done.get((*keys, seed)) for seed in range(1, asked.seeds + 1))
        rows = [row for row in found if row is not None]
        if rows:  # none, where the recipe was edited while the runs went on
            slow += _told(case, rows)
    print("\n".join(slow) or f"all within {FREE_S:g} s, and {BEYOND_S_H} s for every hour over 10")


def inputs_of(recipe: Path, case: Case) -> str:
    """Return a hash of the recipe and the sheet: a result of other inputs does not count."""
    request = request_of(recipe, case)
    sheet = request.batch or recipe.with_suffix(".batch.yaml")
    files = [recipe, sheet] if request.rig is None else [recipe, sheet, request.rig]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]


def run_one(recipe: Path, case: Case, seed: int) -> Outcome:
    """Dry-run a case with one seed."""
    began, busy = time.perf_counter(), time.process_time()
    plan, findings = prepare(request_of(recipe, case))
    with tempfile.TemporaryDirectory() as runs:
        summary = dry_run(plan, seed=seed, runs=Path(runs)).summary
    return Outcome(
        name_of(recipe, case),
        inputs_of(recipe, case),
        seed,
        shown(summary, findings, plan),
        round(time.perf_counter() - began, 2),
        round(time.process_time() - busy, 2),
        str(summary.get("digest", "")),
    )


def _run(wanted: Sequence[tuple[Path, Case, int]], jobs: int, results: Path) -> Iterator[Outcome]:
    """Run in `jobs` processes; each result is on the disk before it is yielded."""
    if not wanted:
        return
    results.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(jobs) as pool, results.open("a", encoding="utf-8") as file:
        for future in as_completed([pool.submit(run_one, *asked) for asked in wanted]):
            row = future.result()
            file.write(json.dumps(asdict(row)) + "\n")
            file.flush()
            yield row


def _kept(results: Path) -> Iterator[Outcome]:
    if results.exists():
        for line in results.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            yield Outcome(**(row | {"shown": Shown(**row["shown"])}))


def _told(case: Case, rows: Sequence[Outcome]) -> Iterator[str]:
    """Print how the runs of a case went; yield the ones that took longer than the goal."""
    wrong = [(row.seed, departures(case, row.shown)) for row in rows]
    hours = _mean(row.shown.duration_s / 3600 for row in rows)
    wall_s, cpu_s = _mean(row.wall_s for row in rows), _mean(row.cpu_s for row in rows)
    kept = sum(not missed for _, missed in wrong)
    print(
        f"{rows[0].case:56} held {kept:2} of {len(rows)}  {wall_s:5.1f} s wall  "
        f"{hours:5.2f} h  {cpu_s / hours:5.2f} s CPU/h"
    )
    for seed, missed in wrong:
        for text in missed:
            print(f"    seed {seed}: {text}")
    allowed_s = FREE_S + BEYOND_S_H * max(0.0, hours - FREE_H)
    if cpu_s > allowed_s:
        yield f"{rows[0].case}: {cpu_s:.1f} s CPU, more than {allowed_s:.1f} s"


def _expected_h(case: Case) -> float:
    return _span(str(case["duration"]), "time")[1] / 3600


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)


if __name__ == "__main__":
    main()
