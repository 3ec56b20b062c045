"""Generalisation of the nearest class mean: bounds on its errors, which hold at every point of training."""
