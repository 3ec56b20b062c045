"""What a quick run leaves out: every claim, and every control's version of one, can be observed on all instances."""

import jax
import numpy as np
import pytest

import nctheory as nct
from nctheory.problems import shape_of, template

THEOREMS = [theorem for theorem in nct.catalogue().values() if not isinstance(theorem.method, nct.theorems.Integrate)]


def kind_of(instance):
    """What decides which program an instance needs: its problem's form, and what is said of it in words."""
    return str(shape_of(instance.problem)), str([one for one in instance.parameters.items() if isinstance(one[1], str)])


@pytest.mark.slow
@pytest.mark.parametrize("theorem", THEOREMS, ids=lambda theorem: theorem.id)
def test_every_claim_can_be_observed_on_instances_that_a_quick_run_leaves_out(theorem):
    """Traced, not run: a name that is missing, or shapes that do not fit, would end a full run with an error."""
    drawn = list(enumerate(theorem.draw(jax.random.key(0))))
    seen = {kind_of(instance) for _, instance in nct.theorems.covering_instances(theorem, drawn)}
    observed = [
        function
        for claim in theorem.observed_claims
        for function in (getattr(claim, name, None) for name in ("observe", "terms", "size"))
        if function is not None
    ]
    for _, instance in drawn:
        if kind_of(instance) in seen:
            continue
        seen.add(kind_of(instance))

        def every(problem, point):
            return [function(problem, point) for function in dict.fromkeys(observed)]

        for found in jax.eval_shape(every, instance.problem, template(instance.problem)):
            assert np.issubdtype(found.dtype, np.floating) or np.issubdtype(found.dtype, np.integer)
