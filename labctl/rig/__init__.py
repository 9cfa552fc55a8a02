"""The rig file and the batch sheet: devices, ports, roles, limits, calibrations, interlocks."""
