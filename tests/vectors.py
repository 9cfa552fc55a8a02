"""The vendors' own bytes: questions with their replies, from manuals and strangers' clients.

Every question goes to its simulator (tests/simulators/test_vectors.py), every reply to its driver,
or to the framing where no driver asks that question (tests/drivers/test_vectors.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Vector:
    """A question and its reply; `before` is said to the simulator first, then `rest_s` pass."""

    kind: str
    asked: bytes
    told: bytes
    before: tuple[bytes, ...] = ()
    rest_s: float = 0.0
    things: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)


def _hex(kind: str, asked: str, told: str, **more: object) -> Vector:
    return Vector(kind, bytes.fromhex(asked), bytes.fromhex(told), **more)  # type: ignore[arg-type]


PUMP = {"address": 0}
TOLD = {"settings": PUMP, "before": (b"0\r",)}
HEAD = {"settings": PUMP, "things": {"syringe.drawn": 0.0}}
SET_10_MS = (
    "C1C0 0011 0400 0000 10001100 00000000 000000000000 00 04 10270000 000000000000000000000000"
    "14000000 00000000000000000000000000000000 C5C4C3C2"
)
SET_10_MS_DONE = (
    "C1C0 0011 0300 0000 10001100 00000000 000000000000 00 00 00000000 000000000000000000000000"
    "14000000 00000000000000000000000000000000 C5C4C3C2"
)
RATE = (b"0\r", b"0DIA14.43\r", b"0RAT5.000MM\r", b"0VOLML\r", b"0VOL1.234\r")

VECTORS: dict[str, Vector] = {
    # HA028651 iss. 7, 15.5, exchanged with minimalmodbus
    "eurotherm pv and setpoint": _hex(
        "eurotherm_3216",
        "01 03 00 01 00 02 95 CB",
        "01 03 04 00 FA 00 FA 5A 41",
        before=(bytes.fromhex("01 06 00 02 00 FA A8 49"),),
    ),
    "eurotherm setpoint": _hex(
        "eurotherm_3216", "01 06 00 02 04 B0 2B 7E", "01 06 00 02 04 B0 2B 7E"
    ),
    "eurotherm pv as a float": _hex(
        "eurotherm_3216", "01 03 80 02 00 02 4C 0B", "01 03 04 41 C8 00 00 6F F1"
    ),
    "eurotherm setpoint as a float": _hex(
        "eurotherm_3216", "01 10 80 04 00 02 04 43 48 80 00 67 C8", "01 10 80 04 00 02 29 C9"
    ),
    "eurotherm bad address": _hex("eurotherm_3216", "01 03 23 28 00 01 0F 86", "01 83 02 C0 F1"),
    # pywatlow 0.1.4
    "watlow pv": _hex(
        "watlow_ezzone_pm",
        "55 FF 05 10 00 00 06 E8 01 03 01 04 01 01 E3 99",
        "55 FF 06 00 10 00 0B 88 02 03 01 04 01 01 08 42 9A 00 00 A0 9F",
    ),
    "watlow setpoint": _hex(
        "watlow_ezzone_pm",
        "55 FF 05 10 00 00 0A EC 01 04 07 01 01 08 43 54 00 00 92 FE",
        "55 FF 06 00 10 00 0A 76 02 04 07 01 01 08 43 54 00 00 FB 8A",
    ),
    # IKA 20000023651; flowchem
    "ika external probe": Vector(
        "ika_rct", b"IN_PV_1 \r\n", b"24.7 1 \r\n", things={"flask.T2": 24.7}
    ),
    "heidolph hello": Vector("heidolph_heiconnect", b"PA_NEW\r\n", b"PA_NEW\r\n"),
    "heidolph setpoint": Vector("heidolph_heiconnect", b"OUT_SP_1 80\r\n", b"OUT_SP_1 80\r\n"),
    # AL-1000 manual, pp. 29-44
    "new era leave safe mode": Vector(
        "newera_ne1000", bytes.fromhex("02 08 53 41 46 30 55 43 03"), b"\x0200S\x03", **TOLD
    ),
    "new era alarm": Vector("newera_ne1000", b"0VER\r", b"\x0200A?R\x03", settings=PUMP),
    "new era version": Vector("newera_ne1000", b"0VER\r", b"\x0200SNE1000V3.928\x03", **TOLD),
    "new era set diameter": _hex(
        "newera_ne1000", "30 44 49 41 31 34 2E 34 33 0D", "02 30 30 53 03", **TOLD
    ),
    "new era diameter": _hex(
        "newera_ne1000",
        "30 44 49 41 0D",
        "02 30 30 53 31 34 2E 34 33 03",
        settings=PUMP,
        before=RATE,
    ),
    "new era run": _hex(
        "newera_ne1000", "30 52 55 4E 0D", "02 30 30 49 03", settings=PUMP, before=RATE
    ),
    "new era dispensed": Vector(
        "newera_ne1000",
        b"0DIS\r",
        b"\x0200SI1.234W0.000ML\x03",
        settings=PUMP,
        before=(*RATE, b"0RUN\r"),
        rest_s=60.0,
    ),
    "new era unknown": Vector("newera_ne1000", b"0XYZ\r", b"\x0200S?\x03", **TOLD),
    # 733085-B, chapter 3
    "cavro query": _hex("cavro_xcalibur", "02 31 31 51 03 50", "02 30 60 03 51", **HEAD),
    "cavro query in dt": _hex("cavro_xcalibur", "2F 31 51 0D", "2F 30 60 03 0D 0A", **HEAD),
    "cavro not initialised": Vector(
        "cavro_xcalibur", b"/1A100R\r", b"/0\x67\x03\r\n", settings=PUMP
    ),
    # BG 5510
    "pfeiffer pr1": Vector("pfeiffer_tpg361", b"PR1\r\n", bytes.fromhex("06 0D 0A")),
    "pfeiffer enquiry": Vector(
        "pfeiffer_tpg361",
        b"\x05",
        b"0,1.3300E-02\r\n",
        before=(b"PR1\r\n",),
        things={"line.P": 0.0133},
    ),
    "pfeiffer enquiry with crlf": Vector(
        "pfeiffer_tpg361",
        b"\x05\r\n",
        b"0,1.3300E-02\r\n",
        before=(b"PR1\r\n",),
        things={"line.P": 0.0133},
    ),
    "pfeiffer nak": Vector("pfeiffer_tpg361", b"XYZ\r\n", bytes.fromhex("15 0D 0A")),
    "pfeiffer no sensor": Vector(
        "pfeiffer_tpg362", b"\x05", b"5,2.0000E-02\r\n", before=(b"PR2\r\n",)
    ),
    # PyMeasure 0.16.0
    "mks unit": Vector("mks_901p", b"@253U?;FF", b"@253ACKTORR;FF", settings={"address": 253}),
    "mks unrecognised": Vector(
        "mks_901p", b"@253XX?;FF", b"@253NAK160;FF", settings={"address": 253}
    ),
    # pfeiffer-vacuum-protocol 1.0
    "telegram pressure": Vector(
        "pfeiffer_ppt100", b"0010074002=?106\r", b"0011074006100023025\r", things={"line.P": 1000.0}
    ),
    "telegram type": Vector("pfeiffer_ppt100", b"0010034902=?111\r", b"0011034906    A3236\r"),
    # alicat 0.9.0, mock.py
    "alicat frame": Vector(
        "alicat_mc",
        b"A\r",
        b"A +014.70 +025.00 +002.50 +002.50 +002.50     N2\r",
        before=(b"AS2.50\r",),
        rest_s=60.0,
        things={"flask.P": 1013.5},
    ),
    # Bronkhorst 9.17.027
    "propar measure": _hex(
        "bronkhorst_elflow",
        "10 02 01 80 05 04 01 20 01 20 10 03",
        "10 02 01 80 05 02 01 20 00 00 10 03",
    ),
    "propar setpoint": _hex(
        "bronkhorst_elflow", "10 02 02 80 05 01 01 21 3E 80 10 03", "10 02 02 80 03 00 00 05 10 03"
    ),
    # Waveshare wiki
    "relay on": _hex("modbus_relay_8ch", "01 05 00 00 FF 00 8C 3A", "01 05 00 00 FF 00 8C 3A"),
    "relay states": _hex(
        "modbus_relay_8ch",
        "01 01 00 00 00 08 3D CC",
        "01 01 01 01 90 48",
        before=(bytes.fromhex("01 05 00 00 FF 00 8C 3A"),),
    ),
    "relay all": _hex(
        "modbus_relay_8ch", "01 0F 00 00 00 08 01 AA 7E EA", "01 0F 00 00 00 08 54 0D"
    ),
    # STS data sheet 030-00000-003-05
    "ocean set 10 ms": _hex("ocean_hdx", SET_10_MS, SET_10_MS_DONE),
}
