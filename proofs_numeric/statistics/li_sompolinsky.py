r"""The renormalised kernel of wide deep linear networks.

When a deep linear network grows, and its examples with it, the random scale of its posterior kernel settles at one number,
the root of an equation in the load, the size of the targets and the depth. The equation is not only a limit: at any widths it
holds of averages, layer by layer. What is left of the randomness of the scale vanishes in proportion to one over the width.

Problem:
    $f(x)=w^\top W_L\cdots W_1x$ with L hidden layers of widths $N_l$ and independent normal weights, of variance
    $\sigma^2/N_{l-1}$ in $W_l$ ($N_0=d$) and $1/N_L$ in w; the posterior given $f(x_i)=y_i$ for P examples, without noise. Its
    kernel is $uK_0$ with the random scale $u=\prod_ls_l$ of `hanin-zlokapa`.
Theorem (Li and Sompolinsky 2021, number unchecked; the form at finite width is our own):
    With $K_0=\sigma^{2L}K_0'$, $r_0=y^\top K_0^{-1}y/P$ and $r_0'=y^\top K_0'^{-1}y/P$: at all widths
    $N_l(1-\langle s_l\rangle)=P(1-r_0\langle u^{-1}\rangle)$ for every l. For equal widths N and P = alpha N, as N grows,
    $\sigma^{2L}\langle u\rangle\to u_0^L$ with the root of $1-\frac{u_0}{\sigma^2}=\alpha(1-\frac{r_0'}{u_0^L})$, and the
    difference is of the order 1/N.
Hypotheses:
    - at least one hidden layer, of width 2 at least
    - at least one example, some target not zero
Notation:
    Li and Sompolinsky: their kernel may have some of the variances $\sigma^2$ in it, which moves powers of $\sigma$.
Why:
    The density of $(\log s_l)$ is proportional to $\exp\sum_l(\frac{N_l-P}2\log s_l-\frac{N_l}2s_l)-\frac{Pr_0}{2u}$. The
    mean of its derivative in any of the variables vanishes: $\frac{N_l-P}2-\frac{N_l}2\langle s_l\rangle
    +\frac{Pr_0}2\langle u^{-1}\rangle=0$. Of N and P times k the exponent is k times as large: the law concentrates at its
    only largest point, $s_l=s$ with $1-s=\alpha(1-r_0/s^L)$, and Laplace's expansion of a mean goes in powers of 1/k.
Checked:
    At random sizes of the targets and variances of the weights the law of u is computed by quadrature, for unequal widths too.
    The first equation is then one between averages. For the second, widths and examples are multiplied by 1 to 16, and the
    order is the slope of the logarithm of the distance from $u_0^L$, extrapolated; its tolerance is twice the largest change
    of the extrapolated slope from one pair of widths to the next. $u_0$ is found by bisection.
Refuted by:
    A layer that leaves the equation by more than rounding, or an order that is not 1. The same check must refute
    $N_l-P$ for $N_l-P+1$, the root without the depth, with another power of $\sigma$, with the load inverted, the infinitely
    wide network's $u_0=\sigma^2$, and an order of 2 or one half.
Example:
    Two layers, one example for two units, $\sigma^2=1$: the scale at three widths, and the square of the root.

    >>> from proofs_numeric.statistics.scale_mixture import scale_law
    >>> with jax.enable_x64(True):
    ...     widths = [jnp.full(2, float(n)) for n in (4, 64, 1024)]
    ...     means = [float(scale_law(n, n[0] / 2, 0.5).mean()) for n in widths]
    ...     root = float(renormalised(0.5, 0.5, 1.0, 2)) ** 2
    >>> [round(one, 3) for one in means], round(root, 3)
    ([0.88, 0.729, 0.719], 0.719)
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography_of_statistics import HANIN_ZLOKAPA_2023, LI_SOMPOLINSKY_2021
from proofs_numeric.conserved.vector_field import one, relative, rounding_unit, zero
from proofs_numeric.statistics.scale_mixture import scale_law

ID = "li-sompolinsky"
MULTIPLES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Multiples of widths and examples, by which the order is told."""
ACCURACY = 1e-12
"""The relative accuracy of a mean of u by quadrature (measured: 2.3e-13 against Bessel functions for one of 6400 units)."""
POINTS = 320
"""Points of the grid of a layer of eight units or more (measured: twice as many change means by less than 1e-13)."""
HALVINGS = 80
EQUAL = (((8, 4), 1), ((8, 12), 1), ((8, 4), 2), ((10, 5), 2), ((12, 18), 2), ((10, 4), 3), ((8, 8), 3), ((12, 15), 3))
"""Width and examples, and the number of layers."""
UNEQUAL = (((3, 9), 4), ((6, 2), 5), ((5, 40), 8), ((3, 7, 5), 4), ((2, 2, 9), 1), ((30, 4, 12), 10))
"""Widths, and the number of examples."""


class Sizes(NamedTuple):
    """A point: what the posterior law depends on besides widths and examples."""

    targets: jax.Array
    """The logarithm of r_0'."""
    variance: jax.Array
    r"""The logarithm of $\sigma^2$."""
    means: jax.Array
    """The mean of u, with widths and examples times each of the `MULTIPLES`."""


class WideNetwork(nct.Problem):
    """The posterior law of the scale of a deep linear network; nothing is minimised."""

    widths: jax.Array
    examples: jax.Array
    layers: int = eqx.field(static=True, kw_only=True)
    equal: bool = eqx.field(static=True, kw_only=True)
    """Whether all layers are equally wide."""

    def init(self, key, scale):
        """Draw sizes of targets and variances around 1, and compute the means of u."""
        first, second = 0.5 * scale * jax.random.normal(key, (2,), jnp.float64)
        r0, points = jnp.exp(first - self.layers * second), POINTS if self.equal else 2 * POINTS
        means = [scale_law(k * self.widths, k * self.examples, r0, points=points).mean() for k in MULTIPLES]
        return Sizes(first, second, jnp.stack(means))

    def objective(self, params):
        """Return the sum of squares, which no theorem uses."""
        return 0.5 * (params.targets**2 + params.variance**2)

    def r0(self, params):
        r"""Return $r_0=r_0'\sigma^{-2L}$."""
        return jnp.exp(params.targets - self.layers * params.variance)


def draw_instances(key):
    """Draw no numbers: sizes are those of the starts."""
    drawn = []
    for (width, examples), layers in EQUAL:
        problem = WideNetwork(jnp.full(layers, float(width)), jnp.asarray(float(examples)), layers=layers, equal=True)
        drawn.append(nct.Instance(problem, {"widths": width, "L": layers, "P": examples}))
    for widths, examples in UNEQUAL:
        problem = WideNetwork(
            jnp.asarray(widths, jnp.float64), jnp.asarray(float(examples)), layers=len(widths), equal=False
        )
        shown = {"widths": "-".join(map(str, widths)), "L": len(widths), "P": examples}
        drawn.append(nct.Instance(problem, shown))
    return drawn


def equal(instance):
    """Tell whether all layers are equally wide."""
    return instance.problem.equal


def deep(instance):
    """Tell whether there are several layers of equal width."""
    return equal(instance) and instance.problem.layers > 1


def renormalised(load, targets, variance, layers, power=None):
    r"""Return the root of $1-u/\sigma^2=\alpha(1-r_0'/u^L)$ by bisection in its logarithm; `power` stands in for L."""
    exponent = layers if power is None else power

    def halve(_, ends):
        middle = 0.5 * (ends[0] + ends[1])
        # The difference of the two sides grows with u, from minus infinity to infinity.
        above = load * (1.0 - targets * jnp.exp(-exponent * middle)) - 1.0 + jnp.exp(middle) / variance > 0
        return jnp.where(above, ends[0], middle), jnp.where(above, middle, ends[1])

    return jnp.exp(jax.lax.fori_loop(0, HALVINGS, halve, (jnp.asarray(-40.0), jnp.asarray(40.0)))[0])


def state(shift=0.0):
    """State the equation of every layer at finite width, or for a wrong law."""

    def sides(problem, params):
        r0 = problem.r0(params)
        law = scale_law(problem.widths, problem.examples, r0, shift)
        inverse = law.mean(lambda u: 1.0 / u)
        left, right = problem.widths * (1.0 - law.layers), problem.examples * (1.0 - r0 * inverse)
        return left - right, jnp.max(problem.widths * (1.0 + law.layers)) + problem.examples * (1.0 + r0 * inverse)

    def off(problem, params):
        difference, size = sides(problem, params)
        return relative(difference, size, 0.0, params)

    def rounded(problem, params):
        return jnp.asarray(ACCURACY) / rounding_unit(params)

    statement = r"N_l(1-\langle s_l\rangle)=P(1-r_0\langle u^{-1}\rangle)"
    return nct.Equality("every layer", statement, off, zero, scope="any point", terms=rounded, size=one)


def orders(root):
    """Return observed order and its doubt, for a root that the scale is said to tend to."""

    def slopes(problem, params):
        variance = jnp.exp(params.variance)
        load = problem.examples / problem.widths[0]
        limit = root(load, jnp.exp(params.targets), variance, problem.layers) ** problem.layers
        return jnp.abs(variance**problem.layers * params.means - limit), limit

    def extrapolated(problem, params):
        # Distances a/k + b/k^2 have slopes 1 + c/k to first order, whose next order is found by doubling k.
        distances, limit = slopes(problem, params)
        found = jnp.log2(distances[:-1] / distances[1:])
        return 2.0 * found[1:] - found[:-1], ACCURACY * limit / distances[-1]

    def observed(problem, params):
        return extrapolated(problem, params)[0][-1]

    def doubt(problem, params):
        found, rounding = extrapolated(problem, params)
        # A slope is off by 2/log 2 times the relative error of a distance, and an extrapolated one by three times that.
        change = jnp.max(jnp.abs(found[1:] - found[:-1]))
        return (2.0 * change + 9.0 * rounding) / rounding_unit(params)

    return observed, doubt


def limit(root=renormalised):
    """State the order in which the scale tends to a root."""
    observed, doubt = orders(root)
    return nct.Equality(
        "large width",
        r"\sigma^{2L}\langle u\rangle-u_0^L\sim N^{-1}",
        observed,
        lambda order: order,
        scope="any point",
        terms=doubt,
        applies=equal,
        resolution=2e-2,
        because="an order is extrapolated from slopes over five widths",
    )


def without_depth(load, targets, variance, layers):
    """Return the root of the equation with u in the place of its power."""
    return renormalised(load, targets, variance, layers, power=1)


def other_power(load, targets, variance, layers):
    r"""Return the root with $r_0$ in the place of $r_0'$."""
    return renormalised(load, targets / variance**layers, variance, layers)


def inverted_load(load, targets, variance, layers):
    """Return the root with N/P in the place of P/N."""
    return renormalised(1.0 / load, targets, variance, layers)


def infinite_width(load, targets, variance, layers):
    """Return the root without examples."""
    return variance


def predict_with(order=1.0):
    """State the order, or a wrong one."""
    return lambda problem: jnp.asarray(order)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: i.problem.layers >= 1 and float(jnp.min(i.problem.widths)) >= 2,
            lambda i: float(i.problem.examples) >= 1,
        ),
        sources=(
            LI_SOMPOLINSKY_2021.remark("The limit; the powers of the variance are our own derivation."),
            HANIN_ZLOKAPA_2023.remark("The law at finite width, in the form of `hanin-zlokapa`."),
        ),
        instances=draw_instances,
        predict=predict_with(),
        seeds=16,
        method=nct.theorems.Train(steps=(0,)),
        claims=(state(), limit()),
        controls=(
            nct.Control("N - P", "N_l-P for N_l-P+1", versions=(state(shift=-1.0),)),
            nct.Control("depth left out", "u_0 for its power", versions=(limit(without_depth),), applies=deep),
            nct.Control("power of sigma", "r_0 for r_0'", versions=(limit(other_power),), applies=equal),
            nct.Control("load inverted", "N/P for P/N", versions=(limit(inverted_load),), applies=equal),
            nct.Control("infinite width", "u_0 = sigma^2", versions=(limit(infinite_width),), applies=equal),
            nct.Control("second order", "1/N^2 for 1/N", predict_with(2.0), claims=("large width",), applies=equal),
            nct.Control("half order", "N^{-1/2} for 1/N", predict_with(0.5), claims=("large width",), applies=equal),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
