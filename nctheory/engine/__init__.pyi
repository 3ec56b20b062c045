"""What the rooms of the package compute with, and where it is defined."""

from ._batching import WIDTHS, fixed_width, in_few_lengths, map_in_blocks, rounded_up, usual_block
from ._bisect import bisect, bisect_numpy
from ._code import code_digest
from ._concrete import as_array, holds_traced, is_positive, is_traced, not_positive, stacked, within_trace
from ._environment import RARELY, NoDevice, cache_directory, check_writable, configure, environment
from ._extended import NotExtended, extended
from ._factorisations import unshared_factorisations
from ._failures import ERROR, INTERRUPTED, Failure, Misuse, described, guarded, traced_hint, wrong_arguments
from ._files import check_folder_exists, synchronise_folder, whole_file, write_atomically
from ._json import json_value
from ._keys import as_key
from ._kink_probes import on_sides, with_even_slopes
from ._kink_steps import UnsupportedKinks
from ._kinks import Kink, find_kinks, kink_arguments, on_branches, rounded_kinks, sloped_kinks
from ._lanes import Lane, Record, Runner, run_lanes, several_steps
from ._names import check_flag, check_identifier, check_name, is_finite, whole_number
from ._precision import EPS, float64, in_float64, narrow_type, only_in_float64
from ._programs import FAST_COMPILE_OPTIONS, fast_compile, forget_programs, release_programs, when_forgotten
from ._proofs import make_proofs_importable
from ._registry import Registry, TheoremFileError, import_proofs
from ._shown import shown
from ._traced import depends_on, keep_traced_programs, read_own_state
from ._types import Array, Scalar
from ._untraced import untraced

__all__ = [
    "EPS",
    "ERROR",
    "FAST_COMPILE_OPTIONS",
    "INTERRUPTED",
    "RARELY",
    "WIDTHS",
    "Array",
    "Failure",
    "Kink",
    "Lane",
    "Misuse",
    "NoDevice",
    "NotExtended",
    "Record",
    "Registry",
    "Runner",
    "Scalar",
    "TheoremFileError",
    "UnsupportedKinks",
    "as_array",
    "as_key",
    "bisect",
    "bisect_numpy",
    "cache_directory",
    "check_flag",
    "check_folder_exists",
    "check_identifier",
    "check_name",
    "check_writable",
    "code_digest",
    "configure",
    "depends_on",
    "described",
    "environment",
    "extended",
    "fast_compile",
    "find_kinks",
    "fixed_width",
    "float64",
    "forget_programs",
    "guarded",
    "holds_traced",
    "import_proofs",
    "in_few_lengths",
    "in_float64",
    "is_finite",
    "is_positive",
    "is_traced",
    "json_value",
    "keep_traced_programs",
    "kink_arguments",
    "make_proofs_importable",
    "map_in_blocks",
    "narrow_type",
    "not_positive",
    "on_branches",
    "on_sides",
    "only_in_float64",
    "read_own_state",
    "release_programs",
    "rounded_kinks",
    "rounded_up",
    "run_lanes",
    "several_steps",
    "shown",
    "sloped_kinks",
    "stacked",
    "synchronise_folder",
    "traced_hint",
    "unshared_factorisations",
    "untraced",
    "usual_block",
    "when_forgotten",
    "whole_file",
    "whole_number",
    "with_even_slopes",
    "within_trace",
    "write_atomically",
    "wrong_arguments",
]
