import asyncio
import io
import signal

import pytest

from labctl.capabilities import Reply, Task, TaskKind
from labctl.cli.terminal import TerminalOperator


class Hands:
    """Remembers what was to be done; the twin's gauge shows 12.5."""

    def __init__(self):
        self.did = []

    async def do(self, task):
        self.did.append(task)
        return Reply(value=12.5)


@pytest.fixture
def ask():
    def run(task, typed):
        hands, prompts = Hands(), io.StringIO()
        operator = TerminalOperator(hands, io.StringIO(typed), prompts)
        return asyncio.run(operator.do(task)), hands.did, prompts.getvalue()

    return run


QUESTION = Task(TaskKind.ANSWER, "1S still moving", choices=("accept", "park"), default="park")
CONFIRM = Task(TaskKind.CONFIRM, "HF", items=("gel", "shield"), signatures=2)
CHARGE = Task(TaskKind.CHARGE, "charge 10 mL of SQ", "SQ", 10.0)
READ = Task(TaskKind.READ, "read flask.P", "flask.P", dimension="pressure")


@pytest.mark.parametrize(
    ("typed", "reply"),
    [
        ("1\n", Reply("accept")),
        ("accept\n", Reply("accept")),
        ("3\nwhat\n2\n", Reply("park")),
        ("\n", Reply("park", by_default=True)),
        ("", Reply("park", by_default=True)),
    ],
)
def test_a_choice_by_number_by_name_or_by_default(typed, reply, ask):
    assert ask(QUESTION, typed)[0] == reply


def test_a_choice_without_default_does_not_take_enter(ask):
    task = Task(TaskKind.ANSWER, "which", choices=("a", "b"))
    reply, _, said = ask(task, "\n\n2\n")
    assert reply == Reply("b")
    assert said.count("choose one of 1 to 2") == 2


def test_two_people_sign_with_two_names(ask):
    reply, _, said = ask(CONFIRM, "YK\n\nYK\nMT\n")
    assert reply == Reply(signed=("YK", "MT"))
    assert "YK has signed already" in said
    assert "  - shield\n" in said


@pytest.mark.parametrize("typed", ["no\n", "YK\nNO\n", ""])
def test_refusing_or_leaving_does_not_sign(typed, ask):
    assert ask(CONFIRM, typed)[0].text == "refused"


@pytest.mark.parametrize(
    ("typed", "poured"), [("done\n", 10.0), ("\n9.6\n9.6 mL\n", 9.6), ("9600 uL\n", 9.6)]
)
def test_hands_do_what_was_said(typed, poured, ask):
    _, (did,), _ = ask(CHARGE, typed)
    assert did.amount == pytest.approx(poured)


@pytest.mark.parametrize("typed", ["no\n", "", "\n\n"])
def test_hands_do_nothing_unasked(typed, ask):
    reply, did, _ = ask(CHARGE, typed)
    assert (reply.text, did) == ("refused", [])


@pytest.mark.parametrize(
    ("typed", "value"),
    [("\n", 12.5), ("1 Torr\n", 1.333223684), ("5\n5 K\n5 mbar\n", 5.0)],
)
def test_a_reading_has_a_unit_or_is_what_the_twin_shows(typed, value, ask):
    reply, _, said = ask(READ, typed)
    assert reply.value == pytest.approx(value)
    assert "[12.5 mbar, as the twin shows]" in said


class Interrupted(io.StringIO):
    def readline(self):
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_goes_to_whoever_owns_it_and_proceeds_with_nothing():
    told = []
    before = signal.signal(signal.SIGINT, lambda *_: told.append("interrupt"))
    try:
        operator = TerminalOperator(Hands(), Interrupted(), io.StringIO())
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            reply = runner.run(operator.do(QUESTION))
        assert signal.getsignal(signal.SIGINT)(2, None) is None
    finally:
        signal.signal(signal.SIGINT, before)
    assert told == ["interrupt", "interrupt"]
    assert reply.text == "refused"
