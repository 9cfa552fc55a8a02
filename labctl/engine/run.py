"""What the parts of a run share: plan, rig, clocks, record, machine, and what is true besides."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from labctl.bus import Bus
from labctl.chemistry.flask import Flask
from labctl.clock import NS, Clock
from labctl.engine.elapsed import Elapsed
from labctl.engine.expected import Expected
from labctl.engine.heat import Heat
from labctl.engine.machine import FINAL, RunMachine, State
from labctl.engine.signals import Signals
from labctl.engine.stirring import Stirring
from labctl.errors import AbortedError
from labctl.plan import Plan
from labctl.readings import Event, Scalar
from labctl.record import Record
from labctl.rig.opening import OpenRig

TOKEN_LINGERS_S = 180.0
ABSOLUTE_ZERO_C = -273.15
_OVER = FINAL | {State.ABORTING}


@dataclass
class Run:
    """The shared part of a run; its parts hold it and each other's results meet here.

    `commanded` is what outputs were last told; `signed` the names that signed per reagent,
    `flushed` the pumps whose lines a person has flushed;
    `ambient_mbar` is read at start; `expected` are the runs that this one is compared with;
    `parks` says that to park is to wait for a person: in a dry run, where nobody comes, it is the
    end.
    """

    plan: Plan
    rig: OpenRig
    clock: Clock
    record: Record
    bus: Bus
    machine: RunMachine
    signals: Signals
    elapsed: Elapsed
    simulated: bool
    ambient_mbar: float
    heat: Heat
    expected: Sequence[Expected] = ()
    flask: Flask = field(default_factory=Flask)
    commanded: dict[str, bool] = field(default_factory=dict)
    signed: dict[str, set[str]] = field(default_factory=dict)
    flushed: set[str] = field(default_factory=set)
    trap_cold_ns: int | None = None
    deviations: list[str] = field(default_factory=list)
    step_id: str = ""
    stage: str = ""
    _tokens: Counter[str] = field(default_factory=Counter)
    _lingers_ns: dict[str, int] = field(default_factory=dict)
    stirring: Stirring = field(init=False)
    parks: bool = field(init=False)

    def __post_init__(self) -> None:
        """Take the stirrer from the rig, and park where a person can come."""
        self.parks = not self.simulated
        self.stirring = Stirring(self.rig.stirrer, by_person=self.rig.by_person("stirrer"))

    def event(
        self, code: str, message: str, data: Mapping[str, Scalar] | None = None, level: str = "info"
    ) -> None:
        """Write an event to the record and tell the listeners."""
        event = Event(self.clock.now_ns(), code, message, data or {}, level)
        self.record.event(event)
        self.bus.publish(event)

    def deviation(self, message: str) -> None:
        """Write down that the run departed from its recipe."""
        self.deviations.append(message)
        self.event("deviation", message, {"step": self.step_id}, "warning")

    def still_on(self, refused: str) -> None:
        """Return while the run goes on; a step that did not let go in time moves nothing more.

        Raises:
            AbortedError: the run has ended, or is on its way to its safe state.
        """
        if self.machine.state in _OVER:
            raise AbortedError(f"{refused}: the run is {self.machine.state.value}")

    def draw(self, label: str, volume_ml: float) -> None:
        """Take a sample off the ledger, and write it down."""
        self.shrink(volume_ml)
        self.event("drawn", f"{label}: {volume_ml:g} mL drawn", {"volume_ml": volume_ml})

    def shrink(self, volume_ml: float) -> None:
        """Let the flask hold so much less, of everything in it."""
        whole_ml = self.flask.volume_ml()
        if whole_ml > volume_ml:
            mixture = self.flask.mixture.scaled(1 - volume_ml / whole_ml)
            self.flask = replace(self.flask, mixture=mixture)

    def call(self, why: str) -> None:
        """Have somebody called: nobody answered, and the rig was brought to stand by itself."""
        names = ", ".join(self.plan.rig.model.site.call)
        self.event("call", f"call {names or 'somebody'}: {why}", {"who": names}, "error")

    def local(self) -> dt.datetime:
        """Return the rig's local time now."""
        return self.clock.local(self.clock.now_ns())

    @contextmanager
    def token(self, kind: str) -> Iterator[None]:
        """Expect a disturbance while open, and for a while after."""
        self._tokens[kind] += 1
        try:
            yield
        finally:
            self._tokens[kind] -= 1
            self._lingers_ns[kind] = self.clock.now_ns() + round(TOKEN_LINGERS_S * NS)

    def has_token(self, kind: str) -> bool:
        """Say whether a disturbance of a kind is expected now."""
        if self._tokens.get(kind, 0) > 0:
            return True
        lingers_ns = self._lingers_ns.get(kind)
        return lingers_ns is not None and self.clock.now_ns() < lingers_ns


@dataclass
class RunFacts:
    """What interlocks may know besides readings (see `interlocks.Facts`)."""

    run: Run

    @property
    def ambient_mbar(self) -> float:
        """The ambient pressure read at start."""
        return self.run.ambient_mbar

    def commanded(self, output: str) -> bool | None:
        """Return the commanded state of an output, or None before it was commanded or read."""
        return self.run.commanded.get(output)

    def attended(self) -> bool:
        """Say whether somebody is at the rig now."""
        return self.run.plan.rig.model.site.attended.covers(self.run.local())

    def trap_cold(self) -> bool | None:
        """Return whether the trap was said to be cold and the answer is still valid."""
        trap = self.run.plan.rig.model.trap
        if trap is None:
            return True
        if self.run.trap_cold_ns is None:
            return None
        age_s = (self.run.clock.now_ns() - self.run.trap_cold_ns) / NS
        return True if age_s <= trap.ask_level else None

    def keep_at_c(self, pump: str) -> float | None:
        """Return the temperature at which the reagent of a pump must be kept, 0 K if none is."""
        loads = [load for load in self.run.plan.scene.loads.values() if load.pump == pump]
        if not loads:
            return None
        return loads[0].keep_at_c if loads[0].keep_at_c is not None else ABSOLUTE_ZERO_C

    def signatures(self, pump: str) -> int:
        """Count the names that signed for the reagent of a pump in this run."""
        held = [load.name for load in self.run.plan.scene.loads.values() if load.pump == pump]
        return len(self.run.signed.get(held[0], ())) if held else 0

    def token(self, kind: str) -> bool:
        """Say whether a disturbance of a kind is expected now."""
        return self.run.has_token(kind)

    def state(self) -> str:
        """Return the run's state, in its word."""
        return self.run.machine.state.value
