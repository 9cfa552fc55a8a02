"""How far each instrument is proven, rule by rule; `labctl devices` and the reference show it.

What can be seen by a machine is checked by `tests/test_quality.py`, both ways: nothing is called
done that is not, and nothing done is called open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from labctl.capabilities import Proof

RULES: Final[Mapping[str, str]] = {
    "page": "a page says wiring, settings at the panel, limits and traps",
    "simulator": "a simulator answers its bytes",
    "same_bytes": "the same bytes in memory, on a pty and over TCP",
    "look": "it can be looked at, and nothing is set by that",
    "driver_fuzz": "any reply at all ends in a value or a sentence of the driver",
    "simulator_fuzz": "any bytes at all leave the simulator standing",
    "late_reply": "a late reply never answers the next question",
    "client": "a client nobody here wrote drives the simulator",
    "limits": "what is out of range is refused before it is sent",
    "unit": "the unit on the wire is read, not assumed",
    "watchdog": "its own watchdog is armed on connecting, where the rig file asks for it",
    "last_will": "frames sent blind make it safe",
    "capture": "a capture is replayed against driver and simulator",
    "hardware": "a run on the real instrument has been reported",
}
"""What is asked of every instrument, in the order of a table."""

DONE: Final = Proof("done")
UNSEEN: Final = Proof("todo", "nobody has reported one")
LOOKS: Final = Proof("exempt", "it only looks, nothing can be unsafe")
NO_WATCHDOG: Final = Proof("exempt", "the instrument has none that counts a silent line")
REMOTE_ONLY: Final = Proof("exempt", "it watches a remote setpoint only, which labctl does not use")
WRITTEN: Final = Proof("exempt", "each number on the wire carries its unit, and it is checked")
ONE_UNIT: Final = Proof("exempt", "the protocol has one unit for each quantity")
COUNTS: Final = Proof("exempt", "what is on the wire has no unit: counts, places or coils")
SETS_NOTHING: Final = Proof("exempt", "nothing is ever set")


def _client(name: str, test: str) -> Proof:
    """A stranger's client and the test that runs it, below tests/simulators."""
    return Proof("done", f"{name} in tests/simulators/{test}.py")


def _row(client: Proof, **otherwise: Proof) -> Mapping[str, Proof]:
    return dict.fromkeys(RULES, DONE) | {"client": client, "hardware": UNSEEN} | otherwise


def _gauge(client: Proof, **otherwise: Proof) -> Mapping[str, Proof]:
    return _row(client, watchdog=NO_WATCHDOG, last_will=LOOKS, **otherwise)


def _spectrometer(client: Proof, **otherwise: Proof) -> Mapping[str, Proof]:
    return _gauge(client, **{"unit": COUNTS, **otherwise})


_STRANGERS: Final = "test_pumps_with_strangers"

QUALITY: Final[Mapping[str, Mapping[str, Proof]]] = {
    "alicat_mc": _row(_client("alicat", "test_alicat_mc"), watchdog=NO_WATCHDOG),
    "bronkhorst_elflow": _row(_client("propar", "test_bronkhorst_elflow"), watchdog=NO_WATCHDOG),
    "cavro_xcalibur": _row(_client("labmcp_cavro", _STRANGERS), watchdog=NO_WATCHDOG, unit=COUNTS),
    "coherent_obis": _row(
        _client("microscope", "test_coherent_obis"), watchdog=NO_WATCHDOG, unit=ONE_UNIT
    ),
    "eurotherm_3216": _row(_client("minimalmodbus", "test_serve"), watchdog=REMOTE_ONLY),
    "eurotherm_3504": _row(
        Proof("todo", "minimalmodbus drives the 3216, which answers alike"), watchdog=REMOTE_ONLY
    ),
    "harvard_elite11": _row(_client("flowchem", _STRANGERS), watchdog=NO_WATCHDOG, unit=WRITTEN),
    "heidolph_heiconnect": _row(_client("flowchem", "test_heidolph_heiconnect"), unit=ONE_UNIT),
    "horiba_icl": _spectrometer(_client("horiba_sdk", "test_horiba_icl"), unit=WRITTEN),
    "ika_rct": _row(_client("matterlab_hotplates", "test_ika_rct"), unit=ONE_UNIT),
    "mks_901p": _gauge(Proof("todo", "PyMeasure drives the 974B, which answers alike")),
    "mks_974b": _gauge(_client("pymeasure", "test_mks_901p")),
    "modbus_relay_8ch": _row(_client("pymodbus", "test_serve"), watchdog=NO_WATCHDOG, unit=COUNTS),
    "newera_ne1000": _row(_client("nesp_lib", _STRANGERS), unit=WRITTEN),
    "ocean_fx": _spectrometer(_client("seabreeze", "test_ocean_obp")),
    "ocean_hdx": _spectrometer(_client("seabreeze", "test_ocean_obp")),
    "ocean_qepro": _spectrometer(_client("seabreeze", "test_ocean_obp")),
    "ocean_sts": _spectrometer(_client("seabreeze", "test_ocean_obp")),
    "pfeiffer_ppt100": _gauge(_client("pfeiffer_vacuum_protocol", "test_pfeiffer_ppt100")),
    "pfeiffer_tpg361": _gauge(_client("hvl_ccb", "test_pfeiffer_tpg362"), limits=SETS_NOTHING),
    "pfeiffer_tpg362": _gauge(_client("hvl_ccb", "test_pfeiffer_tpg362"), limits=SETS_NOTHING),
    "pfeiffer_tpg366": _gauge(_client("hvl_ccb", "test_pfeiffer_tpg362"), limits=SETS_NOTHING),
    "vacuubrand_cvc3000": _row(
        _client("flowchem", "test_vacuubrand_cvc3000"), watchdog=NO_WATCHDOG
    ),
    "watlow_ezzone_pm": _row(_client("pywatlow", "test_watlow_ezzone_pm"), watchdog=NO_WATCHDOG),
    "wpi_al1000": _row(
        Proof("todo", "NESP-Lib drives the NE-1000, which answers alike"), unit=WRITTEN
    ),
}
