"""Balanced unconstrained features: two factors W and H, every class with the same number of samples."""
