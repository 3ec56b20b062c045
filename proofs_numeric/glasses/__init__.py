"""Spherical spin glasses: their critical points, their Hessians, and how they age."""
