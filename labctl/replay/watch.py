"""What the decisions of a run saw, read from its record, and what came after them."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from labctl.engine.deciding import Baseline
from labctl.errors import RefusedError
from labctl.recipe.blocks import Files
from labctl.recipe.load import opened
from labctl.recipe.model import Recipe
from labctl.recipe.steps.base import flattened
from labctl.recipe.steps.wait_until import WaitUntil
from labctl.record import Run
from labctl.record.reader import NS
from labctl.record.rows import DecisionRow, DoseRow, InputRow, Json
from labctl.source import compose

SETTINGS = ("delta_nm", "tau_max_s", "alpha", "min_shift_nm", "min_plateau_s")
LEVEL_S = 30.0
PLATEAU_S = 180.0
FEWEST = 3
SAME_K = 3.0
"""The flask may move this far before what comes after a decision is another reaction."""

Area = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """One peak as a detector gets it: s, nm as measured and at 25 °C, nm, °C; NaN: not known.

    `band_nm` is the coefficient's doubt from 25 °C to here; NaN: as of the frame before.
    """

    t_s: float
    raw_nm: float
    peak_nm: float
    sigma_nm: float
    temperature_c: float
    hold: bool = False
    usable: bool = True
    band_nm: float = math.nan


@dataclass(frozen=True, slots=True)
class Watch:
    """One decision as it can be made again.

    `seen` are the frames it was given, `later` those that followed while nothing was added and the
    temperature stayed. `course` is the usable peak (s, nm at 25 °C) of the whole run. `baseline`
    is the peak before the reaction. `areas` (s, area, sd) since the watch began are None where the
    record does not hold their sd.
    """

    step: str
    started_s: float
    seen: Sequence[Frame]
    later: Sequence[Frame] = ()
    course: Sequence[tuple[float, float]] = ()
    settings: Mapping[str, float] = field(default_factory=dict)
    baseline: Baseline | None = None
    also_flat: bool = False
    areas: Sequence[Area] | None = ()
    by_samples: bool = False
    injected: tuple[str, float] | None = None
    recorded: DecisionRow | None = None

    @property
    def frames(self) -> Sequence[Frame]:
        """All frames, those that followed included."""
        return [*self.seen, *self.later]

    def level_nm(self, t_s: float) -> float:
        """Give the peak at 25 °C about a time; NaN where no frame is near."""
        near = [nm for t, nm in self.course if abs(t - t_s) <= LEVEL_S]
        return float(np.median(near)) if near else math.nan

    def plateau_nm(self) -> float:
        """Give the peak at 25 °C over the last minutes of the frames; NaN where there are few."""
        frames = [frame for frame in self.frames if frame.usable and not frame.hold]
        if len(frames) < FEWEST:
            return math.nan
        from_s = min(frames[-1].t_s - PLATEAU_S, frames[-FEWEST].t_s)
        last = [nm for t, nm in self.course if from_s <= t <= frames[-1].t_s]
        return float(np.median(last)) if last else math.nan


def watches(run: Run, kinds: Container[str] = frozenset({"saturated"})) -> list[Watch]:
    """Read all decisions of some kinds, in the order they were begun.

    Raises:
        RecordError: the record is damaged.
    """
    made = [row for row in run.decisions if row.kind in kinds]
    if not made:
        return []
    course = _Course(run)
    told = _told(run)
    return [_watch(run, row, course, told) for row in made]


class _Course:
    """The peaks of a run as they were published, frame by frame."""

    def __init__(self, run: Run) -> None:
        known = run.channels
        self.frames: list[Frame] = []
        if "peak.hot" not in known:
            return
        times, raw = run.series("peak.hot")
        cold, sigma = run.series("peak.25C")[1], run.series("peak.sigma")[1]
        at_s, at_c = run.series("flask.T") if "flask.T" in known else ([], [])
        for t_s, *found in zip(times, raw, cold, sigma, strict=True):
            index = bisect_right(at_s, t_s) - 1
            temperature_c = _number(at_c[index]) if index >= 0 else math.nan
            raw_nm, peak_nm, sigma_nm = map(_number, found)
            usable = math.isfinite(raw_nm)
            self.frames.append(Frame(t_s, raw_nm, peak_nm, sigma_nm, temperature_c, False, usable))

    def points(self) -> list[tuple[float, float]]:
        """Give the usable peaks at 25 °C."""
        return [(frame.t_s, frame.peak_nm) for frame in self.frames if frame.usable]

    def after(self, last: Frame, until_s: float) -> Iterator[Frame]:
        """Yield the frames from a last one until a time, while the temperature stays."""
        for frame in self.frames:
            if last.t_s < frame.t_s <= until_s:
                if abs(frame.temperature_c - last.temperature_c) > SAME_K:
                    return
                yield frame


def _watch(run: Run, row: DecisionRow, course: _Course, told: Mapping[str, WaitUntil]) -> Watch:
    facts = row.evidence if isinstance(row.evidence, Mapping) else {}
    step = told.get(row.step.partition("#")[0])
    seen = [_frame(seen) for seen in run.inputs(row.id)]
    doses = [dose for dose in run.doses if dose.kind == "injection" and dose.into_ == "flask"]
    ended_s = seen[-1].t_s if seen else row.start_ns / NS
    next_s = min((d.start_ns / NS for d in doses if d.start_ns / NS >= ended_s), default=math.inf)
    settings = {} if step is None else _settings(step)
    for name in settings or SETTINGS:
        value = facts.get(name)
        if isinstance(value, int | float):
            settings[name] = float(value)
    return Watch(
        row.step,
        row.start_ns / NS,
        seen,
        list(course.after(seen[-1], next_s)) if seen else [],
        course.points(),
        settings,
        _baseline(run, row, facts, step.since if step else ""),
        bool(facts.get("also_flat") or (step and step.also_flat)),
        _areas(run, row.start_ns / NS),
        bool(facts.get("by_samples")) or not run.spectra("sample"),
        _injected(doses, ended_s),
        row,
    )


def step_of(run: Run, name: str) -> WaitUntil | None:
    """Return a waiting step of the recipe in the record by its id, whatever its round."""
    return _told(run).get(name.partition("#")[0])


def _told(run: Run) -> dict[str, WaitUntil]:
    """Return the waiting steps of the recipe in the record, by id."""
    recipe = recipe_in(run)
    stages = () if recipe is None else recipe.stages
    steps = (step for stage in stages for step in flattened(stage.steps))
    return {step.id: step for step in steps if isinstance(step, WaitUntil)}


def _baseline(run: Run, row: DecisionRow, facts: Mapping[str, Json], since: str) -> Baseline | None:
    """Return the peak before the reaction: what the detector was told, else what was measured."""
    level, sd = facts.get("baseline_nm"), facts.get("baseline_sigma_nm")
    if isinstance(level, float) and isinstance(sd, float):
        band = facts.get("baseline_band_nm")
        return level, sd, band if isinstance(band, float) else None
    if facts or not since:
        return None
    for event in reversed(run.events):
        ours = event.code == "baseline" and event.message.startswith(f"{since}:")
        if ours and event.t_ns <= row.start_ns and isinstance(event.data, Mapping):
            level, sd = event.data.get("peak_nm"), event.data.get("sigma_nm")
            if isinstance(level, float) and isinstance(sd, float):
                return level, sd, None
    return None


def _settings(step: WaitUntil) -> dict[str, float]:
    values = (step.delta, step.tau_max, step.alpha, step.min_shift, step.min_plateau)
    return dict(zip(SETTINGS, values, strict=True))


def recipe_in(run: Run) -> Recipe | None:
    """Return the recipe that a record holds, with its choices; None where it cannot be read."""
    meta = run.meta
    choices = meta.choices if isinstance(meta.choices, Mapping) else {}
    try:
        document = compose(meta.recipe_text, meta.recipe_path)
        rows = document.mapping(("choose",)) if document.at(("choose",)) != "" else {}
        # What follows from another choice is recorded beside it, but cannot be set.
        follows = {name for name, row in rows.items() if isinstance(row, dict) and "by" in row}
        chosen = {name: str(value) for name, value in choices.items() if name not in follows}
        files = Files(Path(meta.recipe_path).parent, run.files)
        return opened(document, files).recipe(chosen)
    except RefusedError:
        return None


def _frame(row: InputRow) -> Frame:
    raw, peak, sigma = _number(row.raw_nm), _number(row.peak_nm), _number(row.sigma_nm)
    at_c = _number(row.temperature_c)
    band = _number(row.band_nm)
    return Frame(row.t_ns / NS, raw, peak, sigma, at_c, row.hold, row.used, band)


def _areas(run: Run, since_s: float) -> list[Area] | None:
    if "pl.area" not in run.channels or "pl.sigma" not in run.channels:
        return None
    (times, areas), (_, sigmas) = run.series("pl.area"), run.series("pl.sigma")
    found: list[Area] = []
    for t_s, area, sigma in zip(times, areas, sigmas, strict=True):
        # What the next step measured in the same instant came after the decision.
        new = t_s >= since_s and (not found or t_s > found[-1][0])
        if new and area is not None and sigma is not None:
            found.append((t_s, area, sigma))
    return found


def _injected(doses: Sequence[DoseRow], until_s: float) -> tuple[str, float] | None:
    before = [d for d in doses if d.end_ns is not None and d.end_ns / NS <= until_s]
    last = max(before, key=lambda dose: dose.end_ns or 0, default=None)
    return None if last is None else (last.reagent, (last.end_ns or 0) / NS)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
