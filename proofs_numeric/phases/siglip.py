"""This diagram shows three regimes of the sigmoid loss of pairs, simplex, between and antipodal: bias against temperature."""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_spheres import LEE_2024, ZHAI_2023
from proofs_numeric.spheres.siglip import apart, build_instance
from proofs_numeric.spheres.sigmoid_pairs import antipodal_limit, simplex_limit

PAIRS = 4
"""N, and the dimension (conventional: the least N but 3 that has all three regimes)."""

OPPOSITE = 2.0 - nct.theorems.ORDER_LEVEL
r"""The value of $1-\alpha$ above which matching pairs count as opposite (derived: 2 less the level of all diagrams)."""


def model(scale, exponential):
    """Build the problem of N pairs at t = `scale` and e^b = `exponential`."""
    return build_instance(PAIRS, PAIRS, scale, jnp.log(exponential)).problem


def numbers(limit):
    """Evaluate a threshold of N pairs at values of t, as an array."""
    return lambda scale: np.array([float(limit(PAIRS, one)) for one in np.atleast_1d(np.asarray(scale, float))])


nct.phase.register_diagram(
    nct.phase.Diagram(
        id="siglip-regimes",
        title="Aligned, apart or opposite: the sigmoid loss of pairs, bias against inverse temperature",
        statement=r"With $c=(N-2)/2$ matching pairs coincide iff $e^b\le(1-c+\sqrt{(1-c)^2+4ce^{tN/(N-1)}})/(2ce^t)$, all "
        r"images are opposite to all texts iff $e^b\ge e^t/c$, and between both $-1<\langle u_i,v_i\rangle<1$.",
        along=nct.phase.Axis("scale", "inverse temperature $t$", 0.5, 5.0),
        across=nct.phase.Axis("exponential", "$e^b$", 0.05, 500.0, log=True),
        model=model,
        measures={"1 - alpha": apart},
        boundaries=(
            nct.phase.Boundary("end of the simplex", "1 - alpha", numbers(simplex_limit), ordered="above"),
            nct.phase.Boundary("antipodal", "1 - alpha", numbers(antipodal_limit), level=OPPOSITE, ordered="above"),
        ),
        hypotheses=("the sigmoid loss of pairs", "N >= 3", "d >= N"),
        sources=(
            LEE_2024.remark("From a simplex to antipodal points; both thresholds in closed form are our own."),
            ZHAI_2023.remark("The loss."),
        ),
    )
)
