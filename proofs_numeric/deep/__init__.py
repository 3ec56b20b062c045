"""Chains of three and more factors."""
