"""Puts a run together: signals declared, instruments polled, interlocks compiled."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

from labctl.capabilities import Change, NoticesChanges, quality_of
from labctl.chemistry.constants import ROOM_C
from labctl.clock import NS
from labctl.engine.bench import EngineBench, RunStep
from labctl.engine.comms import Comms
from labctl.engine.doses import IDLE_POLL_S, Doses
from labctl.engine.fitness import PREFLIGHT
from labctl.engine.interlocks import Interlocks, Rule
from labctl.engine.optics import Optics
from labctl.engine.people import People, dimension_of_hand
from labctl.engine.poller import Poller
from labctl.engine.run import Run, RunFacts
from labctl.engine.shadowing import Shadowing
from labctl.engine.tracking import Tracking
from labctl.engine.verification import Verification
from labctl.plan import Plan
from labctl.readings import Channel, Kind, Quality, Reading
from labctl.registry import listing
from labctl.rig.comms import policy_of
from labctl.rig.devices import PumpEntry, RelayEntry
from labctl.rules import Interlock

FAST_S, REST_S = 1.0, 8.0
POLLS_PER_AGE = 2
POLLS_PER_WINDOW = 4
FIRST_READING_S = 10.0
PLAUSIBLE_AMBIENT_MBAR = (600.0, 1100.0)
TRACKED = (
    Channel("peak.hot", "wavelength"),
    Channel("peak.25C", "wavelength"),
    Channel("peak.sigma", "wavelength"),
    Channel("peak.band", "wavelength"),
    Channel("pl.area", "area"),
    Channel("pl.sigma", "area"),
    Channel("pl.peak", "wavelength"),
    Channel("pl.width", "wavelength"),
)
PATIENCE_S = {"peak": 60.0, "pl": 120.0}
HAND_PATIENCE_S = 900.0
HOTTER_K, HOTTER_S = 8.0, 5.0
"""How far above the recipe's highest temperature, and for how long, is too far."""
VALVES = ("n2", "vac_rough", "vac_fine")


class Parts:
    """The parts of one run, wired; `tripped` and `froze` are set by the executor."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.tripped: Callable[[Interlock, str], None] = _ignored
        self.froze: Callable[[Interlock, str], None] = _ignored
        self.changed: Callable[[str, Change], bool] = _unheard
        self.people = People(run)
        self.poller = Poller(run.clock, self._told)
        self.comms = Comms(run, self.poller, self._violated, self._cleared)
        self.interlocks = Interlocks(
            run.signals, RunFacts(run), run.clock, self._violated, self._cleared
        )
        self.optics = Optics(run)
        self.tracking = Tracking(run, self.optics, self.people)
        self.shadowing = Shadowing(run, self.tracking)
        self.doses = Doses(run, self.people, self.interlocks, self.poller)
        self._alarms: dict[str, int] = {}
        self._sinks: dict[str, _Sink] = {}
        self._good_ns: int | None = None
        self._verification: Verification | None = None

    def polling(self) -> list[tuple[str, Coroutine[object, object, None]]]:
        """Return the polling of all instruments."""
        return [("polling", self.poller.run())]

    async def first_readings(self) -> None:
        """Return when outputs and every instrument have been read once, or have had time for it.

        Where a valve stands is known before a rule asks: unknown it would count as violated.
        """
        await self.read_outputs()
        end_ns = self.run.clock.now_ns() + round((REST_S + FIRST_READING_S) * NS)
        names = [channel.name for sink in self._sinks.values() for channel in sink.channels]
        latest = self.run.signals.latest
        while self.run.clock.now_ns() < end_ns and not all(name in latest for name in names):
            await self.run.clock.sleep_until(self.run.clock.now_ns() + NS)

    async def start(self, run_step: RunStep, ambient_mbar: float | None = None) -> EngineBench:
        """Wait for the first readings, read ambient, warm what must be warm, start watching.

        `ambient_mbar` is known of a run that goes on, whose flask may be shut; then a person's
        valves are left as they are.
        """
        run = self.run
        if ambient_mbar is None:
            await run.elapsed.wait("the first readings", self._all_read, FIRST_READING_S)
            await self._read_ambient()
        else:
            run.ambient_mbar = ambient_mbar
        bench = EngineBench(run, self.people, self.doses, self.tracking, self.interlocks, run_step)
        await self._prepare(bench, shuts=ambient_mbar is None)
        return bench

    def declare(self) -> None:
        """Declare all signals, put instruments on the poller, compile the interlocks."""
        run = self.run
        aliases = run.rig.aliases()
        rules = (*run.plan.rig.model.interlocks, *run.plan.recipe.head.interlocks)
        extra = never_hotter(run.plan, aliases.values())
        self.interlocks.add((*rules, *extra), aliases, self._unchecked(aliases))
        run.record.channels(TRACKED)
        for channel in TRACKED:
            run.signals.declare(channel)
            run.signals.patient(channel.name, PATIENCE_S[channel.name.partition(".")[0]])
        for name, device in run.rig.devices.items():
            channels = [_named(channel, name, aliases) for channel in device.channels]
            run.record.channels(channels)
            for channel in channels:
                run.signals.declare(channel)
            if channels:
                names = tuple(channel.name for channel in channels)
                rules_on = self.interlocks.rules_on(names)
                unchecked = not self._checksum(name)
                sink = _Sink(run, self.interlocks, channels, rules_on, unchecked=unchecked)
                if name == run.plan.rig.entry("heater")[0]:
                    judging = self.verification(aliases)
                    sink.also += [judging.sampled, judging.mixed]
                if isinstance(device, NoticesChanges):
                    sink.also.append(_Changes(name, device, self).sampled)
                self._sinks[name] = sink
                period_s = self._period_s(name, names)
                self.poller.add(name, device.poll, sink, len(channels), period_s)
        self._by_hand(aliases)
        self.shadowing.declare()

    def watchers(
        self, anchors: Mapping[str, float]
    ) -> list[tuple[str, Coroutine[object, object, None]]]:
        """Return the watchers that start once the rig is up; `anchors`: when steps began, in s."""
        return [
            ("interlocks", self.interlocks.watch()),
            ("silence", self.comms.watch()),
            ("ports", self.comms.reopen()),
            ("tracking", self.tracking.follow()),
            ("trap", self.people.watch_trap()),
            ("shadow", self.shadowing.watch(anchors)),
        ]

    def beat(self) -> tuple[str, float, bool]:
        """Return what a heartbeat says: state, age of the last good flask T in s, heating."""
        run = self.run
        age_ns = run.signals.age_ns("flask.T")
        if age_ns is not None:
            self._good_ns = run.clock.now_ns() - age_ns
        age_s = math.inf if self._good_ns is None else (run.clock.now_ns() - self._good_ns) / NS
        return run.machine.state.value, age_s, run.heat.on

    def allow(self, setpoint_c: float) -> None:
        """Let the flask go to a setpoint in °C that the recipe does not declare."""
        if self._verification is not None:
            self._verification.allow(setpoint_c)

    def verification(self, aliases: Mapping[str, str]) -> Verification:
        """Return the thermal verification of the run's flask."""
        if self._verification is None:
            self._verification = Verification(self.run, aliases, self._violated)
        return self._verification

    def _checksum(self, device: str) -> bool:
        return listing("drivers", self.run.plan.rig.model.devices[device].kind).checksum

    def _unchecked(self, aliases: dict[str, str]) -> frozenset[str]:
        """Return the signals whose instruments send no checksum."""
        return frozenset(
            _named(channel, name, aliases).name
            for name, device in self.run.rig.devices.items()
            if not self._checksum(name)
            for channel in device.channels
        )

    def _by_hand(self, aliases: dict[str, str]) -> None:
        known = set(aliases.values())
        hand = [signal for signal in self.run.plan.rig.model.signals if signal not in known]
        if self.run.rig.by_person("stirrer"):
            hand.append("stirrer.speed")
        for signal in hand:
            dimension = dimension_of_hand(signal)
            channel = Channel(signal, dimension, kind=Kind.TYPED)
            self.run.record.channels([channel])
            self.run.signals.declare(channel)
            self.run.signals.patient(signal, HAND_PATIENCE_S)

    def _period_s(self, name: str, signals: Sequence[str]) -> float:
        """The flask each second; else twice within the shortest age that a rule allows."""
        if isinstance(self.run.plan.rig.model.devices[name], PumpEntry):
            return IDLE_POLL_S
        ages = [
            rule.source.max_age
            for rule in self.interlocks.rules
            if rule.source.max_age is not None and set(rule.signals) & set(signals)
        ]
        for rule in self.interlocks.rules:
            if set(rule.signals) & set(signals):
                ages += [window.length_s / POLLS_PER_WINDOW for window in rule.windows]
        period_s = max(FAST_S, min(ages, default=POLLS_PER_AGE * REST_S) // POLLS_PER_AGE)
        if "flask.T" in signals:
            period_s = FAST_S
        asked_s = policy_of(self.run.plan.rig, name).poll_s
        return period_s if asked_s is None else min(period_s, asked_s)

    def _all_read(self) -> bool:
        wanted = [s for s in ("flask.T", "flask.P") if s in self.run.rig.aliases().values()]
        return all(self.run.signals.value(signal) is not None for signal in wanted)

    async def _read_ambient(self) -> None:
        run = self.run
        signal = "flask.P"
        if signal in run.plan.rig.model.signals and signal not in run.rig.aliases().values():
            await self.people.read(signal)
        ambient = run.signals.value(signal)
        low, high = PLAUSIBLE_AMBIENT_MBAR
        if ambient is not None and low < ambient < high:
            run.ambient_mbar = ambient
            run.event("ambient", f"ambient {ambient:.0f} mbar", {"mbar": ambient})
        else:
            run.event("ambient", f"ambient not read; {run.ambient_mbar:.0f} mbar assumed")

    async def read_outputs(self) -> None:
        """Take over where valves and switches stand; a supply may be open from the start."""
        run = self.run
        roles = {bound: role for role, bound in run.plan.rig.model.roles.items()}
        for name, entry in run.plan.rig.model.devices.items():
            if isinstance(entry, RelayEntry):
                states = await run.rig.devices[name].poll()
                self._sinks[name](states)
                for coil, state in zip(entry.coils, states, strict=False):
                    run.commanded[roles.get(f"{name}.{coil}", coil)] = bool(state)

    async def _prepare(self, bench: EngineBench, *, shuts: bool) -> None:
        run = self.run
        await self.read_outputs()
        await run.heat.off()
        if shuts and run.rig.by_person("manifold"):
            for valve in VALVES:
                await bench.valve(valve, open_=False)
        await bench.switch("beacon", on=False)
        for role in ("jack",):
            if run.rig.has(role):
                output = run.rig.output(role)
                await output.board.switch(output.name, True)
                run.commanded[role] = True
        # A preflight that is to come warms it when all is fit; a resumed run has it behind itself.
        if not (shuts and run.plan.steps[0].step.verb == PREFLIGHT):
            await bench.warm_lines()

    def _told(self, name: str, message: str, silent: bool) -> None:
        if silent:
            self.comms.fell_silent(name)
        else:
            self.comms.answers(name)
        level = "warning" if silent else "info"
        self.run.event(
            "device.silent" if silent else "device.answers", f"{name}: {message}", level=level
        )

    def _violated(self, interlock: Interlock, message: str) -> None:
        run = self.run
        key = run.record.alarm(run.clock.now_ns(), interlock.id, interlock.severity, message)
        self._alarms[interlock.id] = key
        level = "warning" if interlock.severity == "warn" else "error"
        run.event("interlock", message, {"id": interlock.id}, level)
        if interlock.severity == "trip":
            self.tripped(interlock, message)
        elif interlock.severity == "freeze":
            self.froze(interlock, message)

    def _cleared(self, interlock: Interlock, message: str) -> None:
        key = self._alarms.pop(interlock.id, None)
        if key is not None:
            self.run.record.alarm_off(key, self.run.clock.now_ns())
            self.run.event("interlock.cleared", message, {"id": interlock.id})


def never_hotter(plan: Plan, read: Iterable[str]) -> tuple[Interlock, ...]:
    """Return the rules that the plan itself gives: no probe far above its highest temperature.

    `read` are the signals that instruments give; what a person reads off is not watched.

    What the heater does when its switch welds shut no setpoint shows; the flask does.
    """
    highest_c = max((planned.after.temperature_c for planned in plan.steps), default=0.0)
    limit_c = max(highest_c, ROOM_C) + HOTTER_K
    probes = (("flask.T", "recipe_max", HOTTER_S), ("flask.T2", "recipe_max_2", 3 * HOTTER_S))
    known = frozenset(read)
    return tuple(
        Interlock.model_validate(
            {
                "id": name,
                "severity": "trip",
                "require": f"{probe} < {limit_c:g} C",
                "for": f"{for_s:g} s",
            }
        )
        for probe, name, for_s in probes
        if probe in known
    )


class _Sink:
    """The sample path of one instrument: record, signals, interlocks, bus; plain calls."""

    def __init__(
        self,
        run: Run,
        interlocks: Interlocks,
        channels: list[Channel],
        rules: tuple[Rule, ...],
        *,
        unchecked: bool,
    ) -> None:
        self.also: list[Callable[[], None]] = []
        self.channels = channels
        self._ranged = [row.low is not None or row.high is not None for row in channels]
        self._names = [channel.name for channel in channels]
        self._before = run.signals.before if unchecked else None
        self._rules = rules
        self._extend = run.record.extend
        self._latest = run.signals.latest
        self._sampled = interlocks.sampled
        self._bus = run.bus
        self._now_ns = run.clock.now_ns

    def __call__(self, values: Sequence[float | None]) -> None:
        """Take one poll's values, aligned with the channels."""
        now_ns, latest, good, names = self._now_ns(), self._latest, Quality.GOOD, self._names
        readings = [
            Reading(name, value, good, now_ns)
            if value is not None and not ranged
            else Reading(name, value, quality_of(value, channel), now_ns)
            for name, value, ranged, channel in zip(
                names, values, self._ranged, self.channels, strict=True
            )
        ]
        self._extend(readings)
        if self._before is not None:
            self._before.update({name: latest[name] for name in names if name in latest})
        latest.update(zip(names, readings, strict=True))
        if self._bus.listened:
            for reading in readings:
                self._bus.publish(reading)
        self._sampled(self._rules)
        for judge in self.also:
            judge()


class _Changes:
    """Tells once of each change that an instrument shows, when somebody can be asked about it."""

    def __init__(self, name: str, device: NoticesChanges, parts: Parts) -> None:
        self._name = name
        self._device = device
        self._parts = parts
        self._told = ""

    def sampled(self) -> None:
        """Look after a poll."""
        change = self._device.changed()
        if change is None:
            self._told = ""
        elif change.text != self._told and self._parts.changed(self._name, change):
            self._told = change.text


def _named(channel: Channel, device: str, aliases: dict[str, str]) -> Channel:
    full = f"{device}.{channel.name}"
    return Channel(
        aliases.get(full, full), channel.dimension, channel.low, channel.high, channel.kind
    )


def _unheard(name: str, change: Change) -> bool:
    """Nobody listens yet."""
    return False


def _ignored(interlock: Interlock, message: str) -> None:
    """Nobody listens yet."""
