"""The publications about spin glasses that theorems cite, each once."""

import nctheory as nct

AUFFINGER_2013 = nct.Source(
    citation="Auffinger, Ben Arous, Černý: Random Matrices and Complexity of Spin Glasses, Communications on Pure and Applied "
    "Mathematics 2013.",
    number="Theorem 2.1 from memory, number unchecked",
    bibtex="""@article{auffinger2013random,
  title={Random Matrices and Complexity of Spin Glasses},
  author={Auffinger, Antonio and Ben Arous, G{\\'e}rard and {\\v{C}}ern{\\'y}, Ji{\\v{r}}{\\'i}},
  journal={Communications on Pure and Applied Mathematics},
  year={2013}
}""",
)

CARTWRIGHT_2013 = nct.Source(
    citation="Cartwright, Sturmfels: The number of eigenvalues of a tensor, Linear Algebra and its Applications 2013.",
    number="number unchecked",
    bibtex="""@article{cartwright2013number,
  title={The number of eigenvalues of a tensor},
  author={Cartwright, Dustin and Sturmfels, Bernd},
  journal={Linear Algebra and its Applications},
  year={2013}
}""",
)

CUGLIANDOLO_1995 = nct.Source(
    citation="Cugliandolo, Dean: Full dynamical solution for a spherical spin-glass model, Journal of Physics A 1995.",
    number="number unchecked",
    bibtex="""@article{cugliandolo1995full,
  title={Full dynamical solution for a spherical spin-glass model},
  author={Cugliandolo, Leticia F. and Dean, David S.},
  journal={Journal of Physics A: Mathematical and General},
  year={1995}
}""",
)

CHOROMANSKA_2015 = nct.Source(
    citation="Choromanska, Henaff, Mathieu, Ben Arous, LeCun: The Loss Surfaces of Multilayer Networks, AISTATS 2015.",
    number="Theorems 4.1 and 11.1",
    bibtex="""@inproceedings{choromanska2015loss,
  title={The Loss Surfaces of Multilayer Networks},
  author={Choromanska, Anna and Henaff, Mikael and Mathieu, Micha{\\"e}l and Ben Arous, G{\\'e}rard and LeCun, Yann},
  booktitle={International Conference on Artificial Intelligence and Statistics},
  year={2015}
}""",
)
