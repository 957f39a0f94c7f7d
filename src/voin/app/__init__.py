"""The page in a browser: `voin serve`."""
