"""The generator (paper 3.3.1): what no frame saw is invented."""
