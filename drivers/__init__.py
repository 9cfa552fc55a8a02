"""Drivers of real instruments, one module each; the CATALOG names them for rig files.

A driver turns a capability (see `labctl.capabilities`) into its instrument's bytes. It may import
framing, transport, capabilities, readings, units and errors of labctl, and no other driver.
"""

from labctl.capabilities import Listing

CATALOG: dict[str, Listing] = {
    "alicat_mc": Listing(
        "drivers.alicat_mc:AlicatMc", "Alicat", "MC", ("n2_flow",), "19200 8N1", bus="alicat"
    ),
    "bronkhorst_elflow": Listing(
        "drivers.bronkhorst_elflow:BronkhorstElflow",
        "Bronkhorst",
        "EL-FLOW",
        ("n2_flow",),
        "38400 8N1",
        bus="propar",
    ),
    "cavro_xcalibur": Listing(
        "drivers.cavro_xcalibur:CavroXCalibur",
        "Tecan",
        "Cavro XCalibur",
        ("pump",),
        "9600 8N1",
        bus="cavro",
    ),
    "coherent_obis": Listing(
        "drivers.coherent_obis:CoherentObis", "Coherent", "OBIS LX/LS", ("excitation",), "tcp"
    ),
    "eurotherm_3216": Listing(
        "drivers.eurotherm_3216:Eurotherm3216",
        "Eurotherm",
        "3216",
        ("heater", "warm_line"),
        bus="modbus",
        checksum=True,
    ),
    "eurotherm_3504": Listing(
        "drivers.eurotherm_3216:Eurotherm3504",
        "Eurotherm",
        "3504",
        ("heater", "warm_line"),
        bus="modbus",
        checksum=True,
    ),
    "harvard_elite11": Listing(
        "drivers.harvard_elite11:HarvardElite11",
        "Harvard Apparatus",
        "Pump 11 Elite, PHD Ultra",
        ("pump",),
        "115200 8N1",
        bus="harvard",
    ),
    "heidolph_heiconnect": Listing(
        "drivers.heidolph_heiconnect:HeidolphHeiConnect",
        "Heidolph",
        "MR Hei-Connect",
        ("stirrer",),
        "9600 7E1",
        gap_ms=100,
    ),
    "horiba_icl": Listing(
        "drivers.horiba_icl:HoribaIcl", "HORIBA", "SpectrAcq3 (ICL)", ("pl",), "tcp"
    ),
    "ika_rct": Listing("drivers.ika_rct:IkaRct", "IKA", "RCT digital", ("stirrer",), "9600 7E1"),
    "mks_901p": Listing(
        "drivers.mks_901p:Mks901p",
        "MKS",
        "901P",
        ("flask_gauge", "line_gauge"),
        gap_ms=10,
        bus="mks",
    ),
    "mks_974b": Listing(
        "drivers.mks_901p:Mks974b",
        "MKS",
        "974B",
        ("flask_gauge", "line_gauge"),
        gap_ms=10,
        bus="mks",
    ),
    "modbus_relay_8ch": Listing(
        "drivers.modbus_relay_8ch:ModbusRelay8ch",
        "Waveshare",
        "Modbus RTU Relay 8CH",
        ("manifold", "jack", "fan", "shutter", "beacon", "button"),
        bus="modbus",
        checksum=True,
    ),
    "newera_ne1000": Listing(
        "drivers.newera_ne1000:NewEraNe1000",
        "New Era",
        "NE-1000",
        ("pump",),
        "19200 8N1",
        bus="newera",
    ),
    "ocean_fx": Listing(
        "drivers.ocean_obp:OceanFx", "Ocean Optics", "FX", ("absorbance", "pl"), "tcp"
    ),
    "ocean_hdx": Listing(
        "drivers.ocean_obp:OceanHdx", "Ocean Optics", "HDX", ("absorbance",), "tcp"
    ),
    "ocean_qepro": Listing(
        "drivers.ocean_obp:OceanQePro", "Ocean Optics", "QE Pro", ("pl",), "115200 8N1"
    ),
    "ocean_sts": Listing(
        "drivers.ocean_obp:OceanSts", "Ocean Optics", "STS", ("absorbance", "pl"), "9600 8N1"
    ),
    "pfeiffer_ppt100": Listing(
        "drivers.pfeiffer_ppt100:PfeifferPpt100",
        "Pfeiffer Vacuum",
        "PPT 100",
        ("flask_gauge", "line_gauge"),
        bus="pfeiffer",
        checksum=True,
    ),
    "pfeiffer_tpg361": Listing(
        "drivers.pfeiffer_tpg362:PfeifferTpg362",
        "Pfeiffer Vacuum",
        "TPG 361",
        ("flask_gauge", "line_gauge"),
        "tcp",
    ),
    "pfeiffer_tpg362": Listing(
        "drivers.pfeiffer_tpg362:PfeifferTpg362",
        "Pfeiffer Vacuum",
        "TPG 362",
        ("flask_gauge", "line_gauge"),
        "tcp",
    ),
    "pfeiffer_tpg366": Listing(
        "drivers.pfeiffer_tpg362:PfeifferTpg362",
        "Pfeiffer Vacuum",
        "TPG 366",
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
    "watlow_ezzone_pm": Listing(
        "drivers.watlow_ezzone_pm:WatlowEzZonePm",
        "Watlow",
        "EZ-ZONE PM",
        ("heater", "warm_line"),
        "38400 8N1",
        bus="watlow",
        checksum=True,
    ),
    "wpi_al1000": Listing(
        "drivers.newera_ne1000:WpiAl1000",
        "WPI",
        "Aladdin AL-1000",
        ("pump",),
        "19200 8N1",
        bus="newera",
    ),
}
