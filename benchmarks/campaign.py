"""The fault campaign: `python -m benchmarks.campaign --seeds N`.

Each seed draws what befalls a short day (`benchmarks.swarm`): faults, commands, crashes between
two rows of the record. It runs on the twin in virtual time, and the invariants are judged on the
plant's truth, the wires and the record (`benchmarks.trial`). What fails is shrunk
(`benchmarks.shrinking`) and written to the corpus, which the tests replay. With `--keep` each seed
is a line of a file, and seeds that stand in it are not run again; `--page` writes the docs' page.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

from benchmarks.campaign_page import page
from benchmarks.invariants import ELSEWHERE, TEXTS, Broken
from benchmarks.shrinking import shrunk
from benchmarks.swarm import FAULTS, draw, kind_of, save
from benchmarks.trial import Ran, run_case

CORPUS = Path(__file__).parents[1] / "tests/corpus"
TWICE = 25
"""Every so many seeds one is run again, with another wall clock."""
WARM, GROWTH, SLACK = 20, 1.05, 1
Row = Mapping[str, object]


def drawn(job: tuple[int, Sequence[str]]) -> Ran:
    """Run a seed, some of them twice: the record must be the same whatever the wall clock does."""
    seed = job[0]
    ran = run_case(draw(*job))
    if seed % TWICE == 0 and ran.outcome != "crashed":
        for number, jump in ((25, False), (26, True)):
            again = run_case(ran.case, jump=jump)
            if again.digest != ran.digest:
                ran.broken.append(Broken(number, 0.0, f"digest {again.digest[:8]}"))
    return ran


def _row(job: tuple[int, Sequence[str]]) -> dict[str, object]:
    begin_s = time.process_time()
    ran = drawn(job)
    return {
        "seed": ran.case.seed,
        "day": ran.case.day,
        "outcome": ran.outcome,
        "reason": ran.reason,
        "broken": [asdict(broken) for broken in ran.broken],
        "acted": ran.acted,
        "noticed": ran.noticed,
        "lives": ran.lives,
        "digest": ran.digest,
        "cpu_s": round(time.process_time() - begin_s, 3),
        "pid": os.getpid(),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "most_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def _kept(file: Path | None) -> dict[int, Row]:
    if file is None or not file.exists():
        return {}
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {row["seed"]: row for row in rows}


def _rows(options: argparse.Namespace) -> Iterator[Row]:
    faults = [spec for spec in FAULTS if kind_of(spec) not in options.without]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    kept = _kept(options.keep)
    yield from (kept[seed] for seed in seeds if seed in kept)
    todo = [(seed, faults) for seed in seeds if seed not in kept]
    with ProcessPoolExecutor(options.jobs) as pool:
        for row in pool.map(_row, todo, chunksize=4):
            if options.keep is not None:
                with options.keep.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
            yield row


def grown(rows: Sequence[Row]) -> list[str]:
    """Say which worker's descriptors or memory grew by more than 5 % after its first 20 seeds."""
    said = []
    for pid in sorted({int(str(row["pid"])) for row in rows}):
        own = [row for row in rows if row["pid"] == pid][WARM:]
        for what in ("descriptors", "most_kb") if own else ():
            # What is closed only when garbage is collected comes and goes; a leak lifts the floor.
            of = [float(str(row[what])) for row in own]
            first, last = min(of[:WARM]), min(of[-WARM:])
            if last > first * GROWTH + SLACK:
                said.append(
                    f"{what} of a worker from {first:.0f} to {last:.0f} in {len(own)} seeds"
                )
    return said


def _failed(row: Row) -> bool:
    return bool(row["broken"]) or row["outcome"] == "crashed"


def _told(rows: Sequence[Row], begin_s: float) -> None:
    print(f"{len(rows)} seeds, {time.perf_counter() - begin_s:.0f} s")
    print(f"outcomes: {dict(Counter(str(row['outcome']) for row in rows))}")
    acted = Counter(kind_of(text) for row in rows for text in row["acted"])  # type: ignore[attr-defined]
    print(f"faults that acted: {acted.total()} of {len(acted)} kinds")
    print(f"crashes between two rows: {sum(int(str(row['lives'])) - 1 for row in rows)}")
    failed = [row for row in rows if _failed(row)]
    broken = Counter(b["number"] for row in failed for b in row["broken"])  # type: ignore[attr-defined]
    held = [n for n in TEXTS if n not in broken and n not in ELSEWHERE]
    print(f"invariants held: {held}; broken: {dict(broken)}; judged elsewhere: {list(ELSEWHERE)}")
    print(f"#38, descriptors and memory: {'; '.join(grown(rows)) or 'flat'}")
    print(f"seeds that failed: {[row['seed'] for row in failed]}")


def main() -> int:
    """Run the campaign; exit 1 if anything broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--without", nargs="*", default=[], help="kinds of fault to leave out")
    parser.add_argument("--shrink", type=int, default=10, help="how many failures to shrink")
    parser.add_argument("--corpus", type=Path, default=None, help="where failures are written")
    parser.add_argument("--keep", type=Path, default=None, help="a line per seed; goes on there")
    parser.add_argument("--page", type=Path, default=None, help="where the docs' page is written")
    options = parser.parse_args()
    begin_s = time.perf_counter()
    rows = list(_rows(options))
    _told(rows, begin_s)
    failed = [row for row in rows if _failed(row)]
    for row in failed[: options.shrink]:
        seed = int(str(row["seed"]))
        least = shrunk(run_case(draw(seed)))
        why = [str(b) for b in least.broken] or [least.reason]
        print(f"  seed {seed}: {least.case}: {'; '.join(why)}")
        if options.corpus is not None:
            save(least.case, options.corpus / f"seed_{seed}.json", why)
    if options.page is not None:
        options.page.write_text(page(rows), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
