"""Small sweeps that several files of tests write to disk."""

SMALL = {"decay": [0.3], "many": [2]}


SWEEP = ("sweep", "mse-collapse", "--axis", "samples=5", "--axis", "decay=0.1,0.2", "--seeds", 2)
