"""The publications about generalisation that more than one theorem cites, each once."""

import nctheory as nct

LUTHRA_2026 = nct.Source(
    citation="Luthra, Salunkhe, Galanti: Directional Neural Collapse Explains Few-Shot Transfer in Self-Supervised Learning, "
    "ICML 2026, arXiv:2603.03530.",
    number="number unchecked",
    bibtex="""@inproceedings{luthra2026directional,
  title={Directional Neural Collapse Explains Few-Shot Transfer in Self-Supervised Learning},
  author={Luthra, Achleshwar and Salunkhe, Yash and Galanti, Tomer},
  booktitle={International Conference on Machine Learning},
  year={2026}
}""",
)

GALANTI_2022 = nct.Source(
    citation="Galanti, György, Hutter: On the Role of Neural Collapse in Transfer Learning, ICLR 2022.",
    number="number unchecked",
    bibtex="""@inproceedings{galanti2022role,
  title={On the Role of Neural Collapse in Transfer Learning},
  author={Galanti, Tomer and Gy{\\"o}rgy, Andr{\\'a}s and Hutter, Marcus},
  booktitle={International Conference on Learning Representations},
  year={2022}
}""",
)

RANKIN_1955 = nct.Source(
    citation="Rankin: The Closest Packing of Spherical Caps in n Dimensions, Proceedings of the Glasgow Mathematical "
    "Association 1955.",
    number="number unchecked",
    bibtex="""@article{rankin1955closest,
  title={The Closest Packing of Spherical Caps in n Dimensions},
  author={Rankin, R. A.},
  journal={Proceedings of the Glasgow Mathematical Association},
  year={1955}
}""",
)

PASTORE_2023 = nct.Source(
    citation="Pastore: A Proof of the Weak Simplex Conjecture, arXiv:2306.13478.",
    number="number unchecked",
    bibtex="""@misc{pastore2023proof,
  title={A Proof of the Weak Simplex Conjecture},
  author={Pastore, Adriano},
  year={2023},
  eprint={2306.13478},
  archivePrefix={arXiv}
}""",
)

STEINER_1994 = nct.Source(
    citation="Steiner: The Strong Simplex Conjecture Is False, IEEE Transactions on Information Theory 1994.",
    number="number unchecked",
    bibtex="""@article{steiner1994strong,
  title={The Strong Simplex Conjecture Is False},
  author={Steiner, Michael},
  journal={IEEE Transactions on Information Theory},
  year={1994}
}""",
)
