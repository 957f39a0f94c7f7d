"""Evaluation (paper 4): run methods, score them, tables, curves, pages."""
