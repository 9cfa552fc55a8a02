"""People: asked while the run waits, signed by name, and never taken to have agreed."""

from __future__ import annotations

import asyncio

import pytest

from labctl.capabilities import Reply, TaskKind
from labctl.engine.machine import State
from labctl.errors import AbortedError, StepFailedError
from labctl.loop import run_virtual
from labctl.rig.by_hand import HandBoard, HandStirrer, HandVacuum
from tests.labctl.engine.conftest import HEAD, SHEET

SIGNED = """
  - confirm: {who: two people, for: S, list: [gloves and face shield, hood flow]}
"""
OUT_OF_TIME = """
  - wait_until: {condition: flask.T > 90 C, timeout: 20 s, on_timeout: {ask: still cold,
                 choices: [extend 10 s, accept, park], default: park, after: 10 min}}
"""


class Person:
    """Does what the simulated person does, but replies to some kinds of tasks as told."""

    def __init__(self, **replies):
        self.replies = {TaskKind(kind): reply for kind, reply in replies.items()}
        self.asked, self.states, self.run = [], [], None

    def __call__(self, simulated):
        self.simulated = simulated
        return self

    def watch(self, run):
        self.run = run

    async def do(self, task):
        self.asked.append((task.kind, task.text))
        self.states.append(None if self.run is None else self.run.machine.state)
        return self.replies.get(task.kind) or await self.simulated.do(task)


def test_the_run_waits_while_somebody_is_asked(conducted):
    person = Person()
    run = conducted(SIGNED, operator=person, watch=person.watch)
    asked = dict(zip((kind for kind, _ in person.asked), person.states, strict=True))
    assert asked[TaskKind.CONFIRM] is State.WAITING
    assert person.run.machine.state is State.COMPLETE
    assert run.outcome == "complete"


def test_two_people_sign_with_their_names_of_the_batch_sheet(conducted):
    person = Person()
    run = conducted(SIGNED, operator=person, watch=person.watch)
    (question,) = [q for q in run.questions if "face shield" in q.text]
    assert question.by == "YK, MT"
    assert question.answer == "done"
    assert question.simulated
    assert person.run.signed == {"S": {"YK", "MT"}}


@pytest.mark.parametrize(
    "signed", [(), ("operator",), ("operator", "operator"), ("YK", "operator")]
)
def test_one_person_cannot_sign_for_two(conducted, signed):
    run = conducted(SIGNED, operator=Person(confirm=Reply(signed=signed)))
    assert run.outcome == "safe"
    assert "2 people must sign" in run.reason


def test_a_refusal_ends_the_run_in_the_safe_state(conducted):
    run = conducted(SIGNED, operator=Person(charge=Reply(text="refused")))
    assert run.outcome == "safe"
    assert "refused" in run.reason
    assert run.questions[-1].answer == "refused"
    assert run.truth["volume_ml"] == 0.0


def test_the_trap_is_asked_for_again_before_the_answer_expires(conducted, rig_text):
    rig = rig_text.replace("ask_level: 3 h", "ask_level: 10 min")
    run = conducted(
        "  - confirm: {who: operator, list: [trap cold]}\n  - hold: {for: 650 s}\n", rig=rig
    )
    assert run.outcome == "complete"
    first, *again = [q.at_ns / 1e9 for q in run.questions if "trap cold" in q.text]
    assert again == pytest.approx([first + 300, first + 600], abs=2)


def test_a_trap_nobody_called_cold_is_not_asked_for(conducted, rig_text):
    rig = rig_text.replace("ask_level: 3 h", "ask_level: 10 min")
    run = conducted("  - hold: {for: 650 s}\n", rig=rig)
    assert not [q for q in run.questions if "trap" in q.text]


def test_nobody_answers_and_the_default_parks(conducted):
    run = conducted(OUT_OF_TIME)
    assert (run.outcome, run.meta.state) == ("safe", "safe")
    question = run.questions[-1]
    assert "still cold" in question.text
    assert (question.answer, question.by) == ("park", "default")


def test_an_accepted_timeout_is_a_deviation(conducted):
    run = conducted(OUT_OF_TIME, operator=Person(answer=Reply(text="accept")))
    assert run.outcome == "complete_with_deviations"
    assert run.step("work.3").state == "done"
    assert [e.level for e in run.events if e.code == "deviation"] == ["warning"]


def test_an_extension_waits_on_and_then_asks_again(conducted):
    answers = iter([Reply(text="extend 10 s"), Reply(text="accept")])

    class Extends(Person):
        async def do(self, task):
            if task.kind is TaskKind.ANSWER:
                return next(answers)
            return await super().do(task)

    run = conducted(OUT_OF_TIME, operator=Extends())
    step = run.step("work.3")
    assert (step.end_ns - step.start_ns) / 1e9 == pytest.approx(30, abs=2.5)
    assert run.codes().count("deviation") == 2


@pytest.mark.parametrize(
    ("value", "outcome"), [(580.0, "complete"), (600.0, "complete_with_deviations")]
)
def test_a_typed_value_outside_its_range_is_a_deviation(conducted, value, outcome):
    ask = "  - ask: {for: the peak of the lot, unit: nm, range: 570 nm .. 590 nm}\n"
    run = conducted(ask, operator=Person(answer=Reply(value=value)))
    assert run.outcome == outcome
    assert run.questions[-1].answer == f"{value:g} nm"


LOOKS = """
  - ask: {for: colour of the flask, choices: {extend 10 min: extend 10 min, retry: retry,
          accept: accept, park: park, abort: abort, red: go on, pink: accept, brown: abort},
          default: park, after: 10 min}
"""


class Answering(Person):
    """Gives its answers one after the other."""

    def __init__(self, *answers):
        super().__init__()
        self.answers = list(answers)

    async def do(self, task):
        if task.text == "colour of the flask":
            self.asked.append((task.kind, task.text))
            return Reply(self.answers.pop(0))
        return await self.simulated.do(task)


@pytest.mark.parametrize(
    ("answers", "outcome", "deviations"),
    [
        (["red"], "complete", []),
        (["retry", "red"], "complete", []),
        (["accept"], "complete_with_deviations", ["accepted by a person: colour of the flask"]),
        (
            ["extend 10 min", "red"],
            "complete_with_deviations",
            ["extended by 10 min: colour of the flask"],
        ),
        (["pink"], "complete_with_deviations", ["accepted by a person: colour of the flask: pink"]),
        (["brown"], "safe", []),
        (["park"], "safe", []),
        (["abort"], "safe", []),
        (["retry"] * 20, "safe", []),
    ],
)
def test_an_answer_is_acted_upon(conducted, answers, outcome, deviations):
    person = Answering(*answers)
    run = conducted(LOOKS, operator=person)
    assert run.outcome == outcome
    assert person.answers == []
    told = [event.message for event in run.events if event.code == "deviation"]
    assert [text for text in told if "colour" in text] == deviations


class Silent(Person):
    """Does what is asked but for some kinds of tasks, which it never answers."""

    def __init__(self, *kinds, about=""):
        super().__init__()
        self.kinds, self.about, self.deadlines = {TaskKind(kind) for kind in kinds}, about, []

    async def do(self, task):
        if task.kind in self.kinds and self.about in task.text:
            self.deadlines.append(task.after_s)
            await asyncio.Event().wait()
        return await self.simulated.do(task)


ALIQUOT = "  - aliquot: {volume: 0.1 mL, by: hand, label: seed, into: vial}\n"
ASKED = (
    "  - ask: {for: dots gone, choices: {all: go on, none: park}, default: none, simulated: all}\n"
)
MEASURED = "  - ask: {for: the peak of the lot, unit: nm, simulated: 580 nm}\n"
INJECT = "  - inject: {id: s, reagent: S, volume: 0.3 mL, over: 60 s, by: hand}\n"


@pytest.mark.parametrize(
    ("kind", "steps", "after_s"),
    [
        ("answer", ASKED, 600.0),
        ("answer", MEASURED, 600.0),
        ("confirm", SIGNED, 600.0),
        ("charge", "", 1800.0),
        ("inject", INJECT, 1860.0),
        ("sample", ALIQUOT, 1800.0),
    ],
)
def test_a_person_who_never_answers_ends_the_run_in_the_safe_state_in_time(
    conducted, kind, steps, after_s
):
    person = Silent(kind, about="" if kind != "answer" else steps.split("for: ")[1].split(",")[0])
    run = conducted(steps, operator=person)
    assert person.deadlines[0] == after_s
    assert person.deadlines[1:] in (
        [],
        [600.0],
    )  # asked what to do about it, where it is silent too
    assert (run.outcome, run.meta.state) == ("safe", "safe")
    assert "nobody answered within" in run.reason
    assert run.truth["heater_w"] == 0.0
    assert run.truth["valve.n2"] == 1.0
    failed = next(event for event in run.events if event.code == "step.failed")
    question = next(q for q in run.questions if q.by == "default")
    assert (failed.t_ns - question.t_ns) / 1e9 == pytest.approx(after_s, abs=2)
    assert question.answer == ("none" if steps == ASKED else "refused")


def test_a_dose_by_hand_that_nobody_answered_for_is_unknown_and_not_asked_for_again(
    conducted, chooses
):
    person = Silent("inject")
    choices = chooses("retry")

    def operator(simulated):
        return choices(person(simulated))

    run = conducted(INJECT, operator=operator)
    assert run.dose("s").state == "unknown"
    assert len(person.deadlines) == 1
    assert "what became of dose s is unknown" in run.reason


def test_a_late_person_may_still_say_retry(conducted, chooses):
    class Once(Silent):
        async def do(self, task):
            self.kinds = set() if self.deadlines else self.kinds
            return await super().do(task)

    choices, person = chooses("retry"), Once("confirm")

    def operator(simulated):
        return choices(person(simulated))

    run = conducted(SIGNED, operator=operator)
    assert run.outcome == "complete_with_deviations"
    assert len(person.deadlines) == 1


@pytest.mark.parametrize(
    "turn",
    [
        lambda person: HandBoard(person, "manifold", "valve.").switch("vac_fine", on=True),
        lambda person: HandStirrer(person, "stirrer").stir(600.0),
        lambda person: HandVacuum(person, "rough").pump_to(50.0),
    ],
)
def test_what_a_person_turns_has_a_deadline_and_is_not_taken_to_be_done(turn):
    async def main(loop):
        with pytest.raises(StepFailedError, match="nobody answered within 30 min"):
            await turn(Silent("switch", "set"))
        assert loop.time() == pytest.approx(1800, abs=1)
        with pytest.raises(AbortedError, match="a person refused"):
            await turn(Person(switch=Reply(text="refused"), set=Reply(text="refused")))

    run_virtual(main)


HF_HEAD = HEAD.replace("park:", "  HF: {is: HF in acetone, concentration: 3.5 mol/L}\npark:")
HF_SHEET = SHEET.replace("  S:", "  HF: {lot: c, by: hand}\n  S:") + "scrubber: KOH\n"
HF_BY_HAND = """
  - confirm: {who: two people, for: HF, list: [gloves and face shield, hood flow]}
  - inject: {id: hf, reagent: HF, volume: 0.02 mL, over: 60 s, by: hand}
"""


def test_hf_goes_in_by_hand_once_two_people_have_signed_for_it(conducted):
    run = conducted(HF_BY_HAND, head=HF_HEAD, sheet=HF_SHEET, operator=Person())
    assert run.dose("hf").state == "done"
    assert run.dose("hf").delivered_ml == 0.02


def test_hf_is_not_given_by_hand_where_its_signatures_were_skipped(conducted, chooses):
    person, choices = Silent("confirm"), chooses("skip")

    def operator(simulated):
        return choices(person(simulated))

    run = conducted(HF_BY_HAND, head=HF_HEAD, sheet=HF_SHEET, operator=operator)
    assert run.outcome == "safe"
    assert "HF contains HF: 2 people must sign for it in this run, 0 did" in run.reason
    assert not [dose for dose in run.doses if dose.id == "hf"]
    assert run.truth["volume_ml"] == pytest.approx(10.0, abs=0.01)
