"""Mutation testing of the judge: theorems, tolerances, certificates and the judge itself made wrong, one at a time.

A mutant is killed when the verdict on it is not "holds". Evidence is gathered once for each theorem and kept, because most
mutants change only what is predicted or how it is judged; `python -m benchmarks.mutants` prints what was killed, what
survived, and which mutants are equivalent to the original, with the reason.
"""
