r"""Correlations in deep wide ReLU networks.

In a wide ReLU network with random weights all inputs become alike with depth: the angle between the hidden features of two
inputs shrinks layer by layer, by one law that knows neither the inputs nor the width. It shrinks slowly, in inverse proportion
to the depth, so that even very deep networks keep a trace of the inputs; the next term is a logarithm of the depth.

Problem:
    A ReLU network without biases whose weights are independent and normal, in the limit of infinite width; $\rho_l$ is the
    correlation of the preactivations of two inputs in layer l, $\theta_l=\arccos\rho_l$.
Theorem (Hayou et al. 2019, number unchecked; the logarithm is our own):
    $\rho_{l+1}=\frac1\pi(\sin\theta_l+(\pi-\theta_l)\cos\theta_l)$, and from every $0<\theta_0<\pi$
    $\frac{3\pi}{\theta_l}=l+\frac32\log l+O(1)$; hence $1-\rho_l\sim\frac{9\pi^2}{2l^2}$.
Hypotheses:
    - two inputs that are neither parallel nor opposite
Notation:
    Cho and Saul: the map is their kernel of degree 1.
Why:
    Two normal variables of correlation $\cos\theta$ are a radius times $\cos\phi$ and $\cos(\phi-\theta)$ with a uniform
    $\phi$. So $\rho_{l+1}$ is $\frac2\pi$ times the integral of $\cos\phi\cos(\phi-\theta)$ over the interval where both are
    positive. With $a=\frac1{3\pi}$ the map is $\theta\mapsto\theta-a\theta^2-\frac{a^2}2\theta^3+O(\theta^4)$, whence
    $1/\theta_{l+1}=1/\theta_l+a+\frac32a^2\theta_l+O(\theta_l^2)$; with $\theta_l\sim1/(al)$ the third term adds up to
    $\frac32a\log l$, and those that follow have a finite sum.
Checked:
    From random angles. The map is compared with the integral over $\phi$ by Gauss-Legendre quadrature, which is exact to
    rounding, at layers of all depths. It is iterated through 131,072 layers. The increase of $3\pi/\theta_l$ from one layer to
    its double, per layer, is extrapolated, and so is that of $3\pi/\theta_l-l$ per factor e in depth; the tolerances are four
    times the change of these from one doubling to the next, which falls by nearly one half.
Refuted by:
    An angle at which the map differs by more than rounding, or a start whose increases tend to other numbers than 1 and 3/2.
    The same check must refute the kernel of degree 0, a rate of twice and half as much, and none, one and two logarithms.
Example:
    The correlation of orthogonal inputs in layer 20,000 beside the limit of its law.

    >>> with jax.enable_x64(True):
    ...     angle = float(iterated(jnp.asarray(0.5 * np.pi), (20_000,))[0])
    >>> round(float(2 * np.sin(angle / 2) ** 2 * 20_000**2), 1), round(9 * np.pi**2 / 2, 1)
    (44.3, 44.4)
"""

from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_statistics import CHO_SAUL_2009, HAYOU_2019
from proofs_numeric.conserved.vector_field import one, rounding_unit, zero

ID = "relu-correlation"
DEPTHS = tuple(2**k for k in range(11, 18))
"""The layers at which angles are looked at."""
SHALLOW = (1, 2, 5, 20, 100)
"""Layers at which the map itself is held against the integral."""
SMALL = 0.5
"""Below this angle sin x - x cos x is summed as a series, whose terms beyond x^15 are below rounding (derived)."""
ENDS = (0.02, 0.1, 0.3, 0.6, 1.0, 1.4, 1.75, 2.1, 2.5, 2.9, 3.12)
"""Ends of the intervals of angles from which starts are drawn."""


class Angle(nct.Problem):
    """The angle of two inputs, drawn uniformly from an interval; nothing is minimised."""

    low: jax.Array
    high: jax.Array

    def init(self, key, scale):
        """Draw the angle, and follow it through the layers."""
        start = self.low + (self.high - self.low) * jax.random.uniform(key, (), jnp.float64)
        return Angles(iterated(start, SHALLOW), iterated(start, DEPTHS))

    def objective(self, params):
        """Return the sum of squares, which no theorem uses."""
        return 0.5 * jnp.sum(params.deep**2)

    def characteristic_scales(self):
        """Return ones, so that nothing is iterated for them."""
        return nct.problems.Scales(jnp.ones(()), jnp.ones(()))


class Angles(NamedTuple):
    """Angles at the layers `SHALLOW` and `DEPTHS`."""

    shallow: jax.Array
    deep: jax.Array


def draw_instances(key):
    """Take all intervals."""
    return [
        nct.Instance(Angle(jnp.asarray(low), jnp.asarray(high)), {"from": low, "to": high})
        for low, high in pairwise(ENDS)
    ]


def excess(theta):
    """Return sin x - x cos x, without cancellation at small x: the sum of (-1)^k 2k x^{2k+1}/(2k+1)!."""
    small = jnp.minimum(theta, SMALL)
    term, total = small, jnp.zeros(())
    for k in range(1, 8):
        term = -term * small**2 / ((2 * k) * (2 * k + 1))
        total = total - 2 * k * term
    return jnp.where(theta < SMALL, total, jnp.sin(theta) - theta * jnp.cos(theta))


def next_angle(theta):
    r"""Return the angle one layer on: $2\sin^2\frac{\theta'}2=2\sin^2\frac\theta2-\frac1\pi(\sin\theta-\theta\cos\theta)$."""
    return 2.0 * jnp.arcsin(jnp.sqrt(jnp.maximum(jnp.sin(0.5 * theta) ** 2 - excess(theta) / (2.0 * jnp.pi), 0.0)))


def iterated(start, layers):
    """Return the angles at some layers, in increasing order."""
    angles, theta = [], start
    for before, after in zip((0, *layers[:-1]), layers, strict=True):
        theta = jax.lax.fori_loop(0, after - before, lambda _, x: next_angle(x), theta)
        angles.append(theta)
    return jnp.stack(angles)


def integral(theta):
    r"""Return $\frac2\pi\int\cos\phi\cos(\phi-\theta)$ over $[\theta-\frac\pi2,\frac\pi2]$, by Gauss-Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    half = 0.5 * (jnp.pi - theta)
    phi = 0.5 * theta[:, None] + half[:, None] * jnp.asarray(nodes)[None, :]
    return 2.0 / jnp.pi * half * ((jnp.cos(phi) * jnp.cos(phi - theta[:, None])) @ jnp.asarray(weights))


def of_degree_zero(theta):
    """Return the kernel of degree 0, of step functions."""
    return 1.0 - theta / jnp.pi


def of_next_angle(theta):
    """Return the correlation one layer on."""
    return jnp.cos(jax.vmap(next_angle)(theta))


def kernel(correlation=of_next_angle):
    """State that the map is the integral, or that another one is."""

    def off(problem, params):
        return correlation(params.shallow) - integral(params.shallow)

    return nct.Equality("layer", r"\rho_{l+1}", off, zero, scope="any point", terms=one, size=one)


def increases(params, logarithmic):
    r"""Return the increase of $3\pi/\theta_l$ per layer over each doubling, or of what it exceeds l by, per factor e."""
    layers, inverse = jnp.asarray(DEPTHS, jnp.float64), 3.0 * jnp.pi / params.deep
    if logarithmic:
        return jnp.diff(inverse - layers) / jnp.log(2.0)
    return jnp.diff(inverse) / jnp.diff(layers)


def increase(logarithmic):
    """Observe the last increase extrapolated, as if its distance from the limit halved, and four times its change."""

    def observed(problem, params):
        found = increases(params, logarithmic)
        return 2.0 * found[-1] - found[-2]

    def doubt(problem, params):
        found = increases(params, logarithmic)
        return 4.0 * jnp.abs(found[-1] - found[-2]) / rounding_unit(params)

    return observed, doubt


class Prediction(NamedTuple):
    """The limits of the two increases."""

    rate: jax.Array
    logarithm: jax.Array


def predict_with(rate=1.0, logarithm=1.5):
    """State the limits, or wrong ones."""
    return lambda problem: Prediction(jnp.asarray(rate), jnp.asarray(logarithm))


def limit(name, statement, logarithmic, predicted):
    """State the limit of an increase."""
    observed, doubt = increase(logarithmic)
    return nct.Equality(
        name,
        statement,
        observed,
        predicted,
        scope="any point",
        terms=doubt,
        resolution=1e-2,
        because="a limit is extrapolated from a finite depth",
    )


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(lambda i: 0 < float(i.problem.low) <= float(i.problem.high) < np.pi,),
        sources=(
            HAYOU_2019.remark("The rate; the logarithm is our own."),
            CHO_SAUL_2009.remark("The kernel of a layer."),
        ),
        instances=draw_instances,
        predict=predict_with(),
        seeds=32,
        method=nct.theorems.Train(steps=(0,)),
        claims=(
            kernel(),
            limit("rate", r"3\pi/\theta_l\sim l", False, lambda p: p.rate),
            limit("logarithm", r"3\pi/\theta_l-l\sim\tfrac32\log l", True, lambda p: p.logarithm),
        ),
        controls=(
            nct.Control("degree 0", "1 - theta/pi", versions=(kernel(of_degree_zero),)),
            nct.Control("twice the rate", "1 - rho ~ 9 pi^2/(8 l^2)", predict_with(rate=2.0), claims=("rate",)),
            nct.Control("half the rate", "1 - rho ~ 18 pi^2/l^2", predict_with(rate=0.5), claims=("rate",)),
            *(
                nct.Control(
                    f"{number} logarithms", f"{number} log l", predict_with(logarithm=number), claims=("logarithm",)
                )
                for number in (0.0, 1.0, 2.0)
            ),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
