"""The production form, run for real."""
