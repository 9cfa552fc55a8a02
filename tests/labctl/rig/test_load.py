import datetime as dt
from pathlib import Path

import pytest

from labctl.errors import FindingsError
from labctl.rig.load import load_rig, rig_of
from labctl.source import compose

ROOT = Path(__file__).parents[3]
BUNDLED = ROOT / "simulators/rig.yaml"
TEXT = BUNDLED.read_text(encoding="utf-8")


def findings(text):
    with pytest.raises(FindingsError) as caught:
        rig_of(compose(text, "rig.yaml"))
    return caught.value.findings


def place(text, needle):
    before = text[: text.index(needle)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


@pytest.mark.parametrize("path", [BUNDLED, *sorted((ROOT / "rigs").glob("*.yaml"))])
def test_shipped_rigs_load(path):
    rig = load_rig(path)
    assert rig.entry("heater")[0] in rig.model.devices
    assert rig.person == "person"


def test_the_copy_to_start_from_is_the_bundled_rig():
    assert (ROOT / "rigs/schlenk.yaml").read_text(encoding="utf-8") == TEXT


def test_quantities_are_canonical():
    devices = load_rig(BUNDLED).model.devices
    assert devices["heater"].limits.setpoint == (20.0, 345.0)
    assert devices["heater"].limits.power == pytest.approx(0.85)
    assert devices["pump_1"].line.dead == pytest.approx(0.302)
    assert devices["pump_1"].line.length == 600.0
    assert devices["rough"].throttles == 5.0
    assert devices["gauges"].channels["flask"].trust == (0.1, 1100.0)


@pytest.mark.parametrize(("pump", "ml"), [("pump_1", 10.0), ("pump_2", 5.0), ("pump_3", 1.0)])
def test_a_syringes_volume_is_read_from_what_it_is(pump, ml):
    assert load_rig(BUNDLED).model.devices[pump].syringe.volume_ml == ml


def test_roles_lead_to_a_device_and_its_part():
    rig = load_rig(BUNDLED)
    assert rig.entry("jack") == ("aux", "jack_up")
    assert rig.entry("heater") == ("heater", "")
    assert rig.entry("nothing") == ("", "")


def test_conditions_are_parsed_and_keep_their_text():
    first = load_rig(BUNDLED).model.interlocks[0]
    assert (first.id, first.require.text) == ("too_hot", "flask.T < 345 C")
    assert (first.require.tree.operator, first.max_age, first.for_.seconds) == ("<", 5, 2)


@pytest.mark.parametrize(
    ("moment", "there"),
    [((2025, 11, 3, 8, 0), True), ((2025, 11, 3, 7, 59), False), ((2025, 11, 3, 19, 0), False),
     ((2025, 11, 7, 18, 59), True), ((2025, 11, 8, 12, 0), False)],
)  # fmt: skip
def test_attended_hours_include_their_beginning_and_not_their_end(moment, there):
    attended = load_rig(BUNDLED).model.site.attended
    assert attended.covers(dt.datetime(*moment)) is there


REFUSED = [
    # rule, text to replace, its replacement, where it points, what it says
    ("names.unknown_kind", "kind: ika_rct", "kind: ika_rtc", "ika_rtc", "did you mean 'ika_rct'"),
    ("schema.missing_key", "{kind: ika_rct, port", "{port", "stirrer: {port",
     "needs the key 'kind'"),
    ("names.unknown_port", "port: stir,", "port: stri,", "port: stri", "did you mean 'stir'"),
    ("names.unknown_role", "stirrer: stirrer,", "stirer: stirrer,", "stirer:",
     "did you mean 'stirrer'"),
    ("names.unknown_device", "fan: aux.fan", "fan: oux.fan", "oux.fan", "did you mean 'aux'"),
    ("names.unknown_device", "flask.T: heater", "flask.T: heatr", "heatr,",
     "did you mean 'heater'"),
    ("names.unknown_signal", "require: flask.P > ambient", "require: flask.p > ambient",
     "flask.p > ambient", "did you mean 'flask.P'"),
    ("names.unknown_signal", "when: flask.T > 60 C", "when: pot.T > 60 C", "pot.T",
     "signal 'pot.T'"),
    ("names.unknown_output", "gates: [vac_fine], require", "gates: [vac_fin], require", "vac_fin]",
     "did you mean 'vac_fine'"),
    ("names.unknown_output", "closed(line_1, line_2, line_3)", "closed(line_1, line_2, line_4)",
     '"closed(line_1, line_2, line_4)', "'line_4' is no output"),
    ("expression.syntax", "require: warm.T < 105 C", "require: warm.T << 105 C", "warm.T <<",
     "'<'"),
    ("expression.syntax", "require: warm.T < 105 C", "require: warm.T < 105 X", "warm.T < 105",
     "'X'"),
    ("units.bare_number", "bore: 14.57 mm", "bore: 14.57", "14.57}", "has no unit"),
    ("units.range", "trust: 0.1 mbar .. 1100 mbar", "trust: 1100 mbar .. 0.1 mbar", "1100 mbar ..",
     "runs backwards"),
    ("units.range", "throttles: 5 mbar .. ambient", "throttles: 5 mbar", "5 mbar, takes",
     "ambient"),
    ("schema.unknown_key", "watchdog: 60 s", "watchdg: 60 s", "watchdg", "did you mean 'watchdog'"),
    ("schema.value", "severity: trip,    require: flask.T <",
     "severity: stop,    require: flask.T <",
     "stop,", "'stop' does not fit"),
    ("schema.value", "unit: 10,", "unit: 300,", "300,", "less than or equal to 247"),
    ("schema.hours", "Mon-Fri 08:00-19:00", "weekdays", "weekdays", "write them like"),
    ("schema.date", "tested: 2025-10-20", "tested: 20.10.2025", "20.10.2025", "write it like"),
    ("schema.value", "name: schlenk-2", "name: Schlenk 2", "Schlenk 2", "pattern"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "old", "new", "at", "says"),
    REFUSED,
    ids=[f"{r[0]}-{n}" for n, r in enumerate(REFUSED)],
)
def test_a_mistake_is_refused_where_it_stands(rule, old, new, at, says):
    assert old in TEXT
    text = TEXT.replace(old, new, 1)
    (finding, *_) = [f for f in findings(text) if f.rule == rule]
    assert (finding.file, finding.line, finding.column) == ("rig.yaml", *place(text, at))
    assert says in finding.message


def test_mistakes_in_several_devices_are_told_at_once():
    text = TEXT.replace("kind: ika_rct", "kind: ika_rtc").replace("bore: 14.57 mm", "bore: 1 C")
    assert [f.rule for f in findings(text)] == ["names.unknown_kind", "units.dimension"]


def test_a_persons_manifold_has_no_list_of_valves():
    text = (ROOT / "rigs/manual.yaml").read_text(encoding="utf-8")
    assert rig_of(compose(text.replace("gates: [vac_fine]", "gates: [tap_3]"))).model.interlocks


def test_a_spectrometer_says_its_stray_light_noise_and_linearity():
    said = "stray: 0.2 %, electrons_per_count: 2.5, read_noise: 9, "
    said += "linearity: {coefficients: [0.98, 1.5e-6, -1.2e-11], up_to: 60000, by: YK}"
    entry = rig_of(compose(TEXT.replace("stray: 0.1 %", said), "rig.yaml")).model.devices["uvvis"]
    assert entry.stray == pytest.approx(2e-3)
    assert (entry.electrons_per_count, entry.read_noise) == (2.5, 9.0)
    curve = entry.linearity.curve()
    assert curve.coefficients == (0.98, 1.5e-6, -1.2e-11)
    assert curve.linear(0.0) == 0.0


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ("linearity: {coefficients: [0.5], up_to: 60000}", "schema.linearity"),
        ("linearity: {coefficients: [1.0, 1.0e-4], up_to: 60000}", "schema.linearity"),
    ],
)
def test_senseless_linearity_is_found_where_it_stands(said, rule):
    (finding,) = findings(TEXT.replace("boxcar: 0", f"boxcar: 0, {said}"))
    assert finding.rule == rule
    assert (finding.line, finding.column) != (1, 1)
