"""Targets that are real numbers."""
