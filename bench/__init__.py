"""Measurements, as commands: `python -m bench.MODULE --help`. Not installed, and nothing imports it."""
