"""The publications about features of fixed length and about spherical codes that theorem files cite, each once."""

import nctheory as nct

SUKENIK_2025 = nct.Source(
    citation="Sukenik, Lampert, Mondelli: Neural Collapse is Globally Optimal in Deep Regularized ResNets and Transformers, "
    "arXiv:2505.15239 (2025).",
    number="number unchecked",
    bibtex="""@article{sukenik2025globally,
  title={Neural Collapse is Globally Optimal in Deep Regularized ResNets and Transformers},
  author={S{\\'u}ken{\\'i}k, Peter and Lampert, Christoph H. and Mondelli, Marco},
  journal={arXiv preprint arXiv:2505.15239},
  year={2025}
}""",
)

COHN_2007 = nct.Source(
    citation="Cohn, Kumar: Universally Optimal Distribution of Points on Spheres, Journal of the American Mathematical "
    "Society 2007.",
    number="number unchecked",
    bibtex="""@article{cohn2007universally,
  title={Universally Optimal Distribution of Points on Spheres},
  author={Cohn, Henry and Kumar, Abhinav},
  journal={Journal of the American Mathematical Society},
  volume={20},
  year={2007}
}""",
)

DELSARTE_1977 = nct.Source(
    citation="Delsarte, Goethals, Seidel: Spherical Codes and Designs, Geometriae Dedicata 1977.",
    number="number unchecked",
    bibtex="""@article{delsarte1977spherical,
  title={Spherical Codes and Designs},
  author={Delsarte, Philippe and Goethals, Jean-Marie and Seidel, Johan Jacob},
  journal={Geometriae Dedicata},
  volume={6},
  year={1977}
}""",
)

JIANG_2024 = nct.Source(
    citation="Jiang, Zhou, Wang, Qu, Mixon, You, Zhu: Generalized Neural Collapse for a Large Number of Classes, ICML 2024.",
    number="number unchecked",
    bibtex="""@inproceedings{jiang2024generalized,
  title={Generalized Neural Collapse for a Large Number of Classes},
  author={Jiang, Jiachen and Zhou, Jinxin and Wang, Peng and Qu, Qing and Mixon, Dustin G. and You, Chong and Zhu, Zhihui},
  booktitle={International Conference on Machine Learning},
  year={2024}
}""",
)

ALCALA_2026 = nct.Source(
    citation="Alcala, Andreeva, Kobzar, Mixon, Na, Sule, Xie: Neural Collapse in the Orthoplex Regime, arXiv:2603.20587 "
    "(2026).",
    number="number unchecked",
    bibtex="""@article{alcala2026orthoplex,
  title={Neural Collapse in the Orthoplex Regime},
  author={Alcala, James and Andreeva, Rayna and Kobzar, Vladimir A. and Mixon, Dustin G. and Na, Sanghoon and Sule, Shashank
    and Xie, Yangxinyu},
  journal={arXiv preprint arXiv:2603.20587},
  year={2026}
}""",
)

SCHUTTE_1951 = nct.Source(
    citation="Schutte, van der Waerden: Auf welcher Kugel haben 5, 6, 7, 8 oder 9 Punkte mit Mindestabstand Eins Platz?, "
    "Mathematische Annalen 1951.",
    number="number unchecked",
    bibtex="""@article{schutte1951kugel,
  title={Auf welcher Kugel haben 5, 6, 7, 8 oder 9 Punkte mit Mindestabstand Eins Platz?},
  author={Sch{\\"u}tte, Kurt and van der Waerden, Bartel L.},
  journal={Mathematische Annalen},
  volume={123},
  year={1951}
}""",
)

DANZER_1986 = nct.Source(
    citation="Danzer: Finite Point-Sets on S^2 with Minimum Distance as Large as Possible, Discrete Mathematics 1986.",
    number="number unchecked",
    bibtex="""@article{danzer1986finite,
  title={Finite Point-Sets on {$S^2$} with Minimum Distance as Large as Possible},
  author={Danzer, Ludwig},
  journal={Discrete Mathematics},
  volume={60},
  year={1986}
}""",
)

FEJES_TOTH_1943 = nct.Source(
    citation="Fejes Toth: Uber die Abschatzung des kurzesten Abstandes zweier Punkte eines auf einer Kugelflache liegenden "
    "Punktsystems, Jahresbericht der Deutschen Mathematiker-Vereinigung 1943.",
    number="number unchecked",
    bibtex="""@article{fejestoth1943abschatzung,
  title={{\\"U}ber die Absch{\\"a}tzung des k{\\"u}rzesten Abstandes zweier Punkte eines auf einer Kugelfl{\\"a}che liegenden
    Punktsystems},
  author={Fejes T{\\'o}th, L{\\'a}szl{\\'o}},
  journal={Jahresbericht der Deutschen Mathematiker-Vereinigung},
  volume={53},
  year={1943}
}""",
)

GARROD_2026 = nct.Source(
    citation="Garrod, Keating, Thrampoulidis: The Implicit Bias of Depth: From Neural Collapse to Softmax Codes, ICML 2026, "
    "arXiv:2605.23087.",
    number="number unchecked",
    bibtex="""@inproceedings{garrod2026implicit,
  title={The Implicit Bias of Depth: From Neural Collapse to Softmax Codes},
  author={Garrod, Connall and Keating, Jonathan P. and Thrampoulidis, Christos},
  booktitle={International Conference on Machine Learning},
  year={2026}
}""",
)
