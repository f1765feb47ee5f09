"""The whole story, told by a program: ``make demo``."""
