"""Annotation files as masks: one file a format, all of them made into `AnnotatedFrames`."""
