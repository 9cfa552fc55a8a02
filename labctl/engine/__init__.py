"""Runs a plan: the state machine, the executor, doses, waits, tracking, interlocks, safe state."""
