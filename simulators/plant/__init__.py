"""The plant that simulated instruments share: flask, vacuum, syringes, reaction, optics."""
