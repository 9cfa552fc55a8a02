"""One script per performance figure; each prints ours, the usual way, and the ratio."""
