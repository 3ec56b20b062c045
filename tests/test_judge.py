"""The judge before a hostile referee: no true theorem refuted, no fault of the engine blamed on one, nothing overstated."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.certificates import Bound
from nctheory.theorems import _methods
from proofs_numeric.deep.chains import chain_instance
from proofs_numeric.shallow import ufm_ce_balanced
from tests.small_theorems import small_theorem


def on(identifier, *instances, claims=None):
    """The theorem on other instances, alone."""
    theorem = nct.theorems.find_theorem(identifier)
    kept = theorem.claims if claims is None else tuple(c for c in theorem.claims if c.name in claims)
    names = {claim.name for claim in kept}
    controls = tuple(c for c in theorem.controls if (not c.claims or set(c.claims) <= names) and c.outside is None)
    return dataclasses.replace(theorem, instances=lambda key: list(instances), claims=kept, controls=controls)


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "strength"), [((2, 1, 1), 1e-3), ((4, 8, 5), 1e-4), ((2, 1, 1), 1e-6)])
def test_weak_decay_refutes_nothing(shape, strength):
    """The objective of cross-entropy is a difference of terms of size 10 there, and is 1e-3 itself (found at K=2, c=1e-3)."""
    classes, dim, n = shape
    instance = ufm_ce_balanced.instance(classes, dim, n, strength, 1.0, None)
    claims = {claim.name for claim in nct.theorems.collapse_claims(bias=False)}
    theorem = on("ufm-ce-balanced", instance, claims=claims)
    verdict = nct.verify(dataclasses.replace(theorem, method=nct.Solve(flow=False)), seeds=64, instance=0)
    assert verdict.outcome == "holds", verdict.reasons
    assert verdict.certified >= 60  # of one feature dimension a start or two end at the saddle at zero


WEAK = (
    (nct.losses.label_smoothing(0.0), nct.closed_form.cross_entropy_minimum),
    (nct.losses.label_smoothing(0.1), nct.closed_form.label_smoothing_minimum),
    (nct.losses.focal(1.0), nct.closed_form.focal_minimum),
    (nct.losses.mse(), nct.closed_form.squared_error_minimum),
)


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "predict"), WEAK, ids=lambda x: getattr(x, "name", ""))
@pytest.mark.parametrize("decay", [1e-3, 1e-5])
def test_weak_decay_refutes_nothing_whatever_the_loss(loss, predict, decay):
    problem = nct.unconstrained_features(counts=(2, 2), dim=2, loss=loss, weight_decay=(decay, 3 * decay))
    theorem = small_theorem(
        predict,
        controls=(nct.Control("half", "half", lambda p: predict(p)._replace(value=0.5 * predict(p).value)),),
        instances=lambda key: [nct.Instance(problem, {})],
        method=nct.Solve(flow=False),
    )
    verdict = nct.verify(theorem, seeds=16, instance=0)
    assert not any(claim.violations for claim in verdict.claims), verdict.reasons
    assert verdict.outcome == "holds", verdict.reasons


@pytest.mark.slow
def test_two_kinds_of_points_at_one_value_are_judged_by_their_own_curvature():
    """At the onset of a chain zero and the collapsed point have one value; the balance holds at both."""
    instance = chain_instance(np.random.default_rng(0), (3, 3, 3), (2, 2, 2), 0, 1.0)
    theorem = dataclasses.replace(
        on("deep-mse-linear", instance, claims={"balance"}), hypotheses=(), controls=(nct.theorems.balance_control(),)
    )
    verdict = nct.verify(theorem, seeds=64, instance=0)
    assert not any(claim.violations for claim in verdict.claims), verdict.reasons


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, [3]])
def test_a_search_that_was_too_short_refutes_nothing(seeds):
    """The best of one seed is no minimum."""
    for instance in (0, 9):
        verdict = nct.verify("deep-ce-best", seeds=seeds, instance=instance)
        assert verdict.outcome in ("holds", "inconclusive"), verdict.reasons


@pytest.mark.slow
def test_a_value_below_the_minimum_refutes_after_any_search():
    theorem = nct.theorems.find_theorem("deep-ce-best")
    high = dataclasses.replace(
        theorem, predict=lambda p: theorem.predict(p)._replace(value=1.5 * theorem.predict(p).value)
    )
    assert nct.verify(high, seeds=1, instance=0).outcome == "refuted"


def _raised(by):
    def certify(problem, params):
        bound = nct.certify(problem, params)
        return bound._replace(lower_bound=bound.lower_bound * (1 + by), gap=bound.gap - by * np.abs(bound.lower_bound))

    return certify


@pytest.mark.slow
@pytest.mark.parametrize("by", [0.1, 1e-6])
def test_a_wrong_certificate_is_an_engine_error(monkeypatch, by):
    monkeypatch.setattr(_methods, "certify", _raised(by))
    verdict = nct.verify(small_theorem(), seeds=4)
    assert verdict.outcome == "engine error"
    assert "lies above the value" in verdict.reasons[0]


@pytest.mark.slow
def test_a_certificate_that_is_no_number_is_an_engine_error(monkeypatch):
    def certify(problem, params) -> Bound:
        bound = nct.certify(problem, params)
        return bound._replace(lower_bound=np.full_like(bound.lower_bound, np.nan), gap=bound.gap * np.nan)

    monkeypatch.setattr(_methods, "certify", certify)
    assert nct.verify(small_theorem(), seeds=4).outcome == "engine error"


@pytest.mark.slow
def test_wide_tolerances_are_seen(monkeypatch):
    """Every tolerance multiplied: the claims see too little, and say so."""
    original = _methods.examine

    def loose(*arguments, **options):
        found = original(*arguments, **options)
        return found._replace(sensitivity={claim: 1e9 * x for claim, x in found.sensitivity.items()})

    monkeypatch.setattr(_methods, "examine", loose)
    verdict = nct.verify(small_theorem(), seeds=4)
    assert verdict.outcome == "inconclusive"
    assert any("must see a relative error of 1e-06" in reason for reason in verdict.reasons)


@pytest.mark.slow
def test_an_observation_that_is_always_zero_is_seen():
    claims = list(nct.theorems.collapse_claims(bias=False))
    claims[-1] = dataclasses.replace(claims[-1], observe=lambda problem, params: jnp.zeros((3, 2)))
    verdict = nct.verify(small_theorem(claims=tuple(claims)), seeds=4)
    assert verdict.outcome == "inconclusive"
    assert any("nothing is measured" in reason for reason in verdict.reasons)


@pytest.mark.slow
def test_a_threshold_is_located_and_one_moved_by_a_thousandth_is_refuted():
    theorem = nct.theorems.find_theorem("ufm-ce-balanced")
    for at, outcome in ((1.0, "holds"), (1.001, "refuted"), (0.999, "refuted")):
        moved = tuple(
            dataclasses.replace(c, predicted=lambda m, at=at: at) if c.name == "onset" else c for c in theorem.claims
        )
        verdict = nct.verify(dataclasses.replace(theorem, claims=moved), seeds=2, instance=2)
        found = next(claim for claim in verdict.claims if claim.name == "onset")
        assert found.instances == 1
        assert (found.violations > 0) == (outcome == "refuted")
        assert verdict.outcome == outcome
        assert found.resolution <= 1e-4


@pytest.mark.slow
def test_evidence_is_told_claim_by_claim():
    verdict = nct.verify("ufm-mse-nobias", seeds=4, instance=1)
    by_name = {claim.name: claim for claim in verdict.claims}
    assert by_name["value"].evidence == "certified"
    assert by_name["logits"].evidence == "certified"  # strict complementarity, and no flat direction off the gauge
    assert by_name["logits"].certified_seeds == by_name["logits"].checked == 4
    assert "value" in verdict.headline
    landscape = nct.verify("ufm-mse-landscape", seeds=16, instance=0)
    assert landscape.evidence == "sampled"
    assert "benign" in landscape.headline.split("certified")[-1]


@pytest.mark.slow
def test_the_printed_command_reproduces_the_outcome():
    def slightly_wrong(problem):
        true = nct.closed_form.squared_error_minimum(problem)
        return true._replace(gram_weights=true.gram_weights * (1 + 1e-8))

    verdict = nct.verify(small_theorem(slightly_wrong), seeds=8)
    assert verdict.outcome == "refuted"
    worst = verdict.worst
    assert worst is not None
    words = worst.command.split()
    again = nct.verify(
        small_theorem(slightly_wrong),
        seeds=int(words[words.index("--seeds") + 1]),  # what fails is shown by the very run, beside the other seeds
        instance=int(words[words.index("--instance") + 1]),
    )
    assert again.outcome == "refuted"
    assert "confirmed with 50 digits" in next(c.recheck for c in again.claims if c.violations)


@pytest.mark.slow
def test_statistics_are_never_pooled():
    verdict = nct.verify(small_theorem(), seeds=16)
    assert verdict.formula_bound == pytest.approx(1 - 0.05 ** (1 / 2))
    assert verdict.basin_bound == pytest.approx(1 - 0.05 ** (1 / 16))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hypotheses": (nct.Hypothesis("K = 7", lambda i: i.problem.classes == 7),)}, r"instance 0.*'K = 7'.*\.py"),
        ({"instances": lambda key: []}, r"draws none.*\.py"),
    ],
)
def test_a_theorem_file_that_contradicts_itself_is_refused(change, message):
    theorem = dataclasses.replace(small_theorem(), **change)
    with pytest.raises(ValueError, match=message):
        nct.verify(theorem, seeds=2)


def test_a_claim_without_a_control_and_a_resolution_out_of_reach_are_refused():
    theorem = small_theorem()
    with pytest.raises(ValueError, match=r"claim 'logits' of theorem 'small' has no control.*\.py"):
        dataclasses.replace(
            theorem, controls=(nct.Control("c", "c", nct.closed_form.squared_error_minimum, claims=("value",)),)
        )
    fine = (dataclasses.replace(theorem.claims[0], resolution=1e-17), *theorem.claims[1:])
    with pytest.raises(ValueError, match=r"claim 'value' of theorem 'small' asks to see a relative 1e-17.*\.py"):
        nct.verify(dataclasses.replace(theorem, claims=fine), seeds=2)
    with pytest.raises(ValueError, match="needs a reason"):
        dataclasses.replace(theorem.claims[0], resolution=1e-3)


@pytest.mark.slow
def test_a_control_that_applies_nowhere_was_not_run():
    nowhere = nct.Control("nowhere", "nothing", nct.closed_form.squared_error_minimum, applies=lambda instance: False)
    theorem = small_theorem()
    verdict = nct.verify(dataclasses.replace(theorem, controls=(*theorem.controls, nowhere)), seeds=4)
    assert verdict.outcome == "inconclusive"
    assert [c.status for c in verdict.controls if c.name == "nowhere"] == ["not run"]


@pytest.mark.slow
def test_a_list_with_invented_entries_does_not_hold():
    theorem = nct.theorems.find_theorem("deep-mse-linear")

    def padded(problem):
        true = theorem.predict(problem)
        return true._replace(stationary_values=jnp.append(true.stationary_values, 1.1 * true.value))

    verdict = nct.verify(dataclasses.replace(theorem, predict=padded), seeds=16, instance=1)
    assert verdict.outcome != "holds"
    assert any("do not occur" in reason for reason in verdict.reasons)
