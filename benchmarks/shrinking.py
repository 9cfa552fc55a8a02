"""Makes what fails small: fewer things befall, then at rounder and smaller times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.swarm import Case
from benchmarks.trial import Changed, Ran, run_case

_DELAY = re.compile(r"\+(\d+)s")
MOST = 120
"""How many runs shrinking one case may take."""


def shrunk(ran: Ran, change: Changed | None = None) -> Ran:
    """Leave out what is not needed for the same to break, then bring times nearer, by halves."""
    tries = 0
    while tries < MOST:
        for smaller in _smaller(ran.case):
            tries += 1
            again = run_case(smaller, change)
            if _same(ran, again):
                ran = again
                break
        else:
            break
    return ran


def _same(ran: Ran, again: Ran) -> bool:
    numbers = {broken.number for broken in ran.broken}
    still = numbers & {broken.number for broken in again.broken}
    return bool(still) or (ran.outcome == again.outcome == "crashed")


def _smaller(case: Case) -> Iterator[Case]:
    for n in range(case.size):
        yield case.without(n)
    for n, spec in enumerate(case.faults):
        found = _DELAY.search(spec)
        if found is not None and int(found[1]) > 0:
            nearer = _DELAY.sub(f"+{int(found[1]) // 2}s", spec)
            yield replace(case, faults=(*case.faults[:n], nearer, *case.faults[n + 1 :]))
    for n, said in enumerate(case.said):
        if said.at_s > 1:
            sooner = replace(said, at_s=said.at_s // 2)
            yield replace(case, said=(*case.said[:n], sooner, *case.said[n + 1 :]))
    for n, cut in enumerate(case.cuts):
        if cut > 0:
            yield replace(case, cuts=(*case.cuts[:n], cut // 2, *case.cuts[n + 1 :]))
