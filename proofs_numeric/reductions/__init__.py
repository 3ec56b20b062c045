"""Lemmas that turn a problem over factors into one over their product."""
