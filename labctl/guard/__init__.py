"""The guard: a process of its own that cuts the heater when the one that heats is lost.

It knows no recipe and no instrument: at start it is handed a last will, the frames that make each
instrument safe. It imports errors, the standard library and pyserial, nothing else of labctl.
"""
