"""The docs' page of the campaign: seeds, faults per kind, time to notice, invariants."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.invariants import ELSEWHERE, TEXTS
from benchmarks.swarm import kind_of

NOTE = "<!-- written by `python -m benchmarks.campaign --page`; not by hand -->"
HEAD = """# The fault campaign

{note}

{seeds} seeds of two short days of up to half an hour (a sulfide injection at 90 °C, and HF under
vacuum), each with up to six faults, commands of people, and in three of ten a kill between two rows
of the record, resumed afterwards. `benchmarks/campaign.py` runs them on the twin in virtual time;
what must hold is judged once a second on the plant's truth, on every byte that went out, and on the
record. Outcomes: {outcomes}. Kills: {kills}.
Seeds in which an invariant did not hold: {failed}.

"""


def page(rows: Sequence[Mapping[str, object]]) -> str:
    """Write the page from the rows of `--keep`."""
    outcomes = Counter(str(row["outcome"]) for row in rows)
    failed = [row for row in rows if row["broken"] or row["outcome"] == "crashed"]
    text = HEAD.format(
        note=NOTE,
        seeds=len(rows),
        outcomes=", ".join(f"{name} {n}" for name, n in outcomes.most_common()),
        kills=sum(int(str(row["lives"])) - 1 for row in rows),
        failed=len(failed) or "none",
    )
    return text + _invariants(failed, len(rows)) + "\n" + _faults(rows)


def _invariants(failed: Sequence[Mapping[str, object]], seeds: int) -> str:
    broken = Counter(b["number"] for row in failed for b in row["broken"])  # type: ignore[attr-defined]
    lines = ["## Invariants", "", "| # | invariant | held |", "| --- | --- | --- |"]
    for number, text in TEXTS.items():
        if number in ELSEWHERE:
            held = f"not judged here: {ELSEWHERE[number]}"
        else:
            held = f"{seeds - broken[number]} of {seeds}"
        lines.append(f"| {number} | {text} | {held} |")
    return "\n".join(lines) + "\n"


def _faults(rows: Sequence[Mapping[str, object]]) -> str:
    acted: Counter[str] = Counter()
    noticed: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        acted.update(kind_of(text) for text in row["acted"])  # type: ignore[attr-defined]
        for text, after_s in row["noticed"]:  # type: ignore[attr-defined]
            noticed[kind_of(text)].append(after_s)
    lines = [
        "## Faults",
        "",
        "`followed` counts the faults after which a warning, an alarm or an end came, of any",
        "cause; the times are from the fault's beginning to the first of them. Where several",
        "faults befall one run, that is an upper bound on how often, and a lower one on when.",
        "",
        "| fault | acted | followed | median | latest |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind, n in sorted(acted.items()):
        times = noticed[kind]
        middle, most = (f"{median(times):.0f} s", f"{max(times):.0f} s") if times else ("", "")
        lines.append(f"| `{kind}` | {n} | {len(times)} | {middle} | {most} |")
    return "\n".join(lines) + "\n"
