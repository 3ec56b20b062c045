"""Claims of the literature that are false or misprinted, with their counterexamples."""
