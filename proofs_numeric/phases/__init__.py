"""Phase diagrams with the boundaries that the theorems predict."""
