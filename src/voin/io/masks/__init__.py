"""Masks as files: read in any form, matched to frames, written. A new form is a file here and a line in `source.py`."""
