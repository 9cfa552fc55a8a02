"""A Tecan Cavro XCalibur syringe pump that answers bytes: OEM and DT protocol, valve and plunger.

It starts as after power-up: not initialised, its plunger's place unknown. A pump of a loaded rig
(`touches["drawn"]`) stands as its operator leaves it: initialised, with the syringe drawn. Source:
Cavro XCalibur Operating Manual 733085-B, chapter 3. Not simulated: ramps, backlash, TTL inputs (a
halted program waits for R), and what is in the reservoir: only the port of the flask is plumbed.
"""

from __future__ import annotations

import math

from labctl.framing.cavro import (
    FIRST_ADDRESS,
    Answer,
    Command,
    CommandReader,
    dt_answer,
    oem_answer,
)
from labctl.twin import Plant, TwinDevice
from simulators.cavro_program import (
    INVALID_OPERAND,
    MICROSTEPS,
    NEEDS_PLACE,
    SPEEDS,
    STEPS,
    BadProgramError,
    Step,
    read,
)

_NS = 1_000_000_000
_TURN_ROUND_NS = 4_000_000
_VALVE_NS = 250_000_000
_INITIALISING_NS = 2_000_000_000
_FULL = STEPS * MICROSTEPS
# Speeds count half-steps: 6000 of them are a full stroke, whatever the plunger's places are.
_PLACES_PER_PULSE = _FULL / 6000
_SHORT_ML = 1e-9
_READY, _ALWAYS = 0x20, 0x40
_NOT_INITIALISED, _PLUNGER, _VALVE, _BYPASS, _OVERFLOW = 7, 9, 10, 11, 15
_PASSING = frozenset({2, 3, 4, _BYPASS, _OVERFLOW})
_LETTERS = {"input": "i", "output": "o"}


class SimXCalibur:
    """The pump's protocol; faults by `stall`, `jam_valve`, `power_cycle` and `lose_next_reply`.

    `touches["plunger"]` is the syringe whose line is at the flask's port. A plant that moves less
    than the plunger was pushed is a plunger overload.
    """

    def __init__(self, device: TwinDevice, plant: Plant) -> None:
        settings = device.settings
        self.address = FIRST_ADDRESS + settings.address
        self.lose_next_reply = False
        self.valve_jammed = False
        self._plant = plant
        self._plunger = device.touches.get("plunger", f"syringe.{device.name}")
        self._syringe_ml = settings.syringe_ml or 1.0
        self._flask = settings.ports.get("flask", "output")
        self._valve_ports = 9 if self._flask.isdigit() else 0
        self._at_ns = 0
        self._last = ""
        self._place = 0.0
        self.power_cycle()
        if "drawn" in device.touches:
            self._initialised = True
            drawn_ml = plant.get(device.touches["drawn"], 0)
            self._place = min(drawn_ml / self._syringe_ml, 1.0) * _FULL
            self._port = self._port_of(self._flask)

    def power_cycle(self) -> None:
        """Switch off and on: mode and program are lost, and either protocol is heard.

        The plunger stays where it is; the pump does not know where that is.
        """
        self._reader = CommandReader()
        self._oem_only = False
        self._heard: int | None = None
        self._said = Answer(0, b"")
        self._initialised = False
        self._error = 0
        self._micro = False
        self._port = ""
        self._speeds = {"v": 900, "V": 1400, "c": 900, "L": 14, "K": 12, "k": 0}
        self._buffer: list[Step] = []
        self._program: list[Step] = []
        self._next = 0
        self._loops: list[list[int]] = []
        self._target: float | None = None
        self._aside = False
        self._until_ns = self._at_ns
        self._delayed = False
        self._halted = False
        self._moves = 0

    def stall(self) -> None:
        """Block the plunger: what moves stops with a plunger overload."""
        self._fail(_PLUNGER)

    def jam_valve(self) -> None:
        """Block the valve: the next turn ends with a valve overload."""
        self.valve_jammed = True

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes at `t_ns`; return the answers, each (delay in ns, bytes)."""
        self.advance(t_ns)
        self._reader.take(data)
        said = []
        while (command := self._reader.next_command()) is not None:
            reply = self._hear(command)
            if reply and not self.lose_next_reply:
                said.append((_TURN_ROUND_NS, reply))
            self.lose_next_reply = self.lose_next_reply and not reply
        return said

    def advance(self, t_ns: int) -> None:
        """Run the program to `t_ns`; every step ends at its exact time."""
        while self._busy and self._at_ns < t_ns:
            if self._target is not None:
                self._travel(self._target, t_ns)
            elif self._until_ns > self._at_ns:
                self._at_ns = min(self._until_ns, t_ns)
            else:
                self._begin()
        self._at_ns = t_ns

    @property
    def _busy(self) -> bool:
        waits = self._target is not None or self._until_ns > self._at_ns
        return not self._halted and (waits or self._next < len(self._program))

    def _hear(self, command: Command) -> bytes:
        oem = command.sequence is not None
        if oem:
            self._oem_only = True
        elif self._oem_only:
            return b""
        alone, meant = _is_meant(command.address, self.address)
        if not meant:
            return b""
        if not (command.repeated and command.sequence == self._heard):
            self._said = self._obey(command.data.decode("latin-1"))
        self._heard = command.sequence
        if not alone:
            return b""
        return oem_answer(self._said) if oem else dt_answer(self._said)

    def _obey(self, text: str) -> Answer:
        if self._error in _PASSING:
            self._error = 0
        if text == "Q":
            return self._answer()
        if text in {"T", "TR"}:
            self._program, self._next, self._loops = [], 0, []
            self._target, self._halted = None, False
            self._until_ns = self._at_ns if self._delayed else self._until_ns
            return self._answer()
        report = self._reports().get(text)
        if report is not None:
            return self._answer(report)
        try:
            self._take(text)
        except BadProgramError as bad:
            self._error = bad.code
        return self._answer()

    def _take(self, text: str) -> None:
        """Load a string into the buffer and run it if it ends with R; X runs the last again.

        Raises:
            BadProgramError: the pump does not take it now.
        """
        runs = text.endswith(("R", "X"))
        body = self._last if text == "X" else text.removesuffix("R")
        steps = read(body, self._valve_ports)
        if self._busy:
            if [step.letter for step in steps] != ["V"]:
                raise BadProgramError(_OVERFLOW)
            if steps[0].number > 1024:
                raise BadProgramError(INVALID_OPERAND)
            self._set(steps[0])
            return
        if body:
            self._buffer = steps
            self._last = body
        if runs and self._halted and not body:
            self._halted = False
        elif runs:
            self._check(self._buffer)
            self._program, self._buffer = self._buffer, []
            self._next, self._loops, self._halted = 0, [], False
            self._run_what_takes_no_time()

    def _check(self, steps: list[Step]) -> None:
        """Refuse at once what cannot be run from here.

        Raises:
            BadProgramError: no place is known, a motor is blocked, or a move goes too far.
        """
        letters = {step.letter for step in steps}
        if letters & set("ZYW"):
            return
        if self._error in {_PLUNGER, _VALVE} and letters & NEEDS_PLACE:
            raise BadProgramError(self._error)
        if not self._initialised and letters & NEEDS_PLACE:
            raise BadProgramError(_NOT_INITIALISED)
        place, micro = self._place, self._micro
        for step in steps:
            micro = bool(step.number) if step.letter == "N" else micro
            if step.letter in "APDapd":
                place = self._aim(step, place, micro)
            if letters & set("gG"):
                break

    def _run_what_takes_no_time(self) -> None:
        while self._busy and self._target is None and self._until_ns <= self._at_ns:
            self._begin()

    def _begin(self) -> None:
        step = self._program[self._next]
        self._next += 1
        letter = step.letter
        self._delayed = letter == "M"
        if letter in "APDapd":
            self._move(step)
        elif letter in "IOBE":
            self._turn(step)
        elif letter in "ZYW":
            self._initialise(step)
        elif letter == "M":
            self._until_ns = self._at_ns + step.number * 1_000_000
        elif letter == "H":
            self._halted = True
        elif letter in "gG":
            self._loop(step)
        else:
            self._set(step)

    def _loop(self, step: Step) -> None:
        if step.letter == "g":
            self._loops.append([self._next, 0])
            return
        if not self._loops:
            self._loops.append([0, 0])
        loop = self._loops[-1]
        loop[1] += 1
        if step.number == 0 or loop[1] < step.number:
            self._next = loop[0]
            # A loop that takes no time would never let go of the pump.
            self._until_ns = max(self._until_ns, self._at_ns + 1_000_000)
        else:
            self._loops.pop()

    def _set(self, step: Step) -> None:
        if step.letter == "N":
            self._micro = bool(step.number)
        elif step.letter == "S":
            self._speeds["V"] = SPEEDS[step.number]
            for other in "vc":
                self._speeds[other] = min(self._speeds[other], self._speeds["V"])
        elif step.letter in self._speeds:
            self._speeds[step.letter] = step.number

    def _move(self, step: Step) -> None:
        if self._port == "b":
            self._fail(_BYPASS)
            return
        try:
            self._target = self._aim(step, self._place, self._micro)
        except BadProgramError as bad:
            self._fail(bad.code)
        self._aside = step.letter.islower()
        self._moves += 1

    @staticmethod
    def _aim(step: Step, place: float, micro: bool) -> float:
        places = step.number * (1 if micro else MICROSTEPS)
        way = step.letter.upper()
        target = {"A": places, "P": place + places, "D": place - places}[way]
        if not -0.5 <= target <= _FULL + 0.5:
            raise BadProgramError(INVALID_OPERAND)
        return min(max(target, 0.0), _FULL)

    def _turn(self, step: Step) -> None:
        if self.valve_jammed:
            self._fail(_VALVE)
            return
        if self._valve_ports:
            first, last = 1, self._valve_ports
            bare = first if step.letter == "I" else last
            self._port = str(step.number or bare)
        else:
            self._port = {"I": "i", "O": "o", "B": "b", "E": "e"}[step.letter]
        self._until_ns = self._at_ns + _VALVE_NS

    def _initialise(self, step: Step) -> None:
        """Turn to the output and drive the plunger up: what is in the syringe goes out there."""
        self.valve_jammed = False
        if step.letter != "W":
            where = step.numbers[2] if len(step.numbers) > 2 else 0
            self._port = str(where or self._valve_ports) if self._valve_ports else "o"
        self._push(-self._place)
        self._place, self._initialised, self._error = 0.0, True, 0
        self._until_ns = self._at_ns + _INITIALISING_NS

    def _travel(self, target: float, t_ns: int) -> None:
        speed = self._speeds["V"] * _PLACES_PER_PULSE
        left = target - self._place
        ends_ns = self._at_ns + math.ceil(abs(left) / speed * _NS)
        arrives = ends_ns <= t_ns
        step = left if arrives else math.copysign(speed * (t_ns - self._at_ns) / _NS, left)
        self._at_ns = min(ends_ns, t_ns)
        moved = self._push(step)
        self._place += moved
        if abs(moved) < abs(step) - _SHORT_ML / self._syringe_ml * _FULL:
            self._fail(_PLUNGER)
        elif arrives:
            self._place, self._target = target, None

    def _push(self, places: float) -> float:
        """Move the plunger by so many places, down is positive; return how far it went."""
        if self._port != self._port_of(self._flask) or not places:
            return places
        volume_ml = -places / _FULL * self._syringe_ml
        moved_ml = self._plant.move(self._plunger, volume_ml, self._at_ns)
        return -moved_ml / self._syringe_ml * _FULL

    def _fail(self, code: int) -> None:
        self._error = code
        self._program, self._next, self._target = [], 0, None

    def _port_of(self, name: str) -> str:
        return _LETTERS.get(name, name)

    def _answer(self, data: str = "") -> Answer:
        ready = not self._busy or (self._aside and self._target is not None)
        return Answer(_ALWAYS | (_READY if ready else 0) | self._error, data.encode("ascii"))

    def _reports(self) -> dict[str, str]:
        known = self._place if self._initialised else 0.0
        place = str(round(known / (1 if self._micro else MICROSTEPS)))
        numbers = {
            "?1": self._speeds["v"],
            "?2": self._speeds["V"],
            "?3": self._speeds["c"],
            "?12": self._speeds["K"],
            "?13": 1,
            "?14": 1,
            "?15": int(self._initialised),
            "?16": self._moves,
            "?17": 0,
            "?18": 0,
            "?24": self._speeds["k"],
        }
        twice = {
            ("?10", "F"): str(int(bool(self._buffer))),
            ("?20", "#"): "5423",
            ("?22", "*"): "240",
            ("?23", "&"): "P/N 30042430-C",
            ("?", "?4"): place,
            ("?6",): self._port or "?",
            ("?76",): f"XCalibur, {self._valve_ports or 3} ports, RS-232 9600",
        }
        said = {name: str(number) for name, number in numbers.items()}
        return said | {name: text for names, text in twice.items() for name in names}


def _is_meant(address: int, own: int) -> tuple[bool, bool]:
    """Say whether a command is for this pump alone, and whether it is for it at all.

    0x41.. are pairs, 0x51.. fours, 0x5F all; a pump that is not alone obeys without an answer.
    """
    number = own - FIRST_ADDRESS
    if address == 0x5F:
        return False, True
    if 0x51 <= address < 0x5F:
        return False, number // 4 == (address - 0x51) // 4
    if 0x41 <= address < 0x51:
        return False, number // 2 == (address - 0x41) // 2
    return True, address == own
