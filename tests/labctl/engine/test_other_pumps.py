"""A rig whose pumps are a Tecan Cavro and a Harvard: the engine doses with them as with any."""

from __future__ import annotations

import pytest

from tests.labctl.engine.conftest import HEAD, RIG, SHEET

OLD_1 = "{kind: newera_ne1000, port: pumps, address: 1, watchdog: 20 s, valve: line_1,"
OLD_2 = "{kind: newera_ne1000, port: pumps, address: 2, watchdog: 20 s, valve: line_2,"
NEW_1 = "{kind: harvard_elite11, port: harvard, address: 1, valve: line_1,"
NEW_2 = """{kind: cavro_xcalibur, port: cavro, address: 0, protocol: PROTOCOL,
            head: {flask: 3, reservoir: 1, waste: 9}, valve: line_2,"""
PORTS = """
  cavro:   {usb: FTDI A10K77R8}
  harvard: {usb: FTDI A10K77R9, baud: 115200}
vessels:
"""
STEPS = """
  - prime: {reagents: [SQ2, S], into: waste}
  - inject: {id: sq, reagent: SQ2, volume: 0.8 mL, over: 60 s}
  - inject: {id: s, reagent: S, volume: 0.6 mL, over: 40 s}
"""


def rig(protocol):
    text = RIG.replace(OLD_1, NEW_1).replace(OLD_2, NEW_2.replace("PROTOCOL", protocol))
    text = text.replace("gastight 5 mL, bore: 10.30 mm", "gastight 2.5 mL, bore: 10.30 mm")
    assert "harvard" in text
    assert "cavro" in text
    return text.replace("\nvessels:\n", PORTS)


@pytest.fixture
def dosed(conducted):
    def run(protocol="oem", **more):
        head = HEAD.replace("  S:  {is", "  SQ2: {is: squalane}\n  S:  {is")
        sheet = SHEET.replace("drawn: 1.0 mL", "drawn: 2.0 mL").replace(
            "  S:  {lot", "  SQ2: {lot: a, pump: pump_1, drawn: 5.0 mL}\n  S:  {lot"
        )
        return conducted(STEPS, head=head, rig=rig(protocol), sheet=sheet, **more)

    return run


@pytest.mark.parametrize("protocol", ["oem", "dt"])
def test_both_give_the_whole_dose_by_their_own_counters(dosed, protocol):
    run = dosed(protocol)
    assert run.outcome == "complete"
    for id_, given_ml in (("sq", 0.795), ("s", 0.595)):
        assert run.dose(id_).state == "done"
        assert run.dose(id_).delivered_ml == pytest.approx(given_ml, abs=0.002), "all but a drop"
    assert run.truth["volume_ml"] == pytest.approx(11.39, abs=0.01)
    assert any(b"irun" in data for _, data in run.sent("harvard"))
    assert any(
        data[:1] == (b"\x02" if protocol == "oem" else b"/") for _, data in run.sent("cavro")
    )


def test_a_jammed_line_ends_the_dose_short_and_says_that_the_pump_stalled(dosed):
    def jam(world, inbox, rig):
        world._syringes._loaded["pump_2"].line.jammed = True

    run = dosed(during={100: jam})
    assert run.outcome == "safe"
    assert 0.0 < run.dose("s").delivered_ml < 0.59
    assert "stalled" in run.questions[-1].text


def test_a_cavro_that_lost_its_power_is_refused_with_what_to_do(dosed):
    run = dosed(during={100: lambda world, inbox, rig: world.device("pump_2").power_cycle()})
    assert run.outcome == "safe"
    assert "prepare" in run.questions[-1].text
    assert run.dose("s").delivered_ml in {None, 0.0}
