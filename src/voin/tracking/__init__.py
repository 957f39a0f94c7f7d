"""The visible mask of an object from a box, a click or a stroke, through a shot."""
