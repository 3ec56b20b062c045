"""Identities of the gradient flow."""
