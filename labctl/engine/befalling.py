"""Faults of a simulated rig in a run: the world hears what begins, the record what befell."""

from __future__ import annotations

from labctl.bus import Message
from labctl.clock import NS
from labctl.engine.run import Run
from labctl.readings import Event, Scalar
from labctl.twin import FaultSeen, World

PLANNED, ACTED = "fault.planned", "fault.acted"


def befall(run: Run, world: World) -> None:
    """Write down which faults are to come, and tell the world when a stage or a step begins."""
    faults = world.faults()
    if not faults:
        return
    for fault in faults:
        run.event(PLANNED, fault.text, {"fault": fault.text}, "warning")

    def hear(message: Message) -> None:
        if isinstance(message, Event) and message.code == "step.started":
            step = str(message.data["step"])
            for anchor in dict.fromkeys((str(message.data["stage"]), step, step.partition("#")[0])):
                world.began(anchor, message.t_ns)

    run.bus.subscribe(hear)


def say_what_befell(run: Run, world: World) -> None:
    """Write down what became of the faults, one that never began too."""
    for fault in world.faults():
        data: dict[str, Scalar] = {"fault": fault.text, "acted": fault.acted}
        if fault.began_ns is not None:
            data["began_s"] = round(fault.began_ns / NS, 3)
        run.event(ACTED, _told(fault), data, "warning")


def _told(fault: FaultSeen) -> str:
    if fault.began_ns is None:
        return f"{fault.text}: never began; its stage or step was not reached"
    ended = "" if fault.ended_ns is None else f" to {fault.ended_ns / NS:.0f} s"
    times = "once" if fault.acted == 1 else f"{fault.acted} times"
    acted = f"acted {times}" if fault.acted else "had nothing to act on"
    return f"{fault.text}: from {fault.began_ns / NS:.0f} s{ended}, {acted}"
