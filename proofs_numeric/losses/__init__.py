"""Losses other than plain cross-entropy and squared error."""
