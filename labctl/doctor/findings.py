"""What the doctor finds: remarks with what to do, and what was seen of ports and devices."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from labctl.capabilities import Look


class Level(StrEnum):
    """How much a remark weighs: with one that says unfit, no run should begin."""

    NOTE = "note"
    UNFIT = "unfit"


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to say: of a device, a port or the machine; what is the matter; what to do."""

    of: str
    says: str
    do: str = ""
    level: Level = Level.UNFIT


@dataclass(frozen=True, slots=True)
class Latency:
    """How long replies took, in ms: the median and the worst of `questions`."""

    median_ms: float
    worst_ms: float
    questions: int

    @classmethod
    def of(cls, times_ns: Sequence[int]) -> Latency | None:
        """Sum up times in ns; None where there are none.

        >>> Latency.of([2_000_000, 4_000_000, 9_000_000])
        Latency(median_ms=4.0, worst_ms=9.0, questions=3)
        """
        if not times_ns:
            return None
        median_ms = statistics.median(times_ns) / 1e6
        return cls(round(median_ms, 2), round(max(times_ns) / 1e6, 2), len(times_ns))


@dataclass(frozen=True, slots=True)
class DeviceSeen:
    """What was seen of one device; `look` is None where it did not answer as it should."""

    name: str
    kind: str
    port: str
    look: Look | None = None
    latency: Latency | None = None


@dataclass(frozen=True, slots=True)
class PortSeen:
    """What was seen of one port: where it is, its line, other names of it, who has it open."""

    name: str
    where: str
    line: str = ""
    also: tuple[str, ...] = ()
    users: tuple[tuple[int, str], ...] = ()
    opened: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """Everything found; `machine` says in words what is neither port nor device."""

    rig: str = ""
    devices: tuple[DeviceSeen, ...] = ()
    ports: tuple[PortSeen, ...] = ()
    machine: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()

    @property
    def fit(self) -> bool:
        """Whether nothing speaks against a run."""
        return all(remark.level is not Level.UNFIT for remark in self.remarks)
