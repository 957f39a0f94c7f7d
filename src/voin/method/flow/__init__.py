"""Flow completion (paper 3.2): the motion of what is hidden."""
