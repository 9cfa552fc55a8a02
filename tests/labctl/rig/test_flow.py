"""A rig with a mass flow controller, and with another stirrer: read, checked, run dry."""

import asyncio
import re

import pytest

from labctl.clock import NS
from labctl.errors import FindingsError
from labctl.prepare import Request, prepare
from labctl.readings import Reading
from labctl.record import open_run
from labctl.report import write_report
from labctl.rig.devices import FlowEntry
from labctl.rig.load import load_rig
from labctl.rig.settings import settings_of
from labctl.rig.twinning import touches_of
from labctl.session import dry_run

RECIPE = """
labctl: recipe/1
name: short
needs: {vessel: 50 mL, max_T: 100 C}
reagents:
  SQ: {is: squalane}
park: {work: 25 C}
stages:
  work:
  - charge: {reagent: SQ, volume: 10 mL, by: hand}
  - stir: 600 rpm
  - ramp: {id: up, to: 45 C, rate: 12 K/min, within: 2 K, settle: 10 s}
  - hold: {for: 60 s, since: up.end}
"""
SHEET = """
labctl: batch/1
date: 2025-11-03 09:00
sample: T-1
operator: YK
second: MT
vessel: flask50
loads:
  SQ: {lot: a, by: hand}
"""
IKA = (
    "kind: ika_rct, port: stir, limits: {speed: 0 rpm .. 1200 rpm}, heating: never, watchdog: 60 s"
)
HEIDOLPH = IKA.replace("ika_rct", "heidolph_heiconnect").replace("60 s", "10 s")
PURGE = "- {id: purge, severity: warn, require: n2_flow.flow < 90 sccm, max_age: 5 s}\n"


def rig_with(root, tmp_path, entry, **replaced):
    """Write the bundled rig with a controller on it."""
    text = (root / "simulators/rig.yaml").read_text(encoding="utf-8")
    changes = {
        "  guard: {usb": "  gas:   {usb: FTDI A10K77R3, baud: 19200}\n  guard: {usb",
        "rough: rough,\n": "rough: rough, n2_flow: n2_flow,\n",
        "  valves:  {kind": f"  n2_flow: {entry}\n  valves:  {{kind",
        "- {id: too_hot": PURGE + "- {id: too_hot",
        **replaced,
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "rig.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def root(request):
    return request.config.rootpath


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "short.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    path.with_name("short.batch.yaml").write_text(SHEET, encoding="utf-8")
    return path


def flow_entry(kind, **more):
    words = {"kind": kind, "port": "gas", "limits": "{flow: 0 sccm .. 80 sccm}", **more}
    return "{" + ", ".join(f"{key}: {value}" for key, value in words.items()) + "}"


def test_an_entry_becomes_what_driver_and_twin_are_told(root, tmp_path):
    entry = flow_entry("alicat_mc", unit="B", gas="Ar", rests="closed")
    rig = load_rig(rig_with(root, tmp_path, entry))
    found = rig.model.devices["n2_flow"]
    assert isinstance(found, FlowEntry)
    settings = settings_of(found, "n2_flow")
    assert (settings.address, settings.gas, settings.rests_closed) == (2, "Ar", True)
    assert settings.flow_high_sccm == 80.0
    assert touches_of(found, "n2_flow", rig)["flow"] == "n2_flow"


def test_a_flow_is_left_open_in_the_safe_state_unless_the_rig_says_otherwise(root, tmp_path):
    rig = load_rig(rig_with(root, tmp_path, flow_entry("alicat_mc")))
    settings = settings_of(rig.model.devices["n2_flow"], "n2_flow")
    assert (settings.address, settings.gas, settings.rests_closed) == (0, "N2", False)


@pytest.mark.parametrize(
    "more", [{"unit": "aa"}, {"unit": "200"}, {"rests": "shut"}, {"limits": "{flow: 10}"}]
)
def test_what_makes_no_sense_is_refused(root, tmp_path, more):
    with pytest.raises(FindingsError):
        load_rig(rig_with(root, tmp_path, flow_entry("alicat_mc", **more)))


def test_an_interlock_may_only_ask_for_what_a_controller_has(root, tmp_path):
    path = rig_with(root, tmp_path, flow_entry("alicat_mc"))
    path.write_text(path.read_text().replace("n2_flow.flow <", "n2_flow.flux <"))
    with pytest.raises(FindingsError, match="flux"):
        load_rig(path)


KINDS = ["alicat_mc", "bronkhorst_elflow", "heidolph_heiconnect", "ika_rct"]
AROUND = "labctl: rig/1\nname: page\nvessels: {flask50: {is: RBF, volume: 50 mL}}\n"


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_on_an_instruments_page_is_read_by_labctl(root, tmp_path, kind):
    page = (root / f"docs/reference/instruments/{kind}.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "rig.yaml"
    path.write_text(AROUND + example, encoding="utf-8")
    (device,) = load_rig(path).model.devices.values()
    assert device.kind == kind


@pytest.mark.parametrize("kind", ["alicat_mc", "bronkhorst_elflow"])
def test_a_run_with_a_controller_and_a_heidolph_completes_and_records_them(
    root, tmp_path, recipe, kind
):
    entry = flow_entry(kind, rests="closed")
    path = rig_with(root, tmp_path, entry, **{IKA: HEIDOLPH})
    planned, _ = prepare(Request(recipe, path))
    done = dry_run(planned, runs=tmp_path / "runs")
    assert done.summary["outcome"] == "complete"
    with open_run(done.directory) as record:
        flows = record.series("n2_flow.flow")[1]
        assert len(flows) > 30
        assert set(flows) == set(record.series("n2_flow.setpoint")[1]) == {0.0}
        assert max(record.series("stirrer.speed")[1]) == 600.0
        said = [event.message for event in record.events if event.code == "safe_state"]
    assert any("gas flows" in message for message in said)
    page = write_report(done.directory).read_text(encoding="utf-8")
    assert "Gas flow" in page


@pytest.mark.parametrize(("rests", "shut"), [("open", False), ("closed", True)])
def test_a_purge_that_flows_is_seen_and_shut_at_the_end_only_if_the_rig_says_so(
    root, tmp_path, recipe, rests, shut
):
    path = rig_with(root, tmp_path, flow_entry("alicat_mc", rests=rests))
    planned, _ = prepare(Request(recipe, path))
    told, tasks = [], []

    def watch(run):
        run.rig.ports["gas"].trace = lambda t_ns, way, data: told.append(data)

        def open_it(message):
            if isinstance(message, Reading) and message.t_ns > 30 * NS and not tasks:
                setting = run.rig.devices["n2_flow"].set_flow(60.0)
                tasks.append(asyncio.get_running_loop().create_task(setting))

        run.bus.subscribe(open_it)

    done = dry_run(planned, runs=tmp_path / "runs", watch=watch)
    assert done.summary["outcome"] == "complete"
    with open_run(done.directory) as record:
        flows = record.series("n2_flow.flow")[1]
        pressures = record.series("flask.P")[1]
    assert max(flows) == 60.0
    assert max(pressures) - pressures[0] > 5.0
    sets = [data for data in told if data.startswith(b"AS ")]
    assert sets == [b"AS 60.00\r"] + [b"AS 0.00\r"] * shut
