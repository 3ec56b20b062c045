"""What a protocol sees of a problem: objective and gradient of flat points, fresh starts, and the problem's units."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar, fast_compile, float64, in_few_lengths, is_finite, is_positive, untraced
from nctheory.flow import as_key, start_vectors
from nctheory.problems import Problem, ravel, scales_of, size, template, unravel

UNIT_STARTS, POWER_STEPS = 8, 30
"""The starts at which the curvature is looked at, and the power iterations for it (conventional)."""
SAME = 1e-6
"""Values of minima that differ by less of the problem's unit have no range (conventional)."""
LONGEST_MOVE = 0.05
"""The drift of one step is cut to this part of the typical length of a start (conventional): starts of deep chains are up to
a hundred times as steep as minima (measured), by which the step is chosen."""


class Landscape(eqx.Module):
    r"""A problem as protocols see it: points are vectors of length P, in the order of `nctheory.problems.ravel`.

    A protocol's numbers are relative to three units, so that the same numbers suit every problem: step sizes to `step_unit`,
    temperatures to `heat_unit`, lengths to `length_unit`.
    """

    problem: Problem
    scale: Scalar
    """The scale of the starts."""
    step_unit: Scalar
    """One over the largest curvature seen at minima (else at starts); descent with twice this step is not stable there."""
    heat_unit: Scalar
    r"""The range of values of minima (else from starts down to them, else the unit of values) over P/2: by equipartition this
    temperature lifts the mean value by about that range."""
    length_unit: Scalar
    """The typical norm of a start."""

    def value_and_grad(self, point: Float[Array, " P"]) -> tuple[Scalar, Float[Array, " P"]]:
        """The objective and its gradient, at the cost of one gradient."""
        value, slope = self.problem.value_and_grad(unravel(self.problem, point))
        return value, ravel(slope)

    def value(self, point: Float[Array, " P"]) -> Scalar:
        """The objective alone."""
        return jnp.asarray(self.problem.objective(unravel(self.problem, point)))

    def fresh(self, key: PRNGKeyArray) -> Float[Array, " P"]:
        """A new random start."""
        return ravel(self.problem.init(key, self.scale))

    def by_leaf(self, numbers: Float[Array, " leaves"]) -> Float[Array, " P"]:
        """One number for each array of the parameters (layer by layer), as one for each parameter."""
        sizes = [leaf.size for leaf in jax.tree.leaves(template(self.problem))]
        return jnp.repeat(numbers, np.array(sizes), total_repeat_length=sum(sizes))

    def drift(self, gradient: Float[Array, " P"], rate: Scalar) -> Float[Array, " P"]:
        """The step down a gradient, of size `rate` in the unit of steps, and never longer than `LONGEST_MOVE`."""
        step = -(rate * self.step_unit) * gradient
        length = jnp.linalg.norm(step)
        most = LONGEST_MOVE * self.length_unit
        return jnp.where(length > most, most / jnp.where(length > 0, length, 1.0), 1.0) * step

    def move(
        self,
        point: Float[Array, " P"],
        gradient: Float[Array, " P"],
        rate: Scalar,
        temperature: Scalar = 0.0,
        key: PRNGKeyArray | None = None,
        amplitude: Float[Array, " P"] | None = None,
    ) -> Float[Array, " P"]:
        r"""One step down a gradient; with a key one of Langevin dynamics, $x-\eta g+\sqrt{2\eta T}\,a\xi$.

        `rate` is $\eta$ and `temperature` T in the landscape's units, `amplitude` a is 1 unless given. A point on a sphere
        stays there (`Problem.canonical`).
        """
        moved = point + self.drift(gradient, rate)
        if key is not None:
            step, heat = rate * self.step_unit, temperature * self.heat_unit
            moved = noisy(moved, step, heat, key, amplitude)
        return self.kept(moved)

    def kept(self, point: Float[Array, " P"]) -> Float[Array, " P"]:
        """The point of its symmetry orbit at which a search goes on (`Problem.canonical`)."""
        return ravel(self.problem.canonical(unravel(self.problem, point)))


def noisy(moved: Array, step: Scalar, heat: Scalar, key: PRNGKeyArray, amplitude: Array | None = None) -> Array:
    r"""A point after its drift with the noise of Langevin dynamics, $\sqrt{2\eta T}\,a\xi$ with $\xi$ standard normal."""
    noise = jax.random.normal(key, moved.shape, moved.dtype)
    if amplitude is not None:
        noise = amplitude * noise
    return moved + jnp.sqrt(2.0 * step * heat) * noise


@fast_compile
def _curvatures_and_values(problem: Problem, points: Array) -> tuple[Array, Array]:
    """The largest absolute eigenvalue of the Hessian at each of some points, by power iteration, and the objective there."""

    def one(point: Array) -> tuple[Array, Array]:
        def slope(x: Array) -> Array:
            return ravel(problem.value_and_grad(unravel(problem, x))[1])

        def product(_: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
            image = jax.jvp(slope, (point,), (state[0],))[1]
            length = jnp.linalg.norm(image)
            return image / jnp.where(length > 0, length, 1.0), length

        first = jax.random.normal(jax.random.key(1), point.shape, point.dtype)
        state = (first / jnp.linalg.norm(first), jnp.zeros((), point.dtype))
        steep = jax.lax.fori_loop(0, POWER_STEPS, product, state)[1]
        return steep, jnp.asarray(problem.objective(unravel(problem, point)))

    return jax.vmap(one)(points)


@untraced()
@float64
def landscape_of(
    problem: Problem,
    scale: float = 1.0,
    key: int | PRNGKeyArray = 0,
    *,
    minima: Float[np.ndarray, "n P"] | None = None,
) -> Landscape:
    """The landscape of a problem, with units from `minima`, flat points where descents have ended, or else from some starts.

    Raises ValueError for a scale that is not positive, and where starts, values or curvatures are not finite.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(1, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> landscape = landscape_of(model)
    >>> bool(landscape.step_unit > 0), float(landscape.heat_unit) == 2.0 / 8
    (True, True)
    """
    if not (is_finite(scale) and is_positive(scale)):
        raise ValueError(f"scale: expected a positive number, got {scale}")
    starts = np.asarray(start_vectors(problem, as_key(key), np.arange(UNIT_STARTS), jnp.asarray(scale, jnp.float64)))
    unit, length = float(scales_of(problem).value), float(np.median(np.linalg.norm(starts, axis=1)))
    ends = np.zeros((0, starts.shape[1])) if minima is None else np.asarray(minima)
    seen = np.concatenate([ends, starts])
    steep, values = in_few_lengths(lambda points: _curvatures_and_values(problem, points), seen)
    number = len(ends)
    curvature = float(np.max(steep[:number]) if number else np.median(steep))
    if not all(np.isfinite(one) and one > 0 for one in (curvature, length)):
        raise ValueError(
            f"problem: expected finite starts with curvature, got length {length} and largest curvature {curvature}"
        )
    # The range of the minima, or where they have none that from the starts down to them.
    apart = (float(np.ptp(values[:number])), float(np.median(values[number:]) - values[0])) if number else ()
    lift = next((one for one in apart if np.isfinite(one) and one > SAME * unit), unit)
    numbers = (scale, 1.0 / curvature, 2.0 * lift / size(problem), length)
    return Landscape(problem, *(jnp.asarray(one, jnp.float64) for one in numbers))
