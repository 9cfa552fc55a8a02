"""What a replay came to, as text for a person and as plain values for JSON."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from labctl.cli.board import Painter
from labctl.cli.text import clock, rounded, table, wrapped
from labctl.record.reader import NS
from labctl.record.rows import Json, RunRow
from labctl.replay import Remade, Replayed, Timer, ToCome
from labctl.units import show

_KNOWN_BY = {"plateau": "to the plateau of the frames", "estimate": "as the detector estimates"}


def plain(made: Replayed | Remade) -> dict[str, Json]:
    """Give one decision as JSON has it; times in s since the run, or the spectra, began."""
    return _course(made) if isinstance(made, Remade) else _saturation(made)


def _course(made: Remade) -> dict[str, Json]:
    watch, outcome, row = made.watch, made.outcome, made.watch.recorded
    recorded: dict[str, Json] | None = None
    if row is not None:
        ended_s = None if row.at_ns is None else row.at_ns / NS
        at_s = watch.seen[-1].t_s if watch.seen and row.at_ns is not None else None
        recorded = {"verdict": row.verdict, "at_s": at_s, "ended_s": ended_s, "reason": row.reason}
    return {
        "step": watch.step,
        "kind": made.criterion.kind,
        "started_s": watch.started_s,
        "frames": len(watch.seen),
        "frames_later": len(watch.later),
        "recorded": recorded,
        "replayed": {
            "verdict": outcome.verdict,
            "at_s": outcome.at_s,
            "frames": outcome.frames,
            "reason": outcome.reason,
            "evidence": made.evidence,
        },
    }


def _saturation(made: Replayed) -> dict[str, Json]:
    watch, outcome, last = made.watch, made.outcome, made.outcome.last
    evidence: Mapping[str, Json] = {} if last is None else dict(last.evidence())
    return {
        "step": watch.step,
        "kind": "saturated",
        "started_s": watch.started_s,
        "frames": len(watch.seen),
        "frames_later": len(watch.later),
        "recorded": _recorded(made),
        "replayed": {
            "verdict": outcome.verdict,
            "at_s": outcome.at_s,
            "frames": outcome.frames,
            "reason": outcome.reason,
            **_left(made.to_come),
            "evidence": evidence,
        },
        "settings": {name: getattr(made.settings, name) for name in made.settings.__slots__},
        "timers": [_timer(timer) for timer in made.timers],
    }


def _recorded(made: Replayed) -> dict[str, Json] | None:
    row, watch = made.watch.recorded, made.watch
    if row is None:
        return None
    at_s = watch.seen[-1].t_s if watch.seen and row.at_ns is not None else None
    ended_s = None if row.at_ns is None else row.at_ns / NS
    left = _left(made.recorded_to_come)
    return {"verdict": row.verdict, "at_s": at_s, "ended_s": ended_s, "reason": row.reason, **left}


def _timer(timer: Timer) -> dict[str, Json]:
    left = _left(timer.to_come)
    return {"after": timer.after, "started_s": timer.started_s, "at_s": timer.at_s, **left}


def _left(to_come: ToCome) -> dict[str, Json]:
    known = math.isfinite(to_come.nm)
    return {"to_come_nm": to_come.nm if known else None, "to_come_by": to_come.by}


def lines(
    made: Sequence[Replayed | Remade], estimator: str, meta: RunRow | None, paint: Painter
) -> Iterator[str]:
    """Yield what a person reads: each decision as recorded and as made again, and the timers."""
    begins = None if meta is None else dt.datetime.fromisoformat(meta.started_local)

    def at(t_s: float) -> str:
        if begins is None:
            return clock(t_s)
        return f"{begins + dt.timedelta(seconds=t_s):%H:%M:%S}"

    if meta is not None:
        yield paint(meta.id, "bold")
        yield from wrapped([meta.recipe_name])
    if not made:
        yield "No step of this run waited for the peak; nothing can be decided again."
    for one in made:
        yield ""
        if isinstance(one, Remade):
            yield from _on_course(one, estimator, at, paint)
        else:
            yield from _decision(one, estimator, at, paint)


def _on_course(
    made: Remade, estimator: str, at: Callable[[float], str], paint: Painter
) -> Iterator[str]:
    watch, outcome, criterion = made.watch, made.outcome, made.criterion
    slow = show(criterion.slower_than_nm_min, "wavelength rate")
    asked = f"1S slower than {slow}?"
    if criterion.kind == "reaches":
        sign, target = (">=" if criterion.rising else "<="), show(criterion.target_nm, "wavelength")
        lead = f", {show(criterion.lead_s, 'time')} ahead" if criterion.lead_s else ""
        asked = f"1S {sign} {target}{lead}?"
    usable = sum(frame.usable for frame in watch.seen)
    seen = f"{len(watch.seen)} frames from {at(watch.started_s)}, {usable} usable"
    yield paint(f"{watch.step}: {asked}", "bold") + f"  {seen}, peaks: {estimator}"
    rows, row = [], watch.recorded
    if row is not None and watch.seen:
        rows.append(
            ("recorded", row.verdict or "not decided", *_when(made, watch.seen[-1].t_s, at))
        )
    rows.append(("replayed", outcome.verdict, *_when(made, outcome.at_s, at)))
    yield from (f"  {line}" for line in table(rows, head=("", "verdict", "at", "after")))
    yield from (f"  {line}" for line in wrapped([f"replayed: {outcome.reason}"]))


def _decision(
    made: Replayed, estimator: str, at: Callable[[float], str], paint: Painter
) -> Iterator[str]:
    watch, outcome, settings = made.watch, made.outcome, made.settings
    step = f"{watch.step}: " if watch.step else ""
    usable = sum(frame.usable for frame in watch.seen)
    later = f", and {len(watch.later)} that followed" if watch.later else ""
    seen = f"{len(watch.seen)} frames from {at(watch.started_s)}, {usable} usable{later}"
    yield paint(f"{step}1S saturated?", "bold") + f"  {seen}"
    chosen = (
        f"peaks: {estimator}",
        f"delta {show(settings.delta_nm, 'wavelength')}",
        f"tau_max {show(settings.tau_max_s, 'time')}",
        f"alpha {settings.alpha:g}",
        f"min_shift {show(settings.min_shift_nm, 'wavelength')}",
        f"min_plateau {show(settings.min_plateau_s, 'time')}",
    )
    yield from (f"  {line}" for line in wrapped([", ".join(chosen)]))
    rows = []
    row = watch.recorded
    if row is not None and watch.seen:
        ended_s = watch.seen[-1].t_s
        rows.append(("recorded", row.verdict or "not decided", *_when(made, ended_s, at),
                     _told(made.recorded_to_come)))  # fmt: skip
    rows.append(("replayed", outcome.verdict, *_when(made, outcome.at_s, at), _told(made.to_come)))
    head = ("", "verdict", "at", "after", "still to come then")
    yield from (f"  {line}" for line in table(rows, head=head))
    yield from (f"  {line}" for line in wrapped([f"replayed: {outcome.reason}"]))
    if watch.also_flat and watch.areas is None:
        yield "  PL was not judged: the record does not hold its uncertainty"
    yield from (f"  {line}" for line in wrapped(_missed(timer, at) for timer in made.timers))


def _when(made: Replayed | Remade, t_s: float, at: Callable[[float], str]) -> tuple[str, str]:
    return at(t_s), rounded(t_s - made.watch.started_s)


def _missed(timer: Timer, at: Callable[[float], str]) -> str:
    took = show(timer.at_s - timer.started_s, "time")
    return (
        f"A timer of {took} after {timer.after} ({at(timer.started_s)}) would have advanced at "
        f"{at(timer.at_s)} with {_told(timer.to_come)} still to come"
    )


def _told(to_come: ToCome) -> str:
    known = _KNOWN_BY.get(to_come.by)
    return "an unknown movement" if known is None else f"{to_come.nm:+.2f} nm ({known})"
