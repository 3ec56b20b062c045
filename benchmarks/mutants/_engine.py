"""Mutants of the engine: certificates and the judge made wrong, against theorems whose outcome is known."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import jax
import numpy as np

import nctheory as nct
from benchmarks.mutants._families import Mutant
from benchmarks.mutants._kept import Outcome
from nctheory.certificates import _duality
from nctheory.theorems import Check, _compose, _judge, _methods, _reasons

SEEDS = 8


def _instances(key: Any) -> list[nct.Instance]:
    return [
        nct.Instance(
            nct.unconstrained_features(counts=(2, 2), dim=3, loss="mse", weight_decay=(lam, 2 * lam)), {"lambda": lam}
        )
        for lam in (0.05, 0.15)
    ]


def _less(problem: Any) -> Any:
    true = nct.closed_form.squared_error_minimum(problem)
    return jax.tree.map(lambda x: 0.9 * x if isinstance(x, jax.Array | np.ndarray) else x, true)


def _theorem(factor: float = 1.0, **change: Any) -> nct.Theorem:
    def predict(problem: Any) -> Any:
        true = nct.closed_form.squared_error_minimum(problem)
        return true._replace(gram_weights=factor * true.gram_weights)

    parts: dict[str, Any] = {
        "id": "engine",
        "title": "engine",
        "statement": "",
        "hypotheses": (),
        "notation": "",
        "sources": (),
        "instances": _instances,
        "predict": predict,
        "claims": nct.theorems.collapse_claims(bias=False),
        "controls": (
            nct.Control("a tenth less", "everything smaller by a tenth", _less),
            *nct.theorems.collapse_controls(nct.closed_form.squared_error_minimum, bias=False),
        ),
    }
    return nct.Theorem(**{**parts, **change})


def _known() -> dict[str, tuple[nct.Theorem, str]]:
    """Theorems with the outcome that a sound engine gives."""
    right = _theorem()
    same = nct.Control("not wrong at all", "nothing", nct.closed_form.squared_error_minimum)
    nowhere = nct.Control("nowhere", "nothing", _less, applies=lambda instance: False)
    return {
        "a true theorem": (right, "holds"),
        "a number 1e-6 off": (_theorem(1 + 1e-6), "refuted"),
        "a control that is right": (_theorem(controls=(*right.controls, same)), "inconclusive"),
        "a control that applies nowhere": (_theorem(controls=(*right.controls, nowhere)), "inconclusive"),
    }


def _all_known(context: Callable[[], Any]) -> Outcome:
    """Killed when some known outcome changes."""
    with context():
        for name, (theorem, expected) in _known().items():
            found = nct.verify(theorem, seeds=SEEDS).outcome
            if found != expected:
                return Outcome("differs", f"{name}: {found}, not {expected}")
    return Outcome("holds", "")


def _raised(by: float) -> Callable[..., Any]:
    def certify(problem: Any, params: Any) -> Any:
        bound = nct.certify(problem, params)
        lift = by * np.abs(bound.lower_bound)
        return bound._replace(lower_bound=bound.lower_bound + lift, gap=bound.gap - lift)

    return certify


def _nan_certificate(problem: Any, params: Any) -> Any:
    bound = nct.certify(problem, params)
    return bound._replace(lower_bound=bound.lower_bound * np.nan, gap=bound.gap * np.nan)


@contextmanager
def _not_feasible() -> Iterator[None]:
    """A dual point that is not shrunk to where it is feasible."""
    jax.clear_caches()
    with mock.patch.object(_duality, "spectral_norm", lambda matrix: 0.0 * jax.numpy.sum(matrix)):
        yield
    jax.clear_caches()


def _patch(target: Any, name: str, other: Any) -> Callable[[], Any]:
    return lambda: mock.patch.object(target, name, other)


def _never(claim: Any, case: Any) -> np.ndarray:
    return np.zeros(case.checks[claim.name].seeds.size, bool)


def _all_refuted(theorem: Any, cases: Any, outside: Any) -> Any:
    found = _judge.all_controls(theorem, cases, outside)
    return tuple(dataclasses.replace(one, status="refuted") for one in found)


def _loose_examine(*arguments: Any, **options: Any) -> Any:
    found = _methods_examine(*arguments, **options)
    return found._replace(sensitivity={claim: 1e9 * x for claim, x in found.sensitivity.items()})


_methods_examine = _methods.examine


def engine_slips() -> tuple[tuple[str, str, Callable[[], Any]], ...]:
    """Family, words and context of each mutant of certificates, tolerances and the judge."""
    return (
        ("certificate", "raised by a relative 1e-6", _patch(_methods, "certify", _raised(1e-6))),
        ("certificate", "raised by a tenth", _patch(_methods, "certify", _raised(0.1))),
        ("certificate", "lowered by a relative 1e-6", _patch(_methods, "certify", _raised(-1e-6))),
        ("certificate", "not a number", _patch(_methods, "certify", _nan_certificate)),
        ("certificate", "dual point not feasible", _not_feasible),
        ("tolerances", "sensitivities times 1e9", _patch(_methods, "examine", _loose_examine)),
        ("tolerances", "sensitivities infinite", _patch(_methods, "examine", _infinite_examine)),
        (
            "judge",
            "violations not counted",
            _two((_judge, "refuting_violations", _never), (_reasons, "refuting_violations", _never)),
        ),
        ("judge", "violations never seen", _patch(Check, "violated", property(lambda c: np.zeros(c.seeds.size, bool)))),
        ("judge", "controls always refuted", _patch(_compose, "all_controls", _all_refuted)),
        ("judge", "controls left out", _patch(_compose, "all_controls", lambda *some: ())),
        ("judge", "every violation withdrawn as rounding", _patch(_judge, "rechecked", _withdrawn)),
        ("judge", "no reason is ever given", _patch(_compose, "reasons", _no_reasons)),
    )


def of_engine() -> Iterator[Mutant]:
    """Mutants of certificates, tolerances and the judge."""
    for family, what, context in engine_slips():
        yield Mutant("engine", family, what, lambda context=context: _all_known(context))


def _infinite_examine(*arguments: Any, **options: Any) -> Any:
    found = _methods_examine(*arguments, **options)
    return found._replace(sensitivity={claim: np.full_like(x, np.inf) for claim, x in found.sensitivity.items()})


def _withdrawn(claim: Any, check: Any, *others: Any) -> Any:
    return check.without(check.seeds[check.violated]), "withdrawn"


def _no_reasons(*some: Any, **more: Any) -> Any:
    return _reasons.Reasons((), ())


def _two(*patches: tuple[Any, str, Any]) -> Callable[[], Any]:
    @contextmanager
    def both() -> Iterator[None]:
        (a, b, c), (d, e, f) = patches
        with mock.patch.object(a, b, c), mock.patch.object(d, e, f):
            yield

    return both


__all__ = ["engine_slips", "of_engine"]
