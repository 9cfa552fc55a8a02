"""The way to a live run from outside its process: one loopback port, a token, lines of JSON."""
