"""The gate of the page: who may come in, what is let in, and whose folder it lies in."""
