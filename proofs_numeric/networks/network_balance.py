r"""The balance of neighbouring layers across a nonlinearity.

In a network of ReLUs the layers below and above a neuron learn at one pace: along the flow the squared length of what
comes in, less that of what goes out, moves by the decays alone. Between two layers without a nonlinearity the whole matrix
of inner products does so, as in a linear chain. This holds at every point, for any data and any loss, and so it tells a
network that is not balanced yet from one that never will be; across a ReLU the angles between neurons obey no such law.

Problem:
    $f=\frac1N\sum_i\ell(z_i,y_i)+\sum_l\frac{\lambda_l}2(|W_l|_F^2+|b_l|^2)$ with the logits $Z_L$ of the network
    $Z_l=\sigma_l(W_lZ_{l-1}+b_l1^\top)$, $Z_0=X$, with or without biases, where $\sigma_l$ is a ReLU, a leaky ReLU or the
    identity, and $\sigma_L$ the identity.
Theorem (Du, Hu and Lee 2018, number unchecked; with decay and biases in our own form):
    Let $A=W_{l+1}^\top W_{l+1}$ and $B=W_lW_l^\top+b_lb_l^\top$ in the space between two layers. Along the flow
    $\dot\theta=-\nabla f$ the diagonals satisfy $\frac d{dt}\mathrm{diag}(A-B)=-2\lambda_{l+1}\mathrm{diag}A
    +2\lambda_l\mathrm{diag}B$, and where $\sigma_l$ is the identity $\frac d{dt}(A-B)=-2\lambda_{l+1}A+2\lambda_lB$. The
    fit's gradients G and c in weights and biases satisfy $\langle W_{l+1},G_{l+1}\rangle=\langle W_l,G_l\rangle
    +\langle b_l,c_l\rangle$ for every l.
Hypotheses:
    - a network of at least two layers, each a ReLU, a leaky ReLU or linear
    - decays >= 0
Notation:
    Du et al.: no decay and no biases; their neuron's incoming and outgoing weights are a row of W_l and a column of
    W_{l+1}.
Why:
    Multiplying what comes into a neuron, its bias included, by $c>0$ and dividing what goes out by c changes nothing, since
    $\sigma(cx)=c\sigma(x)$. The derivative at c = 1 is $(G_lW_l^\top+c_lb_l^\top)_{ii}-(W_{l+1}^\top G_{l+1})_{ii}=0$.
    Along the flow the terms with the fit's gradient therefore cancel in the diagonal of $A-B$, and the decays are left. If
    $\sigma_l$ is the identity the same holds for every invertible matrix in the place of c, and so for every entry. The sum
    over the neurons of a space is the last statement. At a kink any fixed choice of the slope will do.
Checked:
    At random starts and after 100 and 1000 steps of gradient descent, on inputs and targets without structure, the
    derivatives of A and B along the gradient are computed by forward differentiation through the whole network and held
    against the law, to the rounding of their terms. No seed needs to converge. All this is sampled.
Refuted by:
    One point of one seed at which a law fails by more than rounding. The same check must refute conservation with decay, a
    decay off by 1e-6, biases left out, one norm for all layers of a network with biases, the whole matrix across a ReLU,
    and the law of a neuron for networks of hyperbolic tangents.
Example:
    The two sides for the two hidden neurons of a network, by the law and as a difference along a short step.

    >>> network = shaped(np.random.default_rng(0), ((2, 2, 2), "relu", 1, True, "mse"), (0.01, 0.04)).problem
    >>> with jax.enable_x64(True):
    ...     point = network.init(jax.random.key(1), 1.0)
    ...     moved = jax.tree.map(lambda x, v: x + 1e-6 * v, point, descent(network, point))
    ...     before, after = (jnp.diag(above - below) for (above, below), in map(grams, (point, moved)))
    ...     found, law = (after - before) / 1e-6, jnp.diag(rates(network, point)[0])
    >>> np.round(found, 4).tolist(), np.round(law, 4).tolist()
    ([0.0004, -0.0053], [0.0004, -0.0053])
"""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import DU_2018
from proofs_numeric.conserved.instances import decayed
from proofs_numeric.conserved.vector_field import descent, norm, one, relative, zero

ID = "network-balance"
SAMPLES = 8
# A shape is (widths, activation, linear layers at the end, biases, loss); a key picks one of each row.
SHAPES = (
    (((3, 4, 2), "relu", 1, False, "cross_entropy"), ((4, 5, 3), "relu", 1, False, "cross_entropy")),
    (((3, 4, 3, 3, 2), "relu", 3, False, "mse"), ((2, 3, 4, 4, 3), "relu", 3, False, "mse")),
    (((3, 4, 3, 2), "leaky_relu", 1, True, "mse"), ((4, 3, 5, 2), "leaky_relu", 1, True, "mse")),
    (((4, 3, 3, 2), "relu", 2, True, "cross_entropy"), ((3, 5, 4, 3), "relu", 2, True, "cross_entropy")),
)
# Outside of the hypotheses.
TANH = ((3, 4, 3, 2), "tanh", 1, False, "mse")


def shaped(rng, shape, decay):
    """Build a named instance on inputs and targets without structure."""
    widths, activation, linear, bias, loss = shape
    inputs, targets = rng.normal(size=(widths[0], SAMPLES)), rng.normal(size=(widths[-1], SAMPLES))
    if loss == "cross_entropy":
        targets = np.exp(targets) / np.exp(targets).sum(axis=0)
    network = nct.networks.feed_forward(
        widths=widths,
        inputs=inputs,
        targets=targets,
        loss=loss,
        weight_decay=decay,
        activation=activation,
        linear=linear,
        bias=bias,
    )
    shown = {"widths": "-".join(map(str, widths)), "activation": activation, "linear layers": linear}
    shown |= {"biases": "yes" if bias else "no", "loss": loss, "decays": "-".join(f"{x:.2g}" for x in decay)}
    return nct.Instance(network, shown)


def draw_instances(key):
    """Draw for each shape equal and unequal decays, and twice none."""
    rng = nct.theorems.numpy_rng(key)
    drawn, shapes = [], [row[rng.integers(len(row))] for row in SHAPES]
    for shape in shapes:
        layers, level = len(shape[0]) - 1, 10.0 ** rng.uniform(-2.5, -1.5)
        drawn.append(shaped(rng, shape, (level,) * layers))
        drawn.append(shaped(rng, shape, tuple((level * 10.0 ** rng.uniform(-1, 1, size=layers)).tolist())))
    return drawn + [shaped(rng, shape, (0.0,) * (len(shape[0]) - 1)) for shape in shapes[1:3]]


def draw_tanh(key):
    """Draw a network of hyperbolic tangents, to which the law does not apply."""
    return [shaped(nct.theorems.numpy_rng(key), TANH, (0.01, 0.02, 0.03))]


def grams(params, biases=True):
    """Return W_{l+1}^T W_{l+1} and W_l W_l^T + b_l b_l^T in every space between two layers."""
    found = []
    for i, (low, up) in enumerate(pairwise(params.weights)):
        below = low @ low.T
        if params.biases is not None and biases:
            below = below + jnp.outer(params.biases[i], params.biases[i])
        found.append((up.T @ up, below))
    return found


def rates(problem, params, off=0.0, decays=1.0, biases=True):
    """Return what the law says of d/dt (A - B) in every space, the upper decay times 1 + `off`, all times `decays`."""
    decay = decays * jnp.asarray(problem.weight_decay)
    spaces = zip(grams(params, biases), decay[1:], decay[:-1], strict=True)
    return [2 * low * below - 2 * (1 + off) * up * above for (above, below), up, low in spaces]


def gradient_size(problem, params):
    """Bound the terms that cancel in W_{l+1}^T G_{l+1}: all norms times the slope of the fit, and the decays.

    The fit's slope is known to rounding of the logits, whose terms have the size of the product of all norms.
    """
    reached = jnp.linalg.norm(problem.inputs)
    for i, weight in enumerate(params.weights):
        reached = jnp.linalg.norm(weight) * reached
        if params.biases is not None:
            reached = reached + jnp.sqrt(1.0 * SAMPLES) * jnp.linalg.norm(params.biases[i])
    slope = jnp.linalg.norm(problem.loss.gradient(problem.logits(params), problem.targets)) / SAMPLES
    per_logit = (reached + jnp.linalg.norm(problem.targets)) / SAMPLES
    squares = sum(jnp.sum(x**2) for x in jax.tree.leaves(params))
    return reached * (slope + per_logit) + (1.0 + jnp.max(jnp.asarray(problem.weight_decay))) * squares


def observe(law, spaces, part, biases=True):
    """Observe d/dt (A - B) less a law in some spaces, relative to the terms, and its rounding."""

    def terms(problem, params):
        moving = jax.jvp(lambda x: grams(x, biases), (params,), (descent(problem, params),))[1]
        error, told = gradient_size(problem, params), law(problem, params)
        for space in spaces(problem):
            above, below = moving[space - 1]
            size = norm(above, below, told[space - 1])
            yield (
                part(relative(above - below - told[space - 1], size, error, params)),
                relative(error, size, error, params),
            )

    def off(problem, params):
        return jnp.concatenate([jnp.zeros(0), *(jnp.ravel(one) for one, _ in terms(problem, params))])

    def rounded(problem, params):
        return norm(*(error for _, error in terms(problem, params)))

    return off, rounded


def all_spaces(problem):
    """Return the numbers of all spaces between two layers."""
    return tuple(range(1, problem.depth))


def linear_spaces(problem):
    """Return the numbers of the spaces without a nonlinearity."""
    return problem.linear_spaces


def neurons(law=rates, biases=True):
    """State the law of each neuron, or a wrong version of it."""
    off, rounded = observe(law, all_spaces, jnp.diag, biases)
    statement = r"\frac d{dt}\mathrm{diag}(A-B)=-2\lambda_{l+1}\mathrm{diag}A+2\lambda_l\mathrm{diag}B"
    return nct.Equality("neurons", statement, off, zero, scope="any point", terms=rounded, size=one)


def neighbours(law=rates, spaces=linear_spaces):
    """State the law of linear neighbours, or a wrong version of it."""
    off, rounded = observe(law, spaces, lambda matrix: matrix)
    return nct.Equality(
        "linear neighbours",
        r"\frac d{dt}(A-B)=-2\lambda_{l+1}A+2\lambda_lB",
        off,
        zero,
        scope="any point",
        terms=rounded,
        size=one,
        applies=lambda instance: bool(spaces(instance.problem)),
    )


def layers(biases=True):
    """State that <W, G>, with the bias of the layer below, is the same in all layers."""

    def terms(problem, params):
        slopes, error = jax.grad(problem.fit)(params), gradient_size(problem, params)
        products = [jnp.sum(w * g) for w, g in zip(params.weights, slopes.weights, strict=True)]
        for i, (below, above) in enumerate(pairwise(products)):
            shift = jnp.zeros(()) if params.biases is None else jnp.sum(params.biases[i] * slopes.biases[i])
            size = norm(below, above, shift)
            yield (
                relative(above - below - (shift if biases else 0.0), size, error, params),
                relative(error, size, error, params),
            )

    def off(problem, params):
        return jnp.stack([one for one, _ in terms(problem, params)])

    def rounded(problem, params):
        return norm(*(error for _, error in terms(problem, params)))

    statement = r"\langle W_{l+1},G_{l+1}\rangle=\langle W_l,G_l\rangle+\langle b_l,c_l\rangle"
    return nct.Equality("layers", statement, off, zero, scope="any point", terms=rounded, size=one)


def conserved(problem, params):
    """Say that nothing moves."""
    return rates(problem, params, decays=0.0)


def no_biases(problem, params):
    """Leave the biases out of B."""
    return rates(problem, params, biases=False)


def off_by(change):
    """Say that the upper decay is larger by a relative `change`."""
    return lambda problem, params: rates(problem, params, off=change)


def biased(instance):
    """Tell whether there are biases."""
    return instance.problem.has_bias


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: i.problem.depth >= 2 and set(i.problem.activations) <= nct.networks.HOMOGENEOUS,
            lambda i: bool(np.all(np.asarray(i.problem.weight_decay) >= 0)),
        ),
        sources=(DU_2018.remark("Conservation without decay and biases; the laws with these are in our own form."),),
        instances=draw_instances,
        predict=lambda problem: None,
        method=nct.theorems.Train(steps=(0, 100, 1000), rate=0.02),
        claims=(neurons(), neighbours(), layers()),
        controls=(
            nct.Control(
                "conserved with decay",
                "the balance does not move along the flow, whatever the decays",
                versions=(neurons(conserved), neighbours(conserved)),
                applies=decayed,
            ),
            nct.Control(
                "decay 1e-6 off",
                "the upper decay larger by a relative 1e-6",
                versions=(neurons(off_by(1e-6)), neighbours(off_by(1e-6))),
                applies=decayed,
            ),
            nct.Control(
                "biases left out",
                "W_l W_l^T for W_l W_l^T + b_l b_l^T",
                versions=(neurons(no_biases, biases=False),),
                applies=biased,
            ),
            nct.Control(
                "one product for all layers",
                "<W, G> is the same in all layers, whatever the biases",
                versions=(layers(biases=False),),
                applies=biased,
            ),
            nct.Control(
                "the whole matrix across a ReLU",
                "the law of linear neighbours in every space",
                versions=(neighbours(spaces=all_spaces),),
            ),
            nct.Control(
                "hyperbolic tangents",
                "the law of a neuron whatever the activation",
                claims=("neurons",),
                outside=draw_tanh,
            ),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
