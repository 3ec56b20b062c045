"""The search for counterexamples: `falsify` looks for a violation of a theorem over hyperparameters and over starts.

A search goes in rounds, whose places (a draw of the theorem's sampler, moved a little or edited) are a function of the key and
of the records of the rounds before (`_proposals`). A trial solves the instance at a place from random and structured starts
and judges all ends by the theorem's own judge (`_trial`, `_starts`, `_chain_starts`, `_codes`, `_optimisers`). A violation is
reduced to the smallest instance and the roundest numbers (`_reduce`), and saved so that NumPy alone can check it (`_files`,
`_numpy_check`). Finished trials are files of a folder, which several processes may share (`_store`).
"""

from nctheory.falsification._falsify import falsify
from nctheory.falsification._files import CounterexampleCheck, check_counterexample, read_counterexample
from nctheory.falsification._result import Counterexample, Falsification, Tightness, short_note
from nctheory.falsification._starts import structured_starts

__all__ = [
    "Counterexample",
    "CounterexampleCheck",
    "Falsification",
    "Tightness",
    "check_counterexample",
    "falsify",
    "read_counterexample",
    "short_note",
    "structured_starts",
]
