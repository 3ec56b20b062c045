"""The publications about models with ReLUs that theorems cite, each once."""

import nctheory as nct
from proofs_numeric.bibliography_of_observations import SUKENIK_2024

DANG_2024 = nct.Source(
    citation="Dang, Tran, Nguyen, Ho: Neural Collapse for Cross-entropy Class-Imbalanced Learning with Unconstrained ReLU "
    "Features Model, ICML 2024.",
    number="number unchecked",
    bibtex="""@inproceedings{dang2024neural,
  title={Neural Collapse for Cross-entropy Class-Imbalanced Learning with Unconstrained ReLU Features Model},
  author={Dang, Hien and Tran, Tho and Nguyen, Tan and Ho, Nhat},
  booktitle={International Conference on Machine Learning},
  year={2024}
}""",
)

SUKENIK_2023 = nct.Source(
    citation="Sukenik, Mondelli, Lampert: Deep Neural Collapse Is Provably Optimal for the Deep Unconstrained Features Model, "
    "NeurIPS 2023.",
    number="number unchecked",
    bibtex="""@inproceedings{sukenik2023deep,
  title={Deep Neural Collapse Is Provably Optimal for the Deep Unconstrained Features Model},
  author={S{\\'u}ken{\\'i}k, Peter and Mondelli, Marco and Lampert, Christoph},
  booktitle={Advances in Neural Information Processing Systems},
  year={2023}
}""",
)

MIN_2025 = nct.Source(
    citation="Min, Zhu, Vidal: Neural Collapse under Gradient Flow on Shallow ReLU Networks for Orthogonally Separable Data, "
    "NeurIPS 2025.",
    number="number unchecked",
    bibtex="""@inproceedings{min2025neural,
  title={Neural Collapse under Gradient Flow on Shallow {ReLU} Networks for Orthogonally Separable Data},
  author={Min, Hancheng and Zhu, Zhihui and Vidal, Ren{\\'e}},
  booktitle={Advances in Neural Information Processing Systems},
  year={2025}
}""",
)

PILANCI_2020 = nct.Source(
    citation="Pilanci, Ergen: Neural Networks are Convex Regularizers: Exact Polynomial-time Convex Optimization Formulations "
    "for Two-layer Networks, ICML 2020.",
    number="number unchecked",
    bibtex="""@inproceedings{pilanci2020neural,
  title={Neural Networks are Convex Regularizers: Exact Polynomial-time Convex Optimization Formulations for Two-layer
    Networks},
  author={Pilanci, Mert and Ergen, Tolga},
  booktitle={International Conference on Machine Learning},
  year={2020}
}""",
)

SAVARESE_2019 = nct.Source(
    citation="Savarese, Evron, Soudry, Srebro: How Do Infinite Width Bounded Norm Networks Look in Function Space?, "
    "COLT 2019.",
    number="number unchecked",
    bibtex="""@inproceedings{savarese2019infinite,
  title={How Do Infinite Width Bounded Norm Networks Look in Function Space?},
  author={Savarese, Pedro and Evron, Itay and Soudry, Daniel and Srebro, Nathan},
  booktitle={Conference on Learning Theory},
  year={2019}
}""",
)

__all__ = ["DANG_2024", "MIN_2025", "PILANCI_2020", "SAVARESE_2019", "SUKENIK_2023", "SUKENIK_2024"]
