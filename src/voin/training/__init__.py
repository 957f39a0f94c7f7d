"""Training of the networks (paper 3.4): batches, losses, discriminators, runs."""
