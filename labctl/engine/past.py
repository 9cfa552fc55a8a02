"""What a run that was cut off had come to, rebuilt from its record alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labctl.clock import NS
from labctl.engine.course import FIXUP
from labctl.engine.kept import NOTHING, Kept, kept_of
from labctl.engine.lines import CHANGED
from labctl.record import DoseRow, Run
from labctl.record.rows import IntentRow

CUT_OFF = "cut_off"
"""The event that says until when nobody conducted the run; `from_ns` is when it was cut off."""
RESUMING = "resuming"
FOREVER_NS = 2**63 - 1
OVER = frozenset({"done", "skipped"})


@dataclass(frozen=True, slots=True)
class PastDose:
    """A dose as the record has it: on the pump's scale, and what left the needle, in mL.

    `open_intents` were never settled; `started` says that bytes may have gone out for them,
    `baseline_ml` where the pump's counter stood then. `unknown` was said by the record.
    """

    row: DoseRow
    pushed_ml: float = 0.0
    delivered_ml: float = 0.0
    open_intents: tuple[int, ...] = ()
    started: bool = False
    baseline_ml: float = 0.0
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Past:
    """A run as its record has it, at the last thing that was written down.

    `over` are top-level steps that need not run again; `interrupted` is the step that ran, or
    empty; `elapsed_s` is the run's own clock, which stands since `stands_ns`; `anchors` and
    `clocks` are on it. `never_begun` are intents of doses that have no row, `left_open` intents to
    start of which the dose's own intent says what came of them; `last` are the last
    good values by channel; `lines` is what was in each line, by pump (see `engine.lines`).
    """

    run_id: str
    last_ns: int
    stands_ns: int
    elapsed_s: float
    over: frozenset[str]
    interrupted: str
    anchors: Mapping[str, float]
    clocks: Mapping[str, float]
    doses: Mapping[str, PastDose]
    never_begun: tuple[int, ...] = ()
    left_open: tuple[tuple[int, IntentRow], ...] = ()
    last: Mapping[str, float] = field(default_factory=dict)
    heated: bool = False
    ambient_mbar: float | None = None
    deviations: tuple[str, ...] = ()
    lines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    kept: Kept = NOTHING


def past_of(run: Run) -> Past:
    """Read what a run had come to.

    Raises:
        RecordError: the record is damaged.
    """
    steps = [step for step in run.steps if not step.parent]
    latest = {step.id: step for step in steps}
    over = frozenset(id_ for id_, step in latest.items() if step.state in OVER)
    unfinished = [id_ for id_ in latest if id_ not in over and not id_.startswith(FIXUP)]
    stood = _stood(run)

    def elapsed_s(t_ns: int) -> float:
        still_ns = sum(max(0, min(t_ns, end) - start) for start, end in stood.items())
        return (t_ns - still_ns) / NS

    anchors: dict[str, float] = {}
    for step in run.steps:
        plain = step.id.partition("#")[0]
        anchors[f"{plain}.start"] = elapsed_s(step.start_ns)
        if step.end_ns is not None:
            anchors[f"{plain}.end"] = elapsed_s(step.end_ns)
    kept = kept_of(run)
    anchors |= {name: elapsed_s(t_ns) for name, (t_ns, _) in kept.levels.items()}
    clocks = {
        id_: elapsed_s(step.clock_ns) for id_, step in latest.items() if step.clock_ns is not None
    }
    events, last_ns = run.events, run.last_ns()
    ambient = [e.data["mbar"] for e in events if e.code == "ambient" and isinstance(e.data, Mapping)
               and "mbar" in e.data]  # fmt: skip
    known = ambient[-1] if ambient else None
    return Past(
        run.meta.id,
        last_ns,
        next((start for start, end in stood.items() if end == FOREVER_NS), last_ns),
        elapsed_s(last_ns),
        over,
        unfinished[-1] if unfinished else "",
        anchors,
        clocks,
        _doses(run),
        _never_begun(run),
        _left_open(run),
        _last(run),
        _heated(run),
        known if isinstance(known, float) else None,
        tuple(event.message for event in events if event.code == "deviation"),
        _lines(run),
        kept,
    )


def stood(run: Run) -> list[tuple[float, float]]:
    """Return from when to when the run's own clock stood, in s since the run began."""
    return [(start / NS, end / NS) for start, end in _stood(run).items()]


def _stood(run: Run) -> dict[int, int]:
    """Return until when the run's own clock stood, by when it stopped, in ns; frozen or cut off."""
    found: dict[int, int] = {}
    for event in run.events:
        start = event.data.get("from_ns") if isinstance(event.data, Mapping) else None
        if not isinstance(start, int):
            continue
        if event.code in {RESUMING, "frozen"}:
            found[start] = FOREVER_NS
        elif event.code in {CUT_OFF, "thawed"}:
            found[start] = event.t_ns
    return found


def _heated(run: Run) -> bool:
    """Say whether heat had been asked for when the run was cut off: a ramp since the last off."""
    off_ns = max((e.t_ns for e in run.events if e.message == "heater off" and
                  e.code == "heater"), default=-1)  # fmt: skip
    return any(step.verb == "ramp" and step.start_ns > off_ns for step in run.steps)


def _last(run: Run) -> dict[str, float]:
    """Return the last good value of every channel."""
    found = {}
    for name in run.channels:
        good = [value for value in run.series(name)[1] if value is not None]
        if good:
            found[name] = good[-1]
    return found


def _doses(run: Run) -> dict[str, PastDose]:
    intents = run.intents
    return {row.id: _dose(row, intents) for row in run.doses}


def _never_begun(run: Run) -> tuple[int, ...]:
    rows = {row.id for row in run.doses}
    intents = [i for i in run.intents if i.kind == "dose" and i.state == "starting"]
    return tuple(
        i.id for i in intents if isinstance(i.data, Mapping) and i.data.get("id") not in rows
    )


def _left_open(run: Run) -> tuple[tuple[int, IntentRow], ...]:
    found: list[tuple[int, IntentRow]] = []
    own: dict[object, IntentRow] = {}
    for intent in run.intents:
        if not isinstance(intent.data, Mapping):
            continue
        if intent.kind == "dose":
            own[intent.data.get("id")] = intent
        elif intent.kind == "dose.starting" and intent.state == "starting":
            dose = own.get(intent.data.get("id"))
            if dose is not None and dose.state != "starting":
                found.append((intent.id, dose))
    return tuple(found)


def _dose(row: DoseRow, intents: list[IntentRow]) -> PastDose:
    pushed_ml, started, baseline_ml = 0.0, False, 0.0
    delivered_ml = row.delivered_ml or 0.0
    open_intents: tuple[int, ...] = ()
    for intent in intents:
        data, result = intent.data, intent.result
        if not isinstance(data, Mapping) or data.get("id") != row.id:
            continue
        if intent.kind == "dose.starting":
            if open_intents:
                started, open_intents = True, (*open_intents, intent.id)
                baseline_ml = _number(data, "baseline_ml")
        elif _is_settled(intent):
            open_intents, started = (), False
            pushed_ml += _number(result, "counted_ml") or _number(result, "delivered_ml")
            # The row follows the intent; where the run was cut off between them it is behind.
            delivered_ml = max(delivered_ml, _number(result, "delivered_ml"))
        else:
            open_intents, started = (intent.id,), False
    unknown = row.state == "unknown"
    return PastDose(row, pushed_ml, delivered_ml, open_intents, started, baseline_ml, unknown)


def _lines(run: Run) -> dict[str, dict[str, float]]:
    """Return what was in each line: what doses left there, and what people did to it since."""
    known: list[tuple[int, object, object]] = [
        (intent.end_ns or 0, intent.data.get("by"), intent.result)
        for intent in run.intents
        if intent.kind == "dose" and isinstance(intent.data, Mapping)
    ]
    known += [
        (event.t_ns, event.data.get("pump"), event.data)
        for event in run.events
        if event.code == CHANGED and isinstance(event.data, Mapping)
    ]
    found: dict[str, dict[str, float]] = {}
    for _, pump, data in sorted(known, key=lambda row: row[0]):
        if isinstance(pump, str) and isinstance(data, Mapping):
            numbers = {n: float(v) for n, v in data.items() if isinstance(v, int | float)}
            found[pump] = {**found.get(pump, {}), **numbers}
    return found


def _is_settled(intent: IntentRow) -> bool:
    """Say whether what came of an intent is known: counted, never begun, or judged by a person."""
    judged = isinstance(intent.result, Mapping) and "by" in intent.result
    return intent.state in {"done", "refused"} or (intent.state == "unknown" and judged)


def _number(data: object, name: str) -> float:
    value = data.get(name) if isinstance(data, Mapping) else None
    return float(value) if isinstance(value, int | float) else 0.0
