"""Object windows in one file, ready for training: make, join, send."""
