"""Drivers of real instruments, one module each; the CATALOG names them for rig files.

A driver turns a capability (see `labctl.capabilities`) into its instrument's bytes. It may import
framing, transport, capabilities, readings, units and errors of labctl, and no other driver.
"""

from labctl.capabilities import Listing

CATALOG: dict[str, Listing] = {
    "cavro_xcalibur": Listing(
        "drivers.cavro_xcalibur:CavroXCalibur", "Tecan", "Cavro XCalibur", ("pump",), "9600 8N1"
    ),
    "coherent_obis": Listing(
        "drivers.coherent_obis:CoherentObis", "Coherent", "OBIS LX/LS", ("excitation",), "tcp"
    ),
    "eurotherm_3216": Listing(
        "drivers.eurotherm_3216:Eurotherm3216", "Eurotherm", "3216", ("heater", "warm_line")
    ),
    "harvard_elite11": Listing(
        "drivers.harvard_elite11:HarvardElite11",
        "Harvard Apparatus",
        "Pump 11 Elite, PHD Ultra",
        ("pump",),
        "115200 8N1",
    ),
    "ika_rct": Listing("drivers.ika_rct:IkaRct", "IKA", "RCT digital", ("stirrer",), "9600 7E1"),
    "modbus_relay_8ch": Listing(
        "drivers.modbus_relay_8ch:ModbusRelay8ch",
        "Waveshare",
        "Modbus RTU Relay 8CH",
        ("manifold", "jack", "fan", "shutter", "beacon", "button"),
    ),
    "newera_ne1000": Listing(
        "drivers.newera_ne1000:NewEraNe1000", "New Era", "NE-1000", ("pump",), "19200 8N1"
    ),
    "ocean_hdx": Listing(
        "drivers.ocean_obp:OceanHdx", "Ocean Optics", "HDX", ("absorbance",), "tcp"
    ),
    "ocean_qepro": Listing(
        "drivers.ocean_obp:OceanQePro", "Ocean Optics", "QE Pro", ("pl",), "115200 8N1"
    ),
    "pfeiffer_tpg362": Listing(
        "drivers.pfeiffer_tpg362:PfeifferTpg362",
        "Pfeiffer Vacuum",
        "TPG 362",
        ("flask_gauge", "line_gauge"),
        "tcp",
    ),
    "vacuubrand_cvc3000": Listing(
        "drivers.vacuubrand_cvc3000:VacuubrandCvc3000",
        "Vacuubrand",
        "CVC 3000",
        ("rough",),
        "19200 8N1",
        gap_ms=100,
    ),
    "wpi_al1000": Listing(
        "drivers.newera_ne1000:WpiAl1000", "WPI", "Aladdin AL-1000", ("pump",), "19200 8N1"
    ),
}
