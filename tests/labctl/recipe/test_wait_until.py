"""What `wait_until` does with each ruling: it goes on by itself only when that came."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from labctl.bench import Answer, Ruling
from labctl.errors import AbortedError, StepFailedError
from labctl.recipe.steps.wait_until import WaitUntil

ASK = {
    "ask": "look",
    "choices": ("extend 5 min", "accept", "park"),
    "default": "park",
    "after": "3 min",
}


class Judged:
    """A bench whose decision is known beforehand; `asked` are its questions."""

    def __init__(self, *states, choice="park"):
        self.states, self.choice, self.asked, self.notes = list(states), choice, [], []

    async def decide(self, criterion):
        return Ruling(self.states.pop(0), "as the test has it")

    async def ask(self, question):
        self.asked.append(question)
        return Answer(self.choice)

    def note(self, code, message):
        self.notes.append(code)

    def deviation(self, message):
        self.notes.append(message)


def step(**fields):
    return TypeAdapter(WaitUntil).validate_python(
        {"id": "w", "saturated": "peak", "timeout": "90 min", **fields}
    )


async def test_saturated_goes_on():
    await step().run(Judged("saturated"))


@pytest.mark.parametrize("state", ["fault", "no_reaction", "timeout"])
async def test_nothing_else_goes_on_by_itself(state):
    with pytest.raises(StepFailedError):
        await step().run(Judged(state))


@pytest.mark.parametrize("state", ["fault", "no_reaction"])
async def test_continue_is_for_a_timeout_only(state):
    await step(on_timeout="continue").run(Judged("timeout"))
    with pytest.raises(StepFailedError):
        await step(on_timeout="continue").run(Judged(state))


async def test_a_track_without_data_has_its_own_way_out():
    asks = step(on_timeout=ASK, on_no_data="park")
    with pytest.raises(AbortedError, match="park"):
        await asks.run(Judged("fault"))
    bench = Judged("timeout", choice="accept")
    await asks.run(bench)
    assert bench.asked, "a timeout still asks"
    bench = Judged("fault", "saturated", choice="extend 5 min")
    await step(on_no_data=ASK).run(bench)
    assert bench.asked[0].default == "park"
