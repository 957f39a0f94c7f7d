"""The benchmark (paper 4.1): sources, sets, packs for training."""
