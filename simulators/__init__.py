"""Simulated instruments that answer bytes, one module each, and the world they share.

A simulator may import framing, twin, chemistry, capabilities, readings, units and errors of
labctl, and no driver: command tables are written twice, so that a wrong constant cannot cancel.
"""

from labctl.capabilities import Listing

CATALOG: dict[str, Listing] = {
    "cavro_xcalibur": Listing("simulators.cavro_xcalibur:SimXCalibur"),
    "coherent_obis": Listing("simulators.coherent_obis:SimObis"),
    "eurotherm_3216": Listing("simulators.eurotherm_3216:SimEurotherm3216"),
    "harvard_elite11": Listing("simulators.harvard_elite11:SimElite11"),
    "ika_rct": Listing("simulators.ika_rct:SimIkaRct"),
    "modbus_relay_8ch": Listing("simulators.modbus_relay_8ch:SimRelay8ch"),
    "newera_ne1000": Listing("simulators.newera_ne1000:SimNe1000"),
    "ocean_hdx": Listing("simulators.ocean_obp:SimHdx"),
    "ocean_qepro": Listing("simulators.ocean_obp:SimQePro"),
    "pfeiffer_tpg362": Listing("simulators.pfeiffer_tpg362:SimTpg362"),
    "vacuubrand_cvc3000": Listing("simulators.vacuubrand_cvc3000:SimCvc3000"),
    "wpi_al1000": Listing("simulators.newera_ne1000:SimAl1000"),
}
