"""What every unit of the soak is asked to do, how often, and what it must then read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from labctl.capabilities import SyringePump

RATES_HZ = {
    "eurotherm_3216": 10.0,
    "eurotherm_3504": 10.0,
    "heidolph_heiconnect": 2.0,
    "vacuubrand_cvc3000": 2.0,
    "horiba_icl": 1.0,
    "ocean_fx": 2.0,
    "ocean_hdx": 2.0,
    "ocean_qepro": 1.0,
    "ocean_sts": 1.0,
}
USUAL_HZ, SHARED_HZ = 5.0, 2.0


@dataclass(frozen=True, slots=True)
class Sense:
    """A channel that follows a wave: what it touches, and how far off it may be."""

    touch: str
    off: float = 0.0
    share: float = 0.0


SEES: dict[str, dict[str, Sense]] = {
    "alicat_mc": {"pressure": Sense("pressure", 0.5)},
    "eurotherm_3216": {"pv": Sense("probe", 0.4)},
    "eurotherm_3504": {"pv": Sense("probe", 0.4)},
    "heidolph_heiconnect": {"probe2": Sense("probe2", 0.06)},
    "ika_rct": {"probe2": Sense("probe2", 0.06)},
    "mks_901p": {"flask": Sense("4", share=0.03)},
    "mks_974b": {"line": Sense("4", share=0.03)},
    "modbus_relay_8ch": {"hood_flow": Sense("hood_flow")},
    "pfeiffer_ppt100": {"line": Sense("1", share=0.02)},
    "pfeiffer_tpg361": {"flask": Sense("1", 0.02, 0.004)},
    "pfeiffer_tpg362": {"flask": Sense("1", 0.02, 0.004), "line": Sense("2", share=0.06)},
    "pfeiffer_tpg366": {"line": Sense("5", share=0.06)},
    "vacuubrand_cvc3000": {"pressure": Sense("pressure", 1.1)},
    "watlow_ezzone_pm": {"pv": Sense("probe", 0.4)},
}


@dataclass(frozen=True, slots=True)
class Act:
    """Something to do, and what channels read `after_s` later, within `off`."""

    do: Callable[[Any], Awaitable[None]]
    settles: Mapping[str, float] = field(default_factory=dict)
    after_s: float = 0.0
    off: float = 0.0


async def _dose(pump: SyringePump) -> None:
    await pump.reset_counter()
    await pump.infuse(0.02, 2.0)


def _stirs(speed_rpm: float) -> Act:
    return Act(lambda device: device.stir(speed_rpm), {"speed": speed_rpm}, 12.0, 1.5)


def _heats(setpoint_c: float) -> Act:
    return Act(lambda device: device.ramp(setpoint_c, 0.0), {"setpoint": setpoint_c}, 0.5, 0.06)


def _flows(flow_sccm: float) -> Act:
    found = {"flow": flow_sccm, "setpoint": flow_sccm}
    return Act(lambda device: device.set_flow(flow_sccm), found, 10.0, 0.05)


def _shines(power_mw: float) -> Act:
    found = {"power": power_mw, "emitting": float(power_mw > 0)}
    return Act(lambda device: device.shine(power_mw), found, 8.0, 0.08)


def _switches(on: bool) -> Act:
    return Act(lambda device: device.switch("n2", on), {"n2": float(on)}, 0.5, 0.0)


_PUMPING = (Act(_dose, {"dispensed": 0.02, "infusing": 0.0}, 8.0, 0.003),)
_HEATING, _FLOWING = (_heats(60.0), _heats(70.0)), (_flows(25.5), _flows(10.0))
_STIRRING = (_stirs(600.0), _stirs(300.0))
ACTS: dict[str, tuple[Act, ...]] = {
    "alicat_mc": _FLOWING,
    "bronkhorst_elflow": _FLOWING,
    "cavro_xcalibur": _PUMPING,
    "coherent_obis": (_shines(5.0), _shines(0.0)),
    "eurotherm_3216": _HEATING,
    "eurotherm_3504": _HEATING,
    "harvard_elite11": _PUMPING,
    "heidolph_heiconnect": _STIRRING,
    "horiba_icl": (Act(lambda device: device.acquire(0)),),
    "ika_rct": _STIRRING,
    "modbus_relay_8ch": (_switches(True), _switches(False)),
    "newera_ne1000": _PUMPING,
    "watlow_ezzone_pm": _HEATING,
    "wpi_al1000": _PUMPING,
}
