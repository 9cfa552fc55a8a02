"""The digest covers what happened, all of it, and nothing else."""

import os
import subprocess
import sys
from array import array

import pytest

from labctl.readings import Channel, Event, Quality, Reading, Spectrum
from labctl.record import DoseRow, InputRow, Record, RunMeta, open_run

NM, COUNTS = array("d", [400.0, 500.0]), array("I", [1, 2])


def story(directory, tell=lambda record: None, *, durable=False, **changes):
    plain = {
        "run_id": "a",
        "recipe_name": "r",
        "recipe_path": "p",
        "recipe_text": "t",
        "seed": 1,
        "simulated": True,
        "started_local": "2025-11-03T09:00:00",
    }
    record = Record.create(directory, RunMeta(**plain | changes), durable=durable)
    record.channels([Channel("T", "temperature"), Channel("P", "pressure")])
    record.append(Reading("T", 25.0, Quality.GOOD, 1))
    record.append(Reading("P", None, Quality.BAD, 1))
    record.event(Event(1, "a.b", "first", {"x": 0.1}))
    tell(record)
    record.close()
    with open_run(directory) as run:
        assert run.digest() == run.meta.digest
        return run.meta.digest


def test_the_same_story_has_the_same_digest_in_virtual_and_real_time(tmp_path):
    assert story(tmp_path / "a") == story(tmp_path / "b") == story(tmp_path / "c", durable=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"run_id": "b"},
        {"recipe_path": "/elsewhere"},
        {"versions": {"labctl": "9"}},
        {"started_local": "2025-11-04T09:00:00"},
    ],
    ids=str,
)
def test_names_paths_and_dates_are_left_out(tmp_path, changes):
    assert story(tmp_path / "a") == story(tmp_path / "b", **changes)


TELLS = [
    lambda r: r.append(Reading("T", 25.0, Quality.GOOD, 2)),
    lambda r: r.append(Reading("T", 25.0, Quality.GOOD, 3)),
    lambda r: r.append(Reading("P", 25.0, Quality.GOOD, 2)),
    lambda r: r.append(Reading("T", 25.000000000000004, Quality.GOOD, 2)),
    lambda r: r.append(Reading("T", 25.0, Quality.UNCERTAIN, 2)),
    lambda r: r.append(Reading("T", None, Quality.GOOD, 2)),
    lambda r: r.channels([Channel("X", "pressure")]),
    lambda r: r.spectrum(Spectrum("a", NM, COUNTS, 0.1, 1, 0, 9, 0), "dark"),
    lambda r: r.spectrum(Spectrum("a", NM, array("I", [1, 3]), 0.1, 1, 0, 9, 0), "dark"),
    lambda r: r.spectrum(Spectrum("a", NM[::-1], COUNTS, 0.1, 1, 0, 9, 0), "dark"),
    lambda r: r.curve(0, "a", "absorbance", NM, array("d", [0.5, 0.25])),
    lambda r: r.step_started(0, "I", "ramp", "I"),
    lambda r: r.step_ended(r.step_started(0, "I", "ramp", "I"), 1, "done"),
    lambda r: r.step_clock(r.step_started(0, "I", "ramp", "I"), 1),
    lambda r: r.dose(DoseRow("S", "S", "hand", "charge", "flask", "done", 0)),
    lambda r: r.dose(DoseRow("S", "S", "hand", "charge", "flask", "done", 0, flask_c=25.0)),
    lambda r: r.decision_started(0, "I", "steady"),
    lambda r: r.decision_ended(r.decision_started(0, "I", "steady"), 1, "s", "r", {"n": 1}),
    lambda r: r.decision_input(InputRow(1, 0, 1.0, 2.0, 3.0, 4.0, hold=False, used=True)),
    lambda r: r.decision_input(InputRow(1, 0, 1.0, 2.0, 3.0, 4.0, hold=True, used=True)),
    lambda r: r.event(Event(2, "a.b", "second")),
    lambda r: r.event(Event(2, "a.b", "second", {"x": 1})),
    lambda r: r.event(Event(2, "a.b", "second", level="deviation")),
    lambda r: r.alarm(0, "hot", "warn", "hot"),
    lambda r: r.alarm_off(r.alarm(0, "hot", "warn", "hot"), 1),
    lambda r: r.question(0, "Go on?"),
    lambda r: r.answer(r.question(0, "Go on?"), 1, "accept", "Kim"),
    lambda r: r.command(0, "Kim", "pause", accepted=True),
    lambda r: r.finish(1, "complete", "complete"),
    lambda r: r.finish(1, "complete", "complete", product={"layers": 1.0}),
    lambda r: None,
]


def test_no_two_different_stories_have_one_digest(tmp_path):
    digests = [story(tmp_path / str(i), tell) for i, tell in enumerate(TELLS)]
    twice = [i for i, found in enumerate(digests) if digests.count(found) > 1]
    assert not twice


def test_the_digest_ignores_wall_time(tmp_path):
    def ended(wall_s):
        return lambda record: record.finish(1, "complete", "complete", wall_s=wall_s)

    assert story(tmp_path / "a", ended(1.0)) == story(tmp_path / "b", ended(2.0))


async def test_what_came_of_an_intent_counts(tmp_path):
    digests = []
    for outcome in ("done", "unknown"):
        meta = RunMeta("a", "r", "p", "t", 1, True, "2025-11-03T09:00:00")
        record = Record.create(tmp_path / outcome, meta, durable=False)
        record.settle(await record.intent(0, "dose", {"ml": 1.0}), 1, outcome)
        record.close()
        with open_run(tmp_path / outcome) as run:
            digests.append(run.digest())
    assert digests[0] != digests[1]


def test_the_digest_does_not_depend_on_the_hash_seed(tmp_path):
    story(tmp_path, lambda record: record.event(Event(2, "c", "d", {"b": 1, "a": 2, "c": "x"})))
    program = (
        "import sys; from pathlib import Path; from labctl.record import open_run\n"
        "with open_run(Path(sys.argv[1])) as run: sys.stdout.write(run.digest())"
    )
    found = {
        subprocess.run(  # noqa: S603 - our own interpreter and text
            [sys.executable, "-c", program, str(tmp_path)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
