"""A network as files, and the weights that ship."""
