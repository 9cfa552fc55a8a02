"""The rows of a run's record, one frozen dataclass per table; `schema` makes the tables of them.

Each field carries its meaning and unit, which are written into every file and into the docs. Times
are int ns since the run began. A field that the digest leaves out is marked so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Union

from labctl.readings import Scalar

Json = Union[Scalar, "Sequence[Json]", "Mapping[str, Json]"]


def about(meaning: str, unit: str = "", *, digested: bool = True) -> dict[str, str | bool]:
    """Describe a column: what it means, its unit, and whether the digest covers it."""
    return {"meaning": meaning, "unit": unit, "digested": digested}


def aside(meaning: str, unit: str = "") -> dict[str, str | bool]:
    """Describe a column that the digest leaves out: wall time, paths, names of this machine."""
    return about(meaning, unit, digested=False)


@dataclass(frozen=True, slots=True)
class Assumed:
    """A value nobody measured or was told, and why it was taken."""

    name: str = field(metadata=about("name in the recipe"))
    value: str = field(metadata=about("the value as written, with its unit"))
    why: str = field(metadata=about("the reason given"))


@dataclass(frozen=True, slots=True)
class Lot:
    """One reagent as the batch sheet has it."""

    reagent: str = field(metadata=aside("name in the recipe"))
    substance: str = field(metadata=aside("what it is, as the recipe says"))
    lot: str = field(default="", metadata=aside("lot, as typed"))
    concentration_mol_l: float | None = field(
        default=None, metadata=aside("concentration", "mol/L")
    )
    kind: str = field(
        default="typed", metadata=aside("where the concentration comes from: typed, assumed, …")
    )
    by: str = field(default="", metadata=aside("the pump that holds it, or `hand`"))
    made: str = field(default="", metadata=aside("date it was made, as typed"))


@dataclass(frozen=True, slots=True)
class RunRow:
    """The run itself; one row."""

    id: str = field(metadata=aside("run id: local start, recipe, four letters"))
    recipe_name: str = field(metadata=aside("title of the recipe"))
    recipe_path: str = field(metadata=aside("where the recipe was read from"))
    recipe_text: str = field(metadata=aside("the recipe, byte for byte"))
    recipe_sha256: str = field(
        metadata=aside("SHA-256 of the recipe's text and of the files it uses")
    )
    rig_name: str = field(metadata=aside("name of the rig"))
    rig_text: str = field(metadata=aside("the rig file, byte for byte"))
    batch_text: str = field(metadata=aside("the batch sheet, byte for byte"))
    seed: int = field(metadata=aside("seed of everything random"))
    versions: Json = field(metadata=aside("software, by name"))
    choices: Json = field(metadata=aside("values chosen for this run, by name"))
    operator: str = field(metadata=aside("who ran it"))
    sample: str = field(metadata=aside("sample id"))
    simulated: bool = field(metadata=about("1 if the instruments were simulated"))
    started_local: str = field(metadata=aside("local time at the start, ISO 8601"))
    state: str = field(default="starting", metadata=about("state of the run, one of the machine's"))
    outcome: str | None = field(default=None, metadata=about("how it ended; empty until then"))
    end_ns: int | None = field(default=None, metadata=about("when it ended", "ns"))
    product: Json = field(default=None, metadata=about("the simulated truth; dry runs only"))
    wall_s: float | None = field(default=None, metadata=aside("what the run took to compute", "s"))
    digest: str | None = field(default=None, metadata=aside("SHA-256 over the digested columns"))


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One stream of readings."""

    id: int = field(metadata=about("number used in `reading`"))
    name: str = field(metadata=about("DEVICE.READING or a signal's name"))
    dimension: str = field(metadata=about("what is measured"))
    unit: str = field(metadata=about("canonical unit of the values"))
    low: float | None = field(metadata=about("below this it is not trusted", "the channel's"))
    high: float | None = field(metadata=about("above this it is not trusted", "the channel's"))
    kind: str = field(metadata=about("commanded, measured, typed or assumed"))


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """One value of one channel."""

    t_ns: int = field(metadata=about("when it was read", "ns"))
    channel: int = field(metadata=about("`channel.id`"))
    value: float | None = field(metadata=about("the value; NULL is no reading", "the channel's"))
    quality: int = field(metadata=about("0 good, 1 uncertain, 2 bad"))


@dataclass(frozen=True, slots=True)
class AxisRow:
    """Wavelengths shared by spectra."""

    id: int = field(metadata=about("number used in `spectrum`"))
    nm: bytes = field(metadata=about("little-endian float64, ascending", "nm"))


@dataclass(frozen=True, slots=True)
class SpectrumRow:
    """One spectrum: raw counts, or values computed from them."""

    id: int = field(metadata=about("number of the spectrum"))
    t_ns: int = field(metadata=about("when the exposure ended", "ns"))
    source: str = field(metadata=about("device"))
    kind: str = field(
        metadata=about("sample, dark, reference, pl (counts), absorbance (AU), `cuvette …`")
    )
    axis: int = field(metadata=about("`axis.id`"))
    integration_s: float | None = field(metadata=about("exposure; NULL if computed", "s"))
    averages: int | None = field(metadata=about("exposures averaged"))
    boxcar: int | None = field(metadata=about("pixels averaged to each side"))
    max_counts: int | None = field(metadata=about("top of the converter", "counts"))
    encoding: str = field(metadata=about("u2, u4 (counts) or f4 (computed), little-endian"))
    counts: bytes = field(metadata=about("one number per wavelength", "counts, or AU"))


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step as it ran; a step tried again is a further row."""

    seq: int = field(metadata=about("order of starting"))
    id: str = field(metadata=about("id in the recipe, or STAGE.N"))
    verb: str = field(metadata=about("verb of the recipe"))
    stage: str = field(metadata=about("stage of the recipe"))
    parent: str = field(metadata=about("id of the step it runs under, or empty"))
    summary: str = field(metadata=about("the step in words"))
    planned_s: float | None = field(metadata=about("what it was expected to take", "s"))
    start_ns: int = field(metadata=about("when it started", "ns"))
    clock_ns: int | None = field(default=None, metadata=about("when its `since` began", "ns"))
    end_ns: int | None = field(default=None, metadata=about("when it ended", "ns"))
    state: str = field(
        default="running", metadata=about("running, done, failed, skipped, cancelled")
    )


@dataclass(frozen=True, slots=True)
class DoseRow:
    """One addition; the row is rewritten as the dose proceeds."""

    id: str = field(metadata=about("id of the dose; never given twice"))
    reagent: str = field(metadata=about("name in the recipe"))
    by: str = field(metadata=about("pump, or `hand`"))
    kind: str = field(metadata=about("charge, injection or prime"))
    into_: str = field(metadata=about("flask, or the name of a waste bottle"))
    state: str = field(metadata=about("starting, running, held, done, refused, unknown"))
    start_ns: int = field(metadata=about("when it started", "ns"))
    end_ns: int | None = field(default=None, metadata=about("when it ended", "ns"))
    flask_c: float | None = field(default=None, metadata=about("flask when it started", "°C"))
    commanded_ml: float | None = field(default=None, metadata=about("volume commanded", "mL"))
    delivered_ml: float | None = field(
        default=None,
        metadata=about("what left the needle by the pump's own counter, or typed", "mL"),
    )
    amount_mmol: float | None = field(default=None, metadata=about("amount commanded", "mmol"))


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One decision on a track, with what it rests on."""

    id: int = field(metadata=about("number used in `decision_input`"))
    step: str = field(metadata=about("id of the step that waited for it"))
    kind: str = field(metadata=about("saturated, reaches, steady or baseline"))
    track: str = field(metadata=about("name of the track"))
    start_ns: int = field(metadata=about("when watching began", "ns"))
    verdict: str | None = field(default=None, metadata=about("state of the verdict, or timeout"))
    at_ns: int | None = field(default=None, metadata=about("when it was decided", "ns"))
    reason: str = field(default="", metadata=about("why, in words"))
    evidence: Json = field(default=None, metadata=about("the numbers behind it, units in names"))


@dataclass(frozen=True, slots=True)
class InputRow:
    """One estimate a decision saw."""

    decision: int = field(metadata=about("`decision.id`"))
    t_ns: int = field(metadata=about("when it was measured", "ns"))
    raw_nm: float | None = field(metadata=about("peak at the flask's temperature", "nm"))
    peak_nm: float | None = field(metadata=about("peak on the 25 °C scale", "nm"))
    sigma_nm: float | None = field(metadata=about("standard deviation of the peak", "nm"))
    temperature_c: float | None = field(metadata=about("flask", "°C"))
    hold: bool = field(metadata=about("1 while the reaction was disturbed or paused"))
    used: bool = field(metadata=about("1 if the detector used it"))
    band_nm: float | None = field(
        default=None, metadata=about("doubt of the coefficient from 25 °C to here, as sd", "nm")
    )


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that happened."""

    seq: int = field(metadata=about("order of events"))
    t_ns: int = field(metadata=about("when", "ns"))
    level: str = field(metadata=about("info, warning or error"))
    code: str = field(metadata=about("dotted code; `deviation` departs from the recipe"))
    message: str = field(metadata=about("the sentence for a person"))
    data: Json = field(metadata=about("the numbers behind it, units in names"))


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """An interlock that was violated, or a departure from what was expected."""

    seq: int = field(metadata=about("order of alarms"))
    id: str = field(metadata=about("id of the interlock, or `expected.heating` and the like"))
    severity: str = field(metadata=about("trip, freeze, inhibit or warn"))
    t_on_ns: int = field(metadata=about("when it came", "ns"))
    message: str = field(metadata=about("the sentence for a person"))
    t_off_ns: int | None = field(default=None, metadata=about("when it went", "ns"))


@dataclass(frozen=True, slots=True)
class QuestionRow:
    """Something a person was asked, and the answer."""

    id: int = field(metadata=about("order of questions"))
    t_ns: int = field(metadata=about("when it was asked", "ns"))
    text: str = field(metadata=about("the question"))
    choices: Json = field(metadata=about("what could be chosen"))
    default_: str = field(metadata=about("what happens without an answer"))
    answer: str | None = field(default=None, metadata=about("what was chosen or typed"))
    by: str = field(default="", metadata=about("who answered"))
    at_ns: int | None = field(default=None, metadata=about("when it was answered", "ns"))
    simulated: bool = field(default=False, metadata=about("1 if the simulated operator answered"))


@dataclass(frozen=True, slots=True)
class IntentRow:
    """An actuation, written down durably before its bytes went out."""

    id: int = field(metadata=about("order of intents"))
    t_ns: int = field(metadata=about("when it was intended", "ns"))
    kind: str = field(metadata=about("what kind of actuation"))
    data: Json = field(metadata=about("what was intended, units in names"))
    state: str = field(default="starting", metadata=about("starting, done, refused or unknown"))
    end_ns: int | None = field(default=None, metadata=about("when it was settled", "ns"))
    result: Json = field(default=None, metadata=about("what came of it"))


@dataclass(frozen=True, slots=True)
class CommandRow:
    """A command of a person, accepted or not."""

    t_ns: int = field(metadata=about("when it came", "ns"))
    actor: str = field(metadata=about("who gave it"))
    verb: str = field(metadata=about("pause, freeze, park, resume, …"))
    accepted: bool = field(metadata=about("1 if it was obeyed"))
    reason: str = field(metadata=about("why not, or what it led to"))


@dataclass(frozen=True, slots=True)
class AnchorRow:
    """Ties run time to the clocks of the world."""

    t_ns: int = field(metadata=aside("run time", "ns"))
    utc: str = field(metadata=aside("the machine's UTC, ISO 8601"))
    local: str = field(metadata=aside("the rig's local time, ISO 8601; virtual in a dry run"))


@dataclass(frozen=True, slots=True)
class ArtefactRow:
    """A text kept with the run."""

    name: str = field(metadata=aside("file name"))
    sha256: str = field(metadata=aside("SHA-256 of the text"))
    text: str = field(metadata=aside("the text"))
