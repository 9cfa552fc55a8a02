"""Rig entries -> what drivers and twins are told: one row per shape of device."""

from __future__ import annotations

from functools import singledispatch

from labctl.capabilities import DeviceSettings, ScanSettings
from labctl.readings import Channel, Correction
from labctl.rig.devices import (
    Entry,
    FlowEntry,
    GaugeEntry,
    HeaterEntry,
    LaserEntry,
    PumpEntry,
    RelayEntry,
    Scan,
    SpectrometerEntry,
    StirrerEntry,
)


@singledispatch
def settings_of(entry: Entry, name: str) -> DeviceSettings:
    """Return the settings of one device for its driver."""
    return DeviceSettings(name)


def correction_of(entry: Entry) -> Correction | None:
    """Return what corrects the thermometer of a device, if it is calibrated."""
    if isinstance(entry, HeaterEntry) and entry.calibration is not None:
        return entry.calibration.correction()
    if isinstance(entry, StirrerEntry) and entry.probe2 is not None:
        return entry.probe2.correction()
    return None


@settings_of.register
def _heater(entry: HeaterEntry, name: str) -> DeviceSettings:
    correction = correction_of(entry)
    low, high = entry.limits.setpoint
    if correction is not None:
        low, high = round(correction.raw(low), 1), round(correction.raw(high), 1)
    return DeviceSettings(
        name,
        address=entry.unit,
        setpoint_low=low,
        setpoint_high=high,
        rate_high_k_min=entry.limits.rate,
        power_high_fraction=entry.limits.power,
    )


@settings_of.register
def _stirrer(entry: StirrerEntry, name: str) -> DeviceSettings:
    return DeviceSettings(
        name,
        speed_high_rpm=entry.limits.speed[1],
        watchdog_s=entry.watchdog,
        has_probe2=entry.probe2 is not None,
    )


@settings_of.register
def _relay(entry: RelayEntry, name: str) -> DeviceSettings:
    rest = entry.without_power
    rests_on = tuple(coil for coil in entry.coils if rest.get(coil, rest.get("others")) == "open")
    return DeviceSettings(
        name, address=entry.unit, outputs=entry.coils, inputs=entry.inputs, rests_on=rests_on
    )


@settings_of.register
def _pump(entry: PumpEntry, name: str) -> DeviceSettings:
    return DeviceSettings(
        name,
        address=entry.address,
        watchdog_s=entry.watchdog,
        bore_mm=entry.syringe.bore,
        syringe_ml=entry.syringe.volume_ml,
        protocol=entry.protocol,
        ports=entry.head.ports if entry.head else {},
        turns=entry.head.turns if entry.head else "cw",
    )


@settings_of.register
def _gauge(entry: GaugeEntry, name: str) -> DeviceSettings:
    places = {
        place.ch: Channel(place_name, "pressure", *place.trust)
        for place_name, place in entry.channels.items()
    }
    return DeviceSettings(name, address=entry.address, places=places)


@settings_of.register
def _flow(entry: FlowEntry, name: str) -> DeviceSettings:
    return DeviceSettings(
        name,
        address=entry.unit,
        flow_high_sccm=entry.limits.flow[1],
        gas=entry.gas,
        rests_closed=entry.rests == "closed",
    )


@settings_of.register
def _spectrometer(entry: SpectrometerEntry, name: str) -> DeviceSettings:
    return DeviceSettings(
        name, detector_c=entry.detector, scan=_scan(entry.scan), boxcar=entry.boxcar
    )


def _scan(scan: Scan | None) -> ScanSettings | None:
    if scan is None:
        return None
    steps = (scan.from_, scan.to, scan.step)
    return ScanSettings(*steps, scan.dwell, scan.rate_high, scan.monochromator)


@settings_of.register
def _laser(entry: LaserEntry, name: str) -> DeviceSettings:
    power_high_mw = entry.limits.power[1]
    return DeviceSettings(name, power_high_mw=power_high_mw, wavelength_nm=entry.wavelength)
