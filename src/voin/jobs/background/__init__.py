"""`voin complete --background`: what is in front goes, and its place is filled, in layers of their own."""
