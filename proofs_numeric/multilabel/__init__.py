"""Samples with several labels."""
