"""Benchmarks of the engine against what else could do the work, side by side in one run; see README.md here.

`python -m benchmarks` from the repository root. Peers are in `peers/`, jobs in `jobs.py`.
"""
