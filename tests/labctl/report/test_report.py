"""The report says how it ended first, what it rests on, and lets no text become markup."""

import json
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from labctl.errors import RecordError
from labctl.readings import Channel, Event, Quality, Reading
from labctl.record import Assumed, DoseRow, Lot, Record, RunMeta
from labctl.report import write_report
from labctl.report.page import LARGEST

S = 1_000_000_000
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)></script><!--\u2028&lt;"


class Reader(HTMLParser):
    """Collects what a browser would see: tags with attribute names, text, embedded data."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.data, self._inside = [], [], None, []
        self.feed(text)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, *sorted(name for name, _ in attrs)))
        self._inside.append((tag, dict(attrs)))

    def handle_data(self, data):
        tag, attrs = self._inside[-1] if self._inside else ("", {})
        if tag == "script" and attrs.get("id") == "plot-data" and self.data is None:
            self.data = json.loads(data)
        elif tag not in {"script", "style"}:
            self.words.append(data)


def told(directory):
    return Reader(write_report(directory).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(made):
    return told(made)


def empty(directory, **changes):
    plain = dict.fromkeys(("run_id", "recipe_name", "recipe_path", "recipe_text"), "x")
    plain |= {"seed": 1, "simulated": False, "started_local": "2025-11-03T09:00:00"}
    return Record.create(directory, RunMeta(**plain | changes), durable=False)


def test_the_verdict_comes_first_with_stages_and_deviations(page):
    order = [
        "SIMULATED",
        "Complete, with deviations",
        "simulated",
        "Core.2: accepted 0.08 mbar after 50 min",
        "Stage II",
        "1 h 14 min",
        "What was run",
        "Decisions",
        "Course of the run",
        "Planned and actual",
    ]
    places = [page.text.index(words) for words in order]
    assert places == sorted(places)


def test_sample_people_lots_and_assumptions_are_there(page):
    for words in (
        "YK-231",
        "schlenk line 2, hood 14",
        "recipes/inp_zns_surface_initiated.yaml",
        "layers 2",
        "TOPS-1009",
        "2.17 mol/L",
        "50 µmol/L",
        "600 rpm",
        "three times the heater's lag",
        "labctl 0.1.0, python 3.11.7",
    ):
        assert words in page.text


def test_a_decision_is_told_in_words_and_numbers(page):
    for words in (
        "Step grow waited for peak to be saturated.",
        "also for the slowest tail held possible",
        "−0.002 ± 0.003 nm/min",
        "−0.11 … +0.21 nm",
        "598.31 nm at 250.1 °C",
        "1.034 ± 0.012 × bulk InP, learnt on this run's cool-down",
        "240, of which",
    ):
        assert words in page.text
    panel = next(p for p in page.data["panels"] if p["id"] == "decision-1")
    assert {line["label"] for line in panel["lines"]} == {"used", "seen, not used"}
    assert sum(len(line["x"]) for line in panel["lines"]) == 240


def test_every_plot_has_its_lines_units_and_what_happened(page):
    panels = {panel["id"]: panel for panel in page.data["panels"]}
    assert [i for i in panels if not i.startswith("decision")] == [
        "temperature", "pressure", "doses", "peak", "pl", "output", "stirring", "absorbance",
        "luminescence",
    ]  # fmt: skip
    assert panels["pressure"]["log"]
    assert panels["pressure"]["unit"] == "mbar"
    assert [e[2] for e in panels["peak"]["events"]].count("decision") == 1
    assert {e[1] for e in panels["temperature"]["events"]} == {"ZN", "HF", "S", "stir_slow"}
    dashed = [line["label"] for line in panels["temperature"]["lines"] if line["dashed"]]
    assert dashed == ["setpoint"]


def test_each_plot_has_a_still_picture_for_print(page):
    stills = [tag for tag in page.tags if tag[0] == "svg"]
    assert len(stills) == len(page.data["panels"])


def test_the_page_asks_the_network_for_nothing(made):
    text = write_report(made).read_text(encoding="utf-8")
    assert "default-src 'none'" in unescape(text)
    assert not re.search(r"""(src|href|action)\s*=|url\(|@import|<link|<iframe""", text)


def test_the_report_of_a_dense_run_stays_under_a_megabyte(tmp_path, make_run):
    path = write_report(make_run(tmp_path / "r", 2))
    assert path == tmp_path / "r" / "report.html"
    assert 200_000 < path.stat().st_size < LARGEST < 1_000_000


def test_the_same_record_gives_the_same_bytes(made):
    assert write_report(made).read_bytes() == write_report(made).read_bytes()


def test_no_text_of_the_record_becomes_markup(tmp_path):
    def run(directory, say):
        record = empty(
            directory,
            **dict.fromkeys(("recipe_name", "sample", "operator", "rig_name"), say),
            recipe_path=say,
            simulated=True,
            versions={say: say},
            choices={say: say},
            assumed=(Assumed(say, say, say),),
            lots=(Lot(say, say, say, 0.5, "typed", say, say),),
        )
        record.channels([Channel("flask.T", "temperature")])
        for t_s in range(9):
            record.append(Reading("flask.T", 25.0, Quality.GOOD, t_s * S))
        record.step_ended(record.step_started(0, say, say, say, summary=say), 5 * S, say)
        record.dose(DoseRow(say, say, say, "injection", "flask", say, S, 2 * S, 25.0, 1.0, 1.0))
        decision = record.decision_started(0, say, say, say)
        record.decision_ended(decision, S, say, say, {say: say, "also_flat": say, "flat": True})
        record.event(Event(0, "deviation", say))
        record.event(Event(0, "x", say, level="error"))
        record.alarm(S, say, say, say)
        record.answer(record.question(0, say, [say], say), S, say, say)
        record.command(0, say, say, accepted=False, reason=say)
        record.finish(9 * S, "safe", "safe", product={say: say})
        record.close()
        return told(directory)

    tame, wild = run(tmp_path / "tame", "word"), run(tmp_path / "wild", HOSTILE)
    assert wild.tags == tame.tags
    assert wild.text.count("<script>alert(1)</script>") == tame.text.count("word") > 30
    assert wild.data["stages"][0][0] == HOSTILE


def test_a_real_run_is_not_called_simulated_and_shows_no_truth(tmp_path, make_run):
    page = told(make_run(tmp_path / "r", 60, simulated=False))
    assert "simulated" not in page.text.lower().replace("yk (simulated)", "")
    assert "layers 2.04" not in page.text
    assert "2.04" not in page.text


def test_the_truth_of_a_dry_run_is_called_so(page):
    assert page.text.index("Simulated truth") < page.text.index("2.04")
    assert "not from any instrument" in page.text


def test_what_the_rig_cannot_measure_is_left_to_fill_in(page):
    for words in ("TEM", "XRD", "PL QY", "to be filled in"):
        assert words in page.text


def test_numbers_say_where_they_come_from(made):
    text = write_report(made).read_text(encoding="utf-8")

    def marked(number):
        return re.search(rf'{number}<abbr class="mark mark-(\w)"', text)[1]

    assert marked(r"2\.016 mL") == "c"
    assert marked(r"2\.000 mL") == "m"
    assert marked(r"220 nmol") == "c"
    assert marked(r"200\.3 °C") == "m"
    assert marked(r"0\.5 mol/L") == "t"
    assert marked("600 rpm") == "a"
    assert re.findall(r'10\.000 mL<abbr class="mark mark-(\w)"', text) == ["c", "t"]


def test_a_run_with_nothing_in_it_is_told_all_the_same(tmp_path):
    empty(tmp_path, simulated=False).close()
    page = told(tmp_path)
    assert "Not finished: starting" in page.text
    assert "No step of this run waited for a decision." in page.text
    assert page.data["panels"] == []


def test_a_run_that_goes_on_is_told_as_far_as_it_is(tmp_path):
    record = empty(tmp_path)
    record.channels([Channel("flask.T", "temperature")])
    record.state("running")
    record.step_started(0, "I.1", "hold", "I", planned_s=60.0)
    record.append(Reading("flask.T", 25.0, Quality.GOOD, 90 * S))
    record._sink.flush()
    page = told(tmp_path)
    assert "Not finished: running" in page.text
    assert "1 min 30 s so far" in page.text
    record.close()


def test_a_run_that_ended_early_says_why(tmp_path):
    record = empty(tmp_path)
    record.event(Event(S, "step.failed", "grow: no usable frame came in 600 s", {}, "error"))
    record.finish(2 * S, "safe", "safe")
    record.close()
    page = told(tmp_path)
    assert page.text.index("Ended early, in the safe state") < page.text.index("no usable frame")


def test_a_held_temperature_is_told_as_mean_and_sd(tmp_path):
    record = empty(tmp_path)
    record.channels([Channel("flask.T", "temperature")])
    step = record.step_started(0, "III.1", "hold", "III", planned_s=90.0)
    record.step_clock(step, 10 * S)
    for t_s in range(110):
        value = 20.0 if t_s < 10 else 250.0 + (-1) ** t_s
        record.append(Reading("flask.T", value, Quality.GOOD, t_s * S))
    record.step_ended(step, 109 * S, "done")
    record.close()
    assert "250.0 ± 1.0 °C" in told(tmp_path).text


def test_a_step_without_a_hold_is_told_from_and_to(tmp_path):
    record = empty(tmp_path)
    record.channels([Channel("flask.T", "temperature")])
    for stage, start in (("I", 0), ("II", 61)):
        step = record.step_started(start * S, stage, "ramp", stage)
        record.step_ended(step, (start + 60) * S, "done")
    for t_s in range(122):
        record.append(Reading("flask.T", 20.0 + min(t_s, 60), Quality.GOOD, t_s * S))
    record.close()
    page = told(tmp_path)
    assert "20 → 80 °C" in page.text
    assert "80 → 80 °C" not in page.text


def test_a_directory_without_a_run_is_refused(tmp_path):
    with pytest.raises(RecordError, match="holds no run"):
        write_report(tmp_path)


def test_a_stored_report_is_replaced_whole(made):
    path = write_report(made)
    path.write_text("x" * 2_000_000)
    write_report(made)
    assert path.read_text(encoding="utf-8").endswith("</html>")
