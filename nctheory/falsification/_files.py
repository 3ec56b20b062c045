"""A counterexample as files: JSON with the formula, NPZ with the numbers, a test; and the check of such a file."""

import json
import math
from pathlib import Path
from textwrap import indent
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import float64, json_value, shown, untraced, write_atomically
from nctheory.falsification._numpy_check import arrays_of, formula, numpy_script
from nctheory.falsification._places import Place, instance_at
from nctheory.falsification._records import Effort
from nctheory.falsification._reduce import Found, judged_points
from nctheory.falsification._starts import Known, leaf_shapes
from nctheory.falsification._trial import found_violations, run_trial
from nctheory.problems import Problem, unravel
from nctheory.theorems import GlobalValue, Solve, Theorem, find_theorem

FORM = 1
_TEST = '''"""A counterexample to {theorem!r}, claim {claim!r}: one forward pass, by NumPy alone."""

from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name({arrays!r})
PREDICTED, TOLERANCE = {told!r}, {tolerance!r}


def test_the_network_has_a_value_that_the_theorem_excludes():
    a = np.load(FILE)
{script}
    {compare}
'''
_TEST_BY_LIBRARY = '''"""A counterexample to {theorem!r}, claim {claim!r}."""

from pathlib import Path

from nctheory.falsification import check_counterexample
from nctheory.theorems import load_theorem_file  # noqa: F401


def test_the_claim_fails():
    {load}
    assert check_counterexample(Path(__file__).with_name({name!r}), theorem).violated
'''


@shown()
class CounterexampleCheck(NamedTuple):
    """What a check of a counterexample's file came to."""

    theorem: str
    claim: str
    violated: bool
    """Whether the claim fails at it, by the theorem's own judge and in extended precision."""
    value: float
    """The objective at the point, computed anew."""
    predicted: float | None
    residual: float
    tolerance: float
    note: str
    """What the evaluation in extended precision said."""


def predicted_number(theorem: Theorem, claim: str, problem: Problem) -> float | None:
    """What the theorem predicts for a claim of one number; None for other claims."""
    one = next(one for one in theorem.claims if one.name == claim)
    if not isinstance(theorem.method, Solve) or not hasattr(one, "predicted"):
        return None
    found = one.prediction(problem, theorem.predict(problem))
    return float(found) if np.shape(found) == () and np.isfinite(found) else None


def save_counterexample(
    folder: Path, theorem: Theorem, root: PRNGKeyArray, found: Found, effort: Effort, file: str | None
) -> Path:
    """Write the three files, each whole or not at all; the JSON file, which is written last, is what counts."""
    folder.mkdir(parents=True, exist_ok=True)
    problem, violation = found.instance.problem, found.violation
    name = f"{theorem.id}-{violation.claim}".replace(" ", "-").replace("/", "-")
    path = folder / f"{name}.json"
    arrays = {f"problem_{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(problem))}
    script = None if violation.point is None else numpy_script(problem)
    if violation.point is not None:
        arrays |= {"point": violation.point, **arrays_of(problem, unravel(problem, violation.point))}
    told = predicted_number(theorem, violation.claim, problem)
    claim = next(one for one in theorem.claims if one.name == violation.claim)
    data = {
        "form": FORM,
        "theorem": theorem.id,
        "theorem_file": file,
        "claim": violation.claim,
        "kind": claim.kind,
        "statement": claim.statement,
        "parameters": json_value(dict(found.instance.parameters), named=True),
        "predicted": told,
        "value": violation.value if math.isfinite(violation.value) else None,
        "residual": violation.residual,
        "tolerance": violation.tolerance,
        "extended_precision": violation.note,
        "digits": found.digits,
        "formula": formula(problem),
        "numpy_script": script,
        "place": found.place.plain(),
        "trial": found.number,
        "effort": list(effort),
        "key": np.asarray(jax.random.key_data(root)).ravel().tolist(),
        "arrays": f"{name}.npz",
        "check": check_command(file, path),
    }
    _write_arrays(folder / f"{name}.npz", arrays)
    claimed = {"theorem": theorem.id, "claim": violation.claim, "name": path.name}
    load = "theorem = None  # it is in the catalogue"
    if file:
        load = f"theorem = next(one for one in load_theorem_file({str(Path(file).absolute())!r}) if one.id == {theorem.id!r})"
    text = _TEST_BY_LIBRARY.format(**claimed, load=load)
    # A value below the predicted minimum is all of a counterexample; one above it needs the lower bound, which NumPy has not.
    if script is not None and told is not None and isinstance(claim, GlobalValue) and violation.value < told:
        text = _TEST.format(
            **claimed, arrays=f"{name}.npz", told=told, tolerance=violation.tolerance, script=indent(script, " " * 4).rstrip(),
            compare="assert value < PREDICTED - TOLERANCE",
        )  # fmt: skip
    write_atomically(folder / f"test_{name.replace('-', '_')}.py", text)
    write_atomically(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    return path


def check_command(file: str | None, path: str | Path) -> str:
    """The command that checks a saved counterexample; a theorem of a user's is named by its file."""
    return f"nctheory falsify {f'{file} ' if file else ''}--check {path}"


def _write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    import io

    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_atomically(path, content.getvalue())


def read_counterexample(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The content of a counterexample's files; ValueError, naming the file, for anything else."""
    path = Path(path)
    try:
        data = json.loads(path.read_text())
        if not isinstance(data, dict) or data.get("form") != FORM:
            raise ValueError("it has no form 1")
        needed = {"theorem", "claim", "place", "trial", "effort", "key", "arrays"}
        if needed - set(data):
            raise ValueError(f"it lacks {', '.join(sorted(needed - set(data)))}")
        with np.load(path.with_name(Path(data["arrays"]).name), allow_pickle=False) as arrays:
            return data, dict(arrays)
    except OSError as error:
        raise ValueError(f"file: cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"file: expected a counterexample that `nctheory falsify` wrote, got {path}: {error}"
        ) from error


@untraced()
@float64
def check_counterexample(path: str | Path, theorem: Theorem | None = None) -> CounterexampleCheck:
    """Check a counterexample that `falsify` saved, by the theorem's own judge.

    A value below the predicted minimum is evaluated at the very point, in one forward pass; a claim about end states is
    judged on ends from that point and from random starts, and one about paths on the paths themselves. `theorem` is given
    for one that is not in the catalogue.

    Raises ValueError, naming the file, for anything but such a file, one about another theorem or one that is not known, or
    whose numbers are no longer those of the theorem's instance.

    >>> check_counterexample("no-such-file.json")
    Traceback (most recent call last):
    ...
    ValueError: file: cannot read no-such-file.json: No such file or directory
    """
    data, arrays = read_counterexample(path)
    chosen = theorem if theorem is not None else _theorem(data["theorem"], path)
    if chosen.id != data["theorem"]:
        raise ValueError(f"theorem: {path} is about {data['theorem']!r}, got {chosen.id!r}")
    root = jax.random.wrap_key_data(jnp.asarray(data["key"], jnp.uint32))
    place, name = Place.of(data["place"]), data["claim"]
    if name not in [one.name for one in chosen.claims]:
        raise ValueError(f"file: {path} is about a claim {name!r}, which theorem {chosen.id!r} does not make")
    instance = instance_at(chosen, root, place)
    leaves = [] if instance is None else [np.asarray(leaf) for leaf in jax.tree.leaves(instance.problem)]
    stored = [arrays[f"problem_{i}"] for i in range(sum(key.startswith("problem_") for key in arrays))]
    same = len(leaves) == len(stored) and all(
        a.shape == b.shape and np.allclose(a, b, rtol=1e-12, atol=0.0) for a, b in zip(leaves, stored, strict=True)
    )
    if instance is None or not same:
        raise ValueError(f"file: {path} is of an instance that theorem {chosen.id!r} no longer draws")
    claim = next(one for one in chosen.claims if one.name == name)
    point = arrays.get("point")
    effort, number = Effort(*data["effort"]), int(data["trial"])
    if point is not None and isinstance(claim, GlobalValue):
        found = found_violations(chosen, judged_points(chosen, instance, point[None], number))
    else:
        known = [] if point is None else [Known(leaf_shapes(instance.problem), point)]
        locate = claim.location is not None
        found = run_trial(chosen, instance, place, number, 0, root, effort, known, locate=locate).violations
    told = predicted_number(chosen, name, instance.problem)
    hit = next((one for one in found if one.claim == name), None)
    if hit is None:
        return CounterexampleCheck(chosen.id, name, False, math.nan, told, 0.0, math.nan, "")
    return CounterexampleCheck(chosen.id, name, True, hit.value, told, hit.residual, hit.tolerance, hit.note)


def _theorem(named: str, path: str | Path) -> Theorem:
    """The theorem of the catalogue that a file names; no file of a user's is run because a JSON file says so."""
    try:
        return find_theorem(named)
    except ValueError:
        raise ValueError(
            f"theorem: {path} is about {named!r}, which is not in the catalogue; expected the theorem as well "
            "(nctheory falsify THEOREM.py --check FILE)"
        ) from None


__all__ = [
    "CounterexampleCheck",
    "check_command",
    "check_counterexample",
    "predicted_number",
    "read_counterexample",
    "save_counterexample",
]
