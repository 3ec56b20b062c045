"""One theorem a file, by chapter. Each file runs alone and is what `nctheory verify` runs.

Theorem files use the public API only, as a user's own file does; `template.py` is the place to start from.
"""
