"""`python -m nctheory.cli`: the command line."""

from nctheory.cli import entry

entry()
