"""The paper: tensors in, tensors out. Read `pipeline.py` first. Knows no path, no option of a command, no training."""
