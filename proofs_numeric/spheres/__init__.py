"""Features and classifiers on spheres, codes, and contrastive losses."""
