"""What a step may touch: the plan-time scene it is judged against, and the bench it runs on.

Steps know neither drivers nor the engine; they ask for capabilities by role, for doses, for waits
and for people. What a step does through the bench is recorded, gated by interlocks, frozen and
abandoned for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

from labctl.capabilities import VacuumPump
from labctl.chemistry.flask import Flask
from labctl.chemistry.reagent import Composition, contents_of, volume_for_ml
from labctl.readings import Scalar

if TYPE_CHECKING:
    from labctl.clock import Clock  # steps are checked without an event loop


class Resume(StrEnum):
    """What may be done with a step after a crash."""

    IDEMPOTENT = "idempotent"
    CONTINUE = "continue"
    ASK = "ask"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A reagent as it stands at the rig today; volumes in mL, concentration in mol/L.

    `pump` is empty when it is added by hand. `fraction` is what share of a commanded volume the
    pump delivers (by weight); rates in mL/min.
    """

    name: str
    composition: Composition
    concentration_mol_l: float | None
    pump: str = ""
    drawn_ml: float = 0.0
    dead_ml: float = 0.0
    hold_up_ml: float = 0.0
    syringe_ml: float = 0.0
    fraction: float = 1.0
    rates_ml_min: tuple[float, float] = (0.0, 0.0)
    keep_at_c: float | None = None
    valve: str = ""
    warmed_by: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known before a run: vessel, reagents, limits. Volumes in mL, power in W.

    `sample_every_s` is 0 where a spectrometer sits in the loop.
    """

    vessel_ml: float
    glass_j_k: float
    heater_w: float
    max_c: float
    ambient_mbar: float
    loads: Mapping[str, Loaded]
    person_turns_valves: bool
    sample_every_s: float

    def volume_ml(self, reagent: str, amount_mmol: float | None, volume_ml: float | None) -> float:
        """Return the volume of a dose, from its amount and today's concentration if need be."""
        if volume_ml is not None:
            return volume_ml
        load = self.loads[reagent]
        return volume_for_ml(load.composition, amount_mmol or 0.0, load.concentration_mol_l)

    def contents(self, reagent: str, volume_ml: float) -> Mapping[str, float]:
        """Return what a volume of a reagent brings, in mmol by substance."""
        load = self.loads[reagent]
        return contents_of(load.composition, volume_ml, load.concentration_mol_l)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a step is expected to take: s, and how much of it needs a person's hands.

    `timeout_s` is when the step is taken to have failed; 0 where it cannot hang.
    """

    duration_s: float
    timeout_s: float = 0.0
    hands: str = ""


@dataclass(frozen=True, slots=True)
class DoseRequest:
    """One addition: mL (before any calibration), into the flask or a waste bottle.

    `over_s` is how long the addition takes; `keep_above_c` pauses it while the flask is colder.
    """

    id: str
    reagent: str
    volume_ml: float
    amount_mmol: float | None = None
    over_s: float = 0.0
    by_hand: bool = False
    kind: Literal["charge", "injection", "prime"] = "injection"
    into: str = "flask"
    keep_above_c: float | None = None
    button: bool = False
    dip_k: tuple[float, float] | None = None
    extra: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """Something a person decides; the default is never the choice that proceeds."""

    text: str
    choices: tuple[str, ...] = ()
    default: str = ""
    after_s: float | None = None
    simulated: str = ""
    dimension: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was decided: the choice, or the value asked for."""

    choice: str
    value: float | None = None
    by_default: bool = False


@dataclass(frozen=True, slots=True)
class Criterion:
    """What a decision on a tracked quantity waits for.

    `kind` is saturated, reaches or steady. nm and s; `target_nm` and `rising` belong to reaches,
    `slower_than_nm_min` to steady; `lead_s` is how long growth goes on after `reaches`, at the
    present rate. `settings` go to the detector by name.
    """

    kind: Literal["saturated", "reaches", "steady"]
    track: str
    timeout_s: float
    since: str = ""
    target_nm: float = 0.0
    rising: bool = True
    lead_s: float = 0.0
    slower_than_nm_min: float = 0.0
    not_before_s: float = 0.0
    also_flat: str = ""
    settings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Aimed:
    """A target that a decision stopped for: nm at 25 °C, the lead in s, the rate then in nm/s."""

    target_nm: float
    rising: bool
    lead_s: float
    rate_nm_s: float


@dataclass(frozen=True, slots=True)
class Ruling:
    """How a decision ended: the verdict's state (or `timeout`), and why in words.

    `aimed` is the target that was reached, if there was one.
    """

    state: str
    reason: str
    aimed: Aimed | None = None


class Heater(Protocol):
    """What heats the flask."""

    async def ramp(self, setpoint_c: float, rate_k_min: float) -> None:
        """Go to a setpoint in °C at a rate in K/min; 0 K/min means as fast as it can."""
        ...


class Stirs(Protocol):
    """What turns the bar."""

    async def stir(self, speed_rpm: float) -> None:
        """Turn at a speed in rpm; 0 stops."""
        ...


class Bench(Protocol):
    """What a running step may touch."""

    scene: Scene
    clock: Clock
    heater: Heater
    stirrer: Stirs
    rough: VacuumPump
    step_id: str

    def value(self, signal: str) -> float | None:
        """Return the latest good reading of a signal, in its canonical unit, or None."""
        ...

    async def measure(self, signal: str) -> float | None:
        """Return a signal now, having a person read it off where no device does."""
        ...

    def bounds(self, signal: str) -> tuple[float, float] | None:
        """Return between what a signal lies: a gauge below its trusted range tells only that."""
        ...

    def elapsed_s(self) -> float:
        """Return s on the run's own clock, which stands while the run is frozen."""
        ...

    def since_s(self, anchor: str) -> float:
        """Return when an anchor (`ID.start`, `ID.end`, a baseline's name) was, in elapsed s.

        Raises:
            StepFailedError: the anchor has not happened.
        """
        ...

    def condition(self, text: str) -> Callable[[], bool | None]:
        """Compile a condition over the rig's signals."""
        ...

    async def wait(
        self,
        waits_for: str,
        until: Callable[[], bool | None],
        timeout_s: float,
        *,
        reads: Sequence[str] = (),
        ends_s: float | None = None,
    ) -> bool:
        """Wait until a condition holds; return False at the timeout. Both in elapsed time.

        `reads` are signals a person may have to read off; `ends_s` is when it is expected to end,
        for the countdown.
        """
        ...

    async def valve(self, name: str, *, open_: bool) -> None:
        """Turn a valve of the manifold: `n2`, `vac_rough`, `vac_fine`."""
        ...

    async def switch(self, role: str, *, on: bool) -> None:
        """Switch a role bound to an output: `jack`, `fan`, `fine`, `shutter`, `beacon`."""
        ...

    def has(self, role: str) -> bool:
        """Say whether the rig binds a role."""
        ...

    async def dose(self, request: DoseRequest) -> float:
        """Give one dose; return the delivered mL. Never given twice.

        Raises:
            StepFailedError: the pump stopped short, or the dose is unknown.
        """
        ...

    async def dose_together(self, requests: Sequence[DoseRequest]) -> None:
        """Give several doses at once; when one fails, all stop.

        Raises:
            StepFailedError: one of them failed.
        """
        ...

    def dip_k(self) -> float:
        """Return how far the flask fell since the last injection began, in K."""
        ...

    def extra_s(self) -> float:
        """Return what people have added to the present wait, in s."""
        ...

    def resumed_s(self) -> float | None:
        """Return when the running step's own clock began before the run was cut off, if it did."""
        ...

    def clock_started(self, at_s: float) -> None:
        """Tell when the running step's own clock began, in elapsed s."""
        ...

    def first_true_s(self, text: str) -> float | None:
        """Return when a condition first held since the preceding step began, if it did."""
        ...

    def anchor(self, peak_nm: float) -> None:
        """Anchor the 25 °C scale of the peak on a cold measurement."""
        ...

    def shift_per_round_nm(self) -> float | None:
        """Return the mean shift per round of the running repeat, once there is one."""
        ...

    async def ask(self, question: Question) -> Answer:
        """Ask a person to decide."""
        ...

    async def confirm(
        self,
        items: Sequence[str],
        *,
        signatures: int = 1,
        subject: str = "",
        after_s: float | None = None,
    ) -> None:
        """Have a list signed by one or two people, within so many s."""
        ...

    async def hand(self, text: str, subject: str, amount: float | None = None) -> None:
        """Have a person do something with their hands and say when it is done."""
        ...

    async def reference(self, track: str) -> None:
        """Take the lamp reference of a track's spectrometer, in the solvent before the dots."""
        ...

    async def warm_lines(self) -> None:
        """Heat the line that is kept warm, to the warmest of what it holds."""
        ...

    async def lamp(self, over_s: float) -> tuple[float, float]:
        """Watch the lamp for s: share of the detector's range, drift as a fraction per minute.

        Raises:
            StepFailedError: no spectrometer looks at a lamp.
        """
        ...

    async def baseline(self, tracks: Sequence[str], name: str, for_s: float) -> None:
        """Measure the level of tracks before a dose and keep it under a name."""
        ...

    async def decide(self, criterion: Criterion) -> Ruling:
        """Watch a track until a criterion holds, cannot hold, or times out; keep the evidence."""
        ...

    def landed(self) -> None:
        """Tell where the peak came to rest, if a target was reached before."""
        ...

    async def aliquot(self, label: str, volume_ml: float, into: str) -> None:
        """Have an aliquot drawn; the ledger shrinks, the label goes to the record."""
        ...

    def learning(self) -> AbstractContextManager[None]:
        """While open, learn the peak's temperature coefficient from this cool-down."""
        ...

    def token(self, kind: Literal["injection", "quench"]) -> AbstractContextManager[None]:
        """While open, tell the interlocks that a disturbance is expected."""
        ...

    async def children(self, steps: Sequence[object], name: str, *, trim: float = 1.0) -> None:
        """Run sub-steps, each recorded under this step's id; `trim` scales their doses."""
        ...

    async def off(self) -> None:
        """Switch the heater off."""
        ...

    def note(self, code: str, message: str, **data: Scalar) -> None:
        """Write an event to the record."""
        ...

    def deviation(self, message: str) -> None:
        """Write down that the run departed from its recipe (exit 4)."""
        ...

    def flask(self) -> Flask:
        """Return the flask as the ledger of delivered doses knows it."""
        ...
