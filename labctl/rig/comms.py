"""What happens when an instrument falls silent: after how long, and what is done then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labctl.rig.devices import (
    Entry,
    GaugeEntry,
    HeaterEntry,
    OnLost,
    PumpEntry,
    SpectrometerEntry,
    StirrerEntry,
)
from labctl.rig.model import LoadedRig


@dataclass(frozen=True, slots=True)
class CommsPolicy:
    """Told as degraded after `degraded_s` without an answer, lost after `lost_s`; s.

    `poll_s` is the longest time between two questions, or None where others decide it.
    """

    degraded_s: float
    lost_s: float
    on_lost: OnLost
    poll_s: float | None = None


DEFAULTS: Mapping[type[Entry], CommsPolicy] = {
    HeaterEntry: CommsPolicy(2.0, 5.0, "safe state"),
    GaugeEntry: CommsPolicy(3.0, 10.0, "shut vacuum"),
    PumpEntry: CommsPolicy(1.0, 2.0, "end dose"),
    StirrerEntry: CommsPolicy(3.0, 10.0, "freeze"),
    SpectrometerEntry: CommsPolicy(10.0, 30.0, "tell"),
}
WARMS = CommsPolicy(10.0, 20.0, "safe state")
OTHERS = CommsPolicy(10.0, 30.0, "tell")


def policy_of(rig: LoadedRig, name: str) -> CommsPolicy:
    """Return the policy of a device: what the rig file says, else what is usual for its kind.

    A heater that does not heat the flask (a warm line) is looked at less often.
    """
    entry = rig.model.devices[name]
    usual = DEFAULTS.get(type(entry), OTHERS)
    if isinstance(entry, HeaterEntry) and name != rig.entry("heater")[0]:
        usual = WARMS
    return CommsPolicy(
        usual.degraded_s if entry.degraded_after is None else entry.degraded_after,
        usual.lost_s if entry.lost_after is None else entry.lost_after,
        usual.on_lost if entry.on_lost is None else entry.on_lost,
        usual.poll_s if entry.poll is None else entry.poll,
    )
