"""The publications that more than one theorem cites, each once."""

import nctheory as nct

ZHU_2021 = nct.Source(
    citation="Zhu, Ding, Zhou, Li, You, Sulam, Qu: A Geometric Analysis of Neural Collapse with Unconstrained Features, "
    "NeurIPS 2021.",
    number="number unchecked",
    bibtex="""@inproceedings{zhu2021geometric,
  title={A Geometric Analysis of Neural Collapse with Unconstrained Features},
  author={Zhu, Zhihui and Ding, Tianyu and Zhou, Jinxin and Li, Xiao and You, Chong and Sulam, Jeremias and Qu, Qing},
  booktitle={Advances in Neural Information Processing Systems},
  year={2021}
}""",
)

ZHOU_2022 = nct.Source(
    citation="Zhou, Li, Ding, You, Qu, Zhu: On the Optimization Landscape of Neural Collapse under MSE Loss: Global "
    "Optimality with Unconstrained Features, ICML 2022.",
    number="number unchecked",
    bibtex="""@inproceedings{zhou2022optimization,
  title={On the Optimization Landscape of Neural Collapse under {MSE} Loss: Global Optimality with Unconstrained Features},
  author={Zhou, Jinxin and Li, Xiao and Ding, Tianyu and You, Chong and Qu, Qing and Zhu, Zhihui},
  booktitle={International Conference on Machine Learning},
  year={2022}
}""",
)

TIRER_2022 = nct.Source(
    citation="Tirer, Bruna: Extended Unconstrained Features Model for Exploring Deep Neural Collapse, ICML 2022.",
    number="number unchecked",
    bibtex="""@inproceedings{tirer2022extended,
  title={Extended Unconstrained Features Model for Exploring Deep Neural Collapse},
  author={Tirer, Tom and Bruna, Joan},
  booktitle={International Conference on Machine Learning},
  year={2022}
}""",
)
