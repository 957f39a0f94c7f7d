"""What the method is compared with. A new baseline is a file here and a line in `load.py`."""
