"""The occluder simulator (paper 4.1, Figure 6): pure, seeded, batched."""
