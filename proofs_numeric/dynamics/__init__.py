"""Theorems about the path: exact trajectories, orders of convergence, limits."""
