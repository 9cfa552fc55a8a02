"""What a report needs of a run, read once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from labctl.record import Run
from labctl.record.rows import (
    AlarmRow,
    Assumed,
    ChannelRow,
    CommandRow,
    DecisionRow,
    DoseRow,
    EventRow,
    InputRow,
    Lot,
    QuestionRow,
    RunRow,
    StepRow,
)

NS = 1e9


@dataclass(frozen=True, slots=True)
class Series:
    """Values over time in s; None is a gap. Both of one length."""

    t_s: list[float]
    values: list[float | None]

    def between(self, start_s: float, end_s: float) -> list[float]:
        """Give the known values from `start_s` to `end_s`, both included."""
        cut = slice(bisect_left(self.t_s, start_s), bisect_right(self.t_s, end_s))
        return [value for value in self.values[cut] if value is not None]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage as it ran, in s; `end_s` is how far it came if it did not end."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Story:
    """The rows of a run, and the run itself for its series and spectra."""

    run: Run
    meta: RunRow
    channels: dict[str, ChannelRow]
    assumed: Sequence[Assumed]
    lots: Sequence[Lot]
    steps: Sequence[StepRow]
    doses: Sequence[DoseRow]
    decisions: Sequence[tuple[DecisionRow, Sequence[InputRow]]]
    events: Sequence[EventRow]
    alarms: Sequence[AlarmRow]
    questions: Sequence[QuestionRow]
    commands: Sequence[CommandRow]
    end_s: float
    _read: dict[str, Series] = field(default_factory=dict)

    @property
    def stages(self) -> list[Stage]:
        """The stages in the order they began."""
        found = []
        for name in dict.fromkeys(step.stage for step in self.steps):
            own = [step for step in self.steps if step.stage == name]
            ends = [self.end_s if s.end_ns is None else s.end_ns / NS for s in own]
            found.append(Stage(name, min(s.start_ns for s in own) / NS, max(ends)))
        return found

    @property
    def deviations(self) -> list[EventRow]:
        """Where the run departed from its recipe."""
        return [event for event in self.events if event.code == "deviation"]

    def series(self, channel: str) -> Series:
        """Give a channel's values; empty if the run has no such channel."""
        if channel not in self.channels:
            return Series([], [])
        if channel not in self._read:
            self._read[channel] = Series(*self.run.series(channel))
        return self._read[channel]


def read(run: Run) -> Story:
    """Read what a report needs.

    Raises:
        RecordError: the record is damaged.
    """
    return Story(
        run=run,
        meta=run.meta,
        channels=run.channels,
        assumed=run.assumed,
        lots=run.lots,
        steps=run.steps,
        doses=run.doses,
        decisions=[(made, run.inputs(made.id)) for made in run.decisions],
        events=run.events,
        alarms=run.alarms,
        questions=run.questions,
        commands=run.commands,
        end_s=max(run.last_ns() / NS, 1.0),
    )
