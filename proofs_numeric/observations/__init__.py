"""Empirical regularities of trained networks, one a file: claims of the literature, and what decided them beforehand.

They are no theorems: `nctheory observe` runs them, and `nctheory verify` never sees them.
"""
