"""The bus: one way, in order, and a listener that breaks is dropped, not the run."""

from __future__ import annotations

import logging

from labctl.bus import Bus
from labctl.readings import Event, Quality, Reading

READING = Reading("flask.T", 21.5, Quality.GOOD, 10**9)
EVENT = Event(2 * 10**9, "step.started", "stir at 600 rpm")


def test_every_listener_gets_every_message_in_order():
    bus, first, second = Bus(), [], []
    bus.subscribe(first.append)
    bus.subscribe(second.append)
    bus.publish(READING)
    bus.publish(EVENT)
    assert first == second == [READING, EVENT]


def test_who_comes_later_gets_what_comes_later():
    bus, seen = Bus(), []
    bus.publish(READING)
    assert not bus.listened
    bus.subscribe(seen.append)
    assert bus.listened
    bus.publish(EVENT)
    assert seen == [EVENT]


def test_a_listener_that_raises_is_dropped_with_one_log_line(caplog):
    bus, seen = Bus(), []

    def broken(message):
        raise ZeroDivisionError

    bus.subscribe(broken)
    bus.subscribe(seen.append)
    with caplog.at_level(logging.ERROR):
        bus.publish(READING)
        bus.publish(EVENT)
    assert seen == [READING, EVENT]
    assert len(caplog.records) == 1


def test_a_listener_may_subscribe_another_without_hearing_twice():
    bus, seen = Bus(), []
    bus.subscribe(lambda message: bus.subscribe(seen.append))
    bus.publish(READING)
    assert seen == []
