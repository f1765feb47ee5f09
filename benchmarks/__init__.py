"""Measurements of the hub against the bare floor, in one run: ``make bench``; see ``benchmarks/README.md``."""
