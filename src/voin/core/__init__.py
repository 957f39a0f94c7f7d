"""Words, types and small tools: they know no files of users and nothing of the method."""

__version__ = "0.1.0"
