"""Runs on real instruments: launched from a terminal, conducted by a process of their own."""
