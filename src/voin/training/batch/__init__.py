"""What is done to a batch after its occluders stand before the objects, so that pasting leaves no trace."""
