"""Machinery of computation that knows nothing of problems and theorems: programs evaluated anew with many digits.

`extended` does so for any function of JAX arrays; NotExtended names the primitive for which there is no rule.
"""

from nctheory.engine._extended import NotExtended, extended

__all__ = ["NotExtended", "extended"]
