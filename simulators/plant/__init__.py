"""The plant: what the simulated instruments act on and read (flask, vacuum, syringes, reaction, optics)."""
