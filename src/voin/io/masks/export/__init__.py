"""Masks written in other forms: one file a kind of form, a line each in the table of `formats.py`."""
