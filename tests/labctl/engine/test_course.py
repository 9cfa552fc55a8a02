"""One extra step while a run is held, and other steps to come while it goes on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from labctl.engine.commands import Command
from labctl.engine.course import Course
from labctl.engine.past import past_of
from labctl.errors import RefusedError
from labctl.record import open_run
from labctl.session import Request, prepare
from tests.labctl.engine.conftest import HEAD

NS = 10**9
HOLDS = "  - hold: {id: a, for: 100 s}\n  - hold: {id: b, for: 60 s}\n"
STIRS = "stir: {id: slow, speed: 300 rpm}"


def say(verb, text="", by=("MT",)):
    return lambda world, inbox, rig: inbox.post(Command(verb, "MT", str(text), by))


def refusals(run, verb):
    with open_run(run.directory) as record:
        return [c.reason for c in record.commands if c.verb == verb]


def deviations(run):
    return [event.message for event in run.events if event.code == "deviation"]


def begun(run):
    return [(step.id, step.state) for step in run.steps if not step.id.startswith("work.")]


def length_s(step):
    return (step.end_ns - step.start_ns) / NS


def test_an_extra_step_is_done_and_then_a_person_says_how_the_run_goes_on(conducted, chooses):
    during = {40: say("freeze"), 60: say("fixup", STIRS)}
    run = conducted(HOLDS, during=during, operator=chooses("resume"))
    assert begun(run) == [
        ("a", "cancelled"), ("fixup-1", "done"), ("a", "done"), ("b", "done"),
    ]  # fmt: skip
    assert refusals(run, "fixup") == [""]
    assert [q.text for q in run.questions if "fixup-1" in q.text]
    assert run.outcome == "complete_with_deviations"
    assert any("fixup-1 before a" in said and "signed: MT" in said for said in deviations(run))
    assert run.truth["stirring_rpm"] == pytest.approx(300, abs=10)


def test_the_interrupted_hold_keeps_the_time_it_had(conducted, chooses):
    plain = conducted(HOLDS)
    start_s = plain.step("a").start_ns / NS
    during = {round(start_s + 50): say("freeze"), round(start_s + 90): say("fixup", STIRS)}
    run = conducted(HOLDS, during=during, operator=chooses("resume"))
    first, again = (step for step in run.steps if step.id == "a")
    frozen_s = 40 + (again.start_ns - run.step("fixup-1").end_ns) / NS
    whole_s = (again.end_ns - first.start_ns) / NS
    assert whole_s - frozen_s == pytest.approx(100, abs=4)
    assert length_s(again) < 50


def test_an_extra_dose_is_given_once_and_stands_in_the_ledger(conducted, chooses):
    dose = "inject: {reagent: S, volume: 0.2 mL, over: 40 s}"
    steps = f"  - prime: {{reagents: [S], into: waste}}\n{HOLDS}"
    during = {60: say("freeze"), 80: say("fixup", dose)}
    run = conducted(steps, during=during, operator=chooses("resume"))
    (given,) = (row for row in run.doses if row.into_ == "flask" and row.reagent == "S")
    assert given.delivered_ml == pytest.approx(0.2, abs=0.006)
    assert run.truth["pump_2.delivered_ml"] == pytest.approx(0.2, abs=0.01)


def test_a_run_that_is_cut_off_in_an_extra_step_asks_about_the_step_that_it_interrupted(conducted):
    during = {40: say("freeze"), 60: say("fixup", "hold: {for: 90 s}"), 100: say("abort", "off")}
    run = conducted(HOLDS, during=during)
    assert begun(run) == [("a", "cancelled"), ("fixup-1", "cancelled")]
    with open_run(run.directory) as record:
        past = past_of(record)
    assert past.interrupted == "a"


def test_between_two_steps_it_comes_before_the_next(conducted, chooses):
    during = {40: say("pause"), 160: say("fixup", STIRS)}
    run = conducted(HOLDS, during=during, operator=chooses("resume"))
    assert begun(run) == [("a", "done"), ("fixup-1", "done"), ("b", "done")]


def test_after_it_the_step_that_it_came_before_may_be_skipped(conducted, chooses):
    during = {40: say("freeze"), 60: say("fixup", STIRS), 70: say("skip")}
    run = conducted(HOLDS, during=during, operator=chooses())
    assert begun(run)[:2] == [("a", "cancelled"), ("fixup-1", "done")]


@pytest.mark.parametrize(
    ("text", "by", "why"),
    [
        (STIRS, (), "signed"),
        ("ramp: {to: 95 C, within: 2 K}", ("MT",), "watched for a recipe that goes"),
        ("repeat: {until: flask.T > 10 C, at_most: 2, steps: [{stir: 300 rpm}]}", ("MT",), "one"),
        ("stirr: 300 rpm", ("MT",), "unknown verb"),
        ("inject: {reagent: XX, volume: 1 mL, over: 60 s}", ("MT",), "not among the reagents"),
        ("inject: {reagent: S, volume: 5 mL, over: 60 s}", ("MT",), "doses."),
        ("charge: {reagent: SQ, volume: 45 mL, by: hand}", ("MT",), "vessel."),
        ("stir: [", ("MT",), "is not YAML"),
    ],
)
def test_an_extra_step_is_refused_with_the_reason_and_the_run_stays_held(
    conducted, chooses, text, by, why
):
    during = {40: say("freeze"), 60: say("fixup", text, by), 100: say("resume")}
    run = conducted(HOLDS, during=during)
    (reason,) = refusals(run, "fixup")
    assert why in reason
    assert begun(run) == [("a", "done"), ("b", "done")]


def test_an_extra_step_is_refused_to_a_run_that_goes_on(conducted):
    run = conducted(HOLDS, during={40: say("fixup", STIRS)})
    assert refusals(run, "fixup") == ["fixup is not possible while the run is running"]


@pytest.fixture(scope="module")
def with_hf():
    recipe = Path(__file__).parents[3] / "recipes/inp_zns_surface_initiated.yaml"
    return prepare(Request(recipe))[0]


def step_of(planned, verb):
    return next(item.step for item in planned.steps if item.step.verb == verb)


@pytest.mark.parametrize(
    "text",
    ["inject: {reagent: HF, volume: 0.1 mL, over: 60 s}", "prime: {reagents: [HF], into: w}"],
)
def test_an_extra_step_never_gives_hf(with_hf, text):
    course = Course(SimpleNamespace(plan=with_hf))
    with pytest.raises(RefusedError, match="HF is given where the recipe gives it"):
        course.fixup(text, ("MT", "YK"), step_of(with_hf, "ramp"))


def test_no_extra_step_comes_into_an_hf_treatment(with_hf):
    course = Course(SimpleNamespace(plan=with_hf))
    with pytest.raises(RefusedError, match="not begun again"):
        course.fixup(STIRS, ("MT", "YK"), step_of(with_hf, "hf_treat"))


def written(tmp_path, steps, head=HEAD):
    path = tmp_path / "other.yaml"
    path.write_text(head + steps, encoding="utf-8")
    return path


def test_other_steps_come_after_the_one_that_runs(conducted, tmp_path):
    other = written(tmp_path, HOLDS.replace("id: b, for: 60 s", "id: c, for: 20 s"))
    run = conducted(HOLDS, during={40: say("change", other, ("MT", "YK"))})
    assert refusals(run, "change") == [""]
    assert begun(run) == [("a", "done"), ("c", "done")]
    assert length_s(run.step("c")) == pytest.approx(20, abs=1)
    assert deviations(run) == ["what comes after a is changed to other.yaml; signed: MT, YK"]
    assert run.outcome == "complete_with_deviations"
    with open_run(run.directory) as record:
        kept = {row.name: row.text for row in record.artefacts}
    assert kept["change-1.yaml"] == other.read_text(encoding="utf-8")


def test_nothing_need_come_any_more(conducted, tmp_path):
    other = written(tmp_path, HOLDS.partition("  - hold: {id: b")[0])
    run = conducted(HOLDS, during={40: say("pause"), 200: say("change", other), 210: say("resume")})
    assert begun(run) == [("a", "done")]
    assert run.outcome == "complete_with_deviations"


def test_what_an_extra_step_gave_counts_when_what_comes_is_changed(conducted, chooses, tmp_path):
    steps = f"  - prime: {{reagents: [S], into: waste}}\n{HOLDS}"
    dose = "inject: {reagent: S, volume: 0.6 mL, over: 40 s}"
    other = written(tmp_path, f"{steps}  - {dose}\n")
    during = {60: say("freeze"), 80: say("fixup", dose), 200: say("change", other)}
    run = conducted(steps, during=during, operator=chooses("resume"))
    assert "doses." in refusals(run, "change")[0]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("id: a, for: 100 s", "id: a, for: 200 s", "a has begun and is not as it was"),
        ("  - hold: {id: a", "  - stir: 400 rpm\n  - hold: {id: a", "has begun and is not"),
        ("id: b, for: 60 s}", "id: b, for: 60 s}\n  - ramp: {to: 95 C}", "this run is watched"),
        (
            "id: b, for: 60 s}",
            "id: b, for: 60 s}\n  - charge: {reagent: SQ, volume: 45 mL, by: hand}",
            "vessel.",
        ),
        ("2.17 mol/L", "2.0 mol/L", "only steps may change while a run goes on, not reagents"),
        ("id: b, for: 60 s", "id: b, for: 60", "unit"),
    ],
)
def test_a_change_is_refused_with_the_reason_and_nothing_changes(
    conducted, tmp_path, old, new, why
):
    assert old in HEAD + HOLDS
    other = written(tmp_path, "", (HEAD + HOLDS).replace(old, new))
    run = conducted(HOLDS, during={40: say("change", other)})
    (reason,) = refusals(run, "change")
    assert why in reason
    assert begun(run) == [("a", "done"), ("b", "done")]
    assert run.outcome == "complete"


def test_a_change_is_refused_unsigned_or_without_a_file(conducted, tmp_path):
    other = written(tmp_path, HOLDS)
    during = {40: say("change", other, ()), 41: say("change", tmp_path / "none.yaml")}
    run = conducted(HOLDS, during=during)
    unsigned, missing = refusals(run, "change")
    assert "--by" in unsigned
    assert "cannot be read" in missing


def test_a_change_to_the_same_steps_written_elsewhere_is_none(conducted, tmp_path):
    run = conducted(HOLDS, during={40: say("change", written(tmp_path, "# later\n" + HOLDS))})
    assert begun(run) == [("a", "done"), ("b", "done")]
