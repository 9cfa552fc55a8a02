"""What a resumed run takes over once a person has agreed: names, lamp, valves; each is told.

Valves are read first. One that stands otherwise than before is put back only if a person says so,
and vacuum never: the step that needs it opens it in stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from labctl.bench import Question
from labctl.clock import NS
from labctl.engine.bench import EngineBench
from labctl.engine.kept import Kept
from labctl.engine.parts import VALVES, Parts
from labctl.engine.run import Run
from labctl.errors import AbortedError
from labctl.units import show

VACUUM = frozenset({"vac_rough", "vac_fine"})


async def take_over(
    parts: Parts, kept: Kept, before: Mapping[str, float], bench: EngineBench
) -> None:
    """Take over what a run had; `before` are its last good values by channel.

    Raises:
        AbortedError: nobody let it, or a valve does not stand as it was told to.
    """
    run = parts.run
    for subject, names in kept.signed.items():
        run.signed.setdefault(subject, set()).update(names)
    run.trap_cold_ns = kept.trap_cold_ns
    if kept.lamp is not None and await parts.optics.restore(kept.lamp):
        ago = show((run.clock.now_ns() - kept.lamp.t_ns) / NS, "time")
        run.event("resume.lamp", f"the lamp's reference is that of {ago} ago")
        run.flask = replace(run.flask, referenced=True)
    parts.tracking.restored.update({name: level for name, (_, level) in kept.levels.items()})
    if run.rig.by_person("manifold"):
        await _seen_by_a_person(parts, kept.valves)
    else:
        await _put_back(parts, before, bench)


async def _seen_by_a_person(parts: Parts, valves: Mapping[str, bool]) -> None:
    """Have a person sign how valves stand that no instrument reads."""
    if valves:
        items = [f"{name} is {_stands(is_open)}" for name, is_open in valves.items()]
        await parts.people.confirm(items, 1, "")
        parts.run.commanded.update(valves)


async def _put_back(parts: Parts, before: Mapping[str, float], bench: EngineBench) -> None:
    run = parts.run
    other = _otherwise(run, before)
    if not other:
        return
    told = [f"{name} is {_stands(not was)}, was {_stands(was)}" for name, was in other.items()]
    back = {name: was for name, was in other.items() if not (was and name in VACUUM)}
    if len(back) < len(other):
        told.append("vacuum is left shut: the step that needs it opens it in stages")
    text = f"valves stand otherwise than before: {'; '.join(told)}. Put them back?"
    unanswered_s = run.plan.recipe.head.problem.unanswered
    choices = ("put back", "leave", "park", "abort")
    answer = await parts.people.ask(Question(text, choices, "park", unanswered_s))
    if answer.choice in {"park", "abort"}:
        raise AbortedError(f"{answer.choice}: not resumed")
    run.deviation(f"{answer.choice}: {'; '.join(told)}")
    if answer.choice != "put back":
        return
    for name, is_open in sorted(back.items(), key=lambda row: row[1]):  # shut first
        await bench.valve(name, open_=is_open)
    await parts.read_outputs()
    still = _otherwise(run, before).keys() & back.keys()
    if still:
        raise AbortedError(f"{', '.join(sorted(still))} did not go back to where it was")


def _otherwise(run: Run, before: Mapping[str, float]) -> dict[str, bool]:
    """Return how valves stood that stand otherwise now, by name: True was open."""
    found = {}
    for name in VALVES:
        output = run.rig.valve(name)
        was = before.get(f"{output.board.name}.{output.name}")
        now = run.commanded.get(name)
        if was is not None and now is not None and now is not (was > 0.0):
            found[name] = was > 0.0
    return found


def _stands(is_open: bool) -> str:
    return "open" if is_open else "shut"
