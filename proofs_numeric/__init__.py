"""One theorem a file, by chapter. Each file runs alone and is what `nctheory verify` runs.

Theorem files use the public API only, as a user's own file does; `template.py` is the place to start from.
"""

TOUR = (
    "kawaguchi",
    "ufm-ce-balanced",
    "saxe-2layer",
    "red-nuclear",
    "ufm-ls",
    "deep-mse-linear",
    "mlab-pal",
    "conservation",
    "network-balance",
    "sk-spherical-aging",
    "relu-rank2",
    "task-orthogonality",
    "ufm-mse-bias-imbalanced",
    "nrc",
    "relu-correlation",
    "ln-balanced",
)
"""One theorem of each chapter, what takes least time first: those that `nctheory tour` verifies."""
