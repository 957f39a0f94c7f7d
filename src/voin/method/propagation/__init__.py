"""Flow-guided propagation (paper 3.3): hidden pixels are fetched from frames that saw them."""
