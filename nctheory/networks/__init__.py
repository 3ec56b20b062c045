"""Real networks as theory sees them: what is exact at any point of any network, and what is certified of its head.

`FeedForward` is a network as a problem, for every verb of the library. What was trained elsewhere needs no framework here:
features, labels, weights and gradients come in as arrays of any library, samples first.
`peeled_gap` compares a trained network's head with the unconstrained-feature model at the network's own norms, and certifies
the distance; `head_gaps` follows it along training, and `layer_balances` the balance of neighbouring layers against what the
gradient flow makes of it. `linear_head_bounds` is what fit and balance say of the variability before a linear head.
`nearest_mean_bounds` holds bounds on the nearest-mean error in every layer against what the error is.
`Data` holds checked inputs with labels or tags, read from files (`idx`, `npz`, `csv`), taken from scikit-learn
(`digits`) or drawn (`gaussian_mixture`), and makes the harder versions of them: long-tailed, with wrong labels, with two tags.
`transfer` asks the layers of trained networks for other classes, by probes on few shots and against the inputs themselves;
`fine_tune` trains chosen layers on a frozen trunk, and `tuning_choices` compares what can be chosen at equal cost.
`observe` decides an `Observation`, an empirical regularity whose statistic, threshold and number of seeds are fixed in its
file: it is observed, not observed or undecided, by exact intervals and against controls, and it never holds.
"""

from nctheory.networks._balances import LayerBalances, layer_balances
from nctheory.networks._choice import chosen_layer, few_shot_variability
from nctheory.networks._data import Data
from nctheory.networks._decision import Tally, share_interval
from nctheory.networks._feed_forward import (
    FeedForward,
    NetworkParams,
    feed_forward,
    network_on,
)
from nctheory.networks._fine_tune import FineTuning, fine_tune
from nctheory.networks._head_bounds import has_linear_head, linear_head_bounds
from nctheory.networks._head_gaps import HeadGaps, head_gaps, peeled_gaps
from nctheory.networks._loop import Seen
from nctheory.networks._measure import error_on, layer_metrics
from nctheory.networks._models import MODELS, ConvNet, ResidualMLP, Transformer, model_for
from nctheory.networks._modules import ModuleNetwork, module_on
from nctheory.networks._nearest_mean import NearestMeanBounds, nearest_mean_bounds
from nctheory.networks._network import Network
from nctheory.networks._observation import (
    ControlGroup,
    Observation,
    Panel,
    Statistic,
    Trial,
    find_observation,
    load_observation_file,
    observations,
    register_observation,
)
from nctheory.networks._observe import Observed, ObservedGroup, ObservedStatistic, observe
from nctheory.networks._optimisers import OPTIMISERS, momentum_time
from nctheory.networks._peeled import PeeledGap, peeled_gap
from nctheory.networks._polish import polish
from nctheory.networks._probe import Probe, few_shots, linear_probe
from nctheory.networks._ranks import RankCorrelations
from nctheory.networks._sources import csv, digits, gaussian_mixture, idx, markov_sequences, npz, read_csv, read_idx
from nctheory.networks._straight_line import LineTest, straight_line
from nctheory.networks._train import Progress, TrainedNetworks, train
from nctheory.networks._transfer import AgainstInputs, LayerCollapse, Transfer, transfer
from nctheory.networks._tuned import TunedLayers
from nctheory.networks._tuning_choices import TuningChoices, tuning_choices
from nctheory.problems import ACTIVATIONS, HOMOGENEOUS

__all__ = [
    "ACTIVATIONS",
    "HOMOGENEOUS",
    "MODELS",
    "OPTIMISERS",
    "AgainstInputs",
    "ControlGroup",
    "ConvNet",
    "Data",
    "FeedForward",
    "FineTuning",
    "HeadGaps",
    "LayerBalances",
    "LayerCollapse",
    "LineTest",
    "ModuleNetwork",
    "NearestMeanBounds",
    "Network",
    "NetworkParams",
    "Observation",
    "Observed",
    "ObservedGroup",
    "ObservedStatistic",
    "Panel",
    "PeeledGap",
    "Probe",
    "Progress",
    "RankCorrelations",
    "ResidualMLP",
    "Seen",
    "Statistic",
    "Tally",
    "TrainedNetworks",
    "Transfer",
    "Transformer",
    "Trial",
    "TunedLayers",
    "TuningChoices",
    "chosen_layer",
    "csv",
    "digits",
    "error_on",
    "feed_forward",
    "few_shot_variability",
    "few_shots",
    "find_observation",
    "fine_tune",
    "gaussian_mixture",
    "has_linear_head",
    "head_gaps",
    "idx",
    "layer_balances",
    "layer_metrics",
    "linear_head_bounds",
    "linear_probe",
    "load_observation_file",
    "markov_sequences",
    "model_for",
    "module_on",
    "momentum_time",
    "nearest_mean_bounds",
    "network_on",
    "npz",
    "observations",
    "observe",
    "peeled_gap",
    "peeled_gaps",
    "polish",
    "read_csv",
    "read_idx",
    "register_observation",
    "share_interval",
    "straight_line",
    "train",
    "transfer",
    "tuning_choices",
]
