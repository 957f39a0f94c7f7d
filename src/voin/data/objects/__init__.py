"""Objects without a background of their own: photographs that are cut out, and sprites that move."""
