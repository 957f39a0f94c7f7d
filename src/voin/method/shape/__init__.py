"""Shape completion (paper 3.1): the amodal mask."""
