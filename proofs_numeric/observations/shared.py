"""What several observations share: data and controls, features and weights of one seed, angles between groups of classes."""

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct

RANDOM_FEATURES = nct.networks.ControlGroup(
    "random features", "the architecture alone does it, without any training", untrained=True
)
PERMUTED_LABELS = nct.networks.ControlGroup(
    "permuted labels", "fitting any labels does it, whether inputs carry them or not", permuted=True
)


def digits(per_class, classes=10):
    """Return the data of a seed: so many digits of each class, drawn by its number."""
    counts = (per_class,) * classes if isinstance(per_class, int) else per_class

    def draw(drawn):
        return nct.networks.digits(key=drawn).only(*range(classes)).take(counts)

    return draw


def one_network(hidden, **options):
    """Return the networks of an observation with a single one, called "network"."""
    return lambda data: {"network": nct.networks.network_on(data, hidden, **options)}


def layers(trained, inputs=None, labels=None):
    """Return the metrics of one seed by layer."""
    return nct.networks.layer_metrics(trained, inputs, labels)


def weights_of(trained):
    """Return the weights of one seed, first layer first."""
    return [np.asarray(weight)[0] for weight in trained.params.weights]


def last_features(trained):
    """Return the features before the last layer, one row a sample."""
    with jax.enable_x64(True):
        point = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), trained.params)
        return np.asarray(trained.network.layers(point)[-2]).T


def cosines(gram):
    """Return the cosines of vectors with this Gram matrix."""
    norms = np.sqrt(np.diag(gram))
    return gram / np.outer(norms, norms)


def group_cosines(gram, majority):
    """Return the mean cosines within the first `majority` classes, within the others, and between the two."""
    found, first = cosines(gram), np.arange(len(gram)) < majority
    off = ~np.eye(len(gram), dtype=bool)
    return np.array(
        [found[np.outer(a, b) & off].mean() for a, b in ((first, first), (~first, ~first), (first, ~first))]
    )


def peeled_minimum(counts, weights, features, decay):
    """Return the exact minimum of the unconstrained-feature model whose penalties are equal at this head, and its decays.

    The decay of the features is lambda |W|^2/|H|^2, as in `nct.networks.peeled_gap`.
    """
    feature_decay = decay * np.sum(weights**2) / np.sum(features**2)
    model = nct.unconstrained_features(
        counts=counts, dim=len(counts), loss="cross_entropy", weight_decay=(decay, feature_decay)
    )
    return nct.global_minimum(model)


def hard_margin_gram(counts):
    """Return W W^T of the hard-margin limit of the model (SELI), up to scale."""
    multipliers = nct.closed_form.hard_margin_multipliers(np.array(counts))
    model = nct.support_vector_features(counts=counts, dim=len(counts) - 1, multipliers=multipliers)
    return np.asarray(nct.closed_form.seli_minimum(model).gram_weights)
