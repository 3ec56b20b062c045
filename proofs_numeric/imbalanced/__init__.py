"""Classes of different sizes."""
