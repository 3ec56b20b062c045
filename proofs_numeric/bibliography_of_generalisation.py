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
