"""Simulated instruments that answer bytes, one module each, and the world they share.

A simulator may import framing, twin, chemistry, capabilities, readings, units and errors of
labctl, and no driver: command tables are written twice, so that a wrong constant cannot cancel.
"""

import functools
from importlib.metadata import entry_points

from labctl.capabilities import Listing

CATALOG: dict[str, Listing] = {
    "alicat_mc": Listing("simulators.alicat_mc:SimAlicatMc"),
    "bronkhorst_elflow": Listing("simulators.bronkhorst_elflow:SimElflow"),
    "cavro_xcalibur": Listing("simulators.cavro_xcalibur:SimXCalibur"),
    "coherent_obis": Listing("simulators.coherent_obis:SimObis"),
    "eurotherm_3216": Listing("simulators.eurotherm_3216:SimEurotherm3216"),
    "eurotherm_3504": Listing("simulators.eurotherm_3216:SimEurotherm3504"),
    "harvard_elite11": Listing("simulators.harvard_elite11:SimElite11"),
    "heidolph_heiconnect": Listing("simulators.heidolph_heiconnect:SimHeiConnect"),
    "horiba_icl": Listing("simulators.horiba_icl:SimHoribaIcl"),
    "ika_rct": Listing("simulators.ika_rct:SimIkaRct"),
    "mks_901p": Listing("simulators.mks_901p:SimMks901p"),
    "mks_974b": Listing("simulators.mks_901p:SimMks974b"),
    "modbus_relay_8ch": Listing("simulators.modbus_relay_8ch:SimRelay8ch"),
    "newera_ne1000": Listing("simulators.newera_ne1000:SimNe1000"),
    "ocean_fx": Listing("simulators.ocean_obp:SimFx"),
    "ocean_hdx": Listing("simulators.ocean_obp:SimHdx"),
    "ocean_qepro": Listing("simulators.ocean_obp:SimQePro"),
    "ocean_sts": Listing("simulators.ocean_obp:SimSts"),
    "pfeiffer_ppt100": Listing("simulators.pfeiffer_ppt100:SimPpt100"),
    "pfeiffer_tpg361": Listing("simulators.pfeiffer_tpg362:SimTpg361"),
    "pfeiffer_tpg362": Listing("simulators.pfeiffer_tpg362:SimTpg362"),
    "pfeiffer_tpg366": Listing("simulators.pfeiffer_tpg362:SimTpg366"),
    "vacuubrand_cvc3000": Listing("simulators.vacuubrand_cvc3000:SimCvc3000"),
    "watlow_ezzone_pm": Listing("simulators.watlow_ezzone_pm:SimEzZonePm"),
    "wpi_al1000": Listing("simulators.newera_ne1000:SimAl1000"),
}


@functools.cache
def others() -> dict[str, Listing]:
    """Return the kinds of other packages, which have an entry point in `labctl.catalog`."""
    points = entry_points(group="labctl.catalog", name="simulators")
    return {kind: row for point in points for kind, row in point.load().items()}
