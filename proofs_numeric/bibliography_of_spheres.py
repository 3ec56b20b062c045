"""The publications about features on spheres and contrastive losses that theorems cite, each once."""

import nctheory as nct

YARAS_2022 = nct.Source(
    citation="Yaras, Wang, Zhu, Balzano, Qu: Neural Collapse with Normalized Features: A Geometric Analysis over the "
    "Riemannian Manifold, NeurIPS 2022.",
    number="number unchecked",
    bibtex="""@inproceedings{yaras2022neural,
  title={Neural Collapse with Normalized Features: A Geometric Analysis over the {R}iemannian Manifold},
  author={Yaras, Can and Wang, Peng and Zhu, Zhihui and Balzano, Laura and Qu, Qing},
  booktitle={Advances in Neural Information Processing Systems},
  year={2022}
}""",
)

LU_2022 = nct.Source(
    citation="Lu, Steinerberger: Neural Collapse Under Cross-Entropy Loss, Applied and Computational Harmonic Analysis 2022.",
    number="number unchecked",
    bibtex="""@article{lu2022neural,
  title={Neural Collapse Under Cross-Entropy Loss},
  author={Lu, Jianfeng and Steinerberger, Stefan},
  journal={Applied and Computational Harmonic Analysis},
  year={2022}
}""",
)

GRAF_2021 = nct.Source(
    citation="Graf, Hofer, Niethammer, Kwitt: Dissecting Supervised Contrastive Learning, ICML 2021.",
    number="number unchecked",
    bibtex="""@inproceedings{graf2021dissecting,
  title={Dissecting Supervised Contrastive Learning},
  author={Graf, Florian and Hofer, Christoph and Niethammer, Marc and Kwitt, Roland},
  booktitle={International Conference on Machine Learning},
  year={2021}
}""",
)

CHEN_2020 = nct.Source(
    citation="Chen, Kornblith, Norouzi, Hinton: A Simple Framework for Contrastive Learning of Visual Representations, "
    "ICML 2020.",
    number="number unchecked",
    bibtex="""@inproceedings{chen2020simple,
  title={A Simple Framework for Contrastive Learning of Visual Representations},
  author={Chen, Ting and Kornblith, Simon and Norouzi, Mohammad and Hinton, Geoffrey},
  booktitle={International Conference on Machine Learning},
  year={2020}
}""",
)

KINI_2023 = nct.Source(
    citation="Kini, Vakilian, Behnia, Gill, Thrampoulidis: Supervised-Contrastive Loss Learns Orthogonal Frames and Batching "
    "Matters, arXiv 2306.07960, 2023.",
    number="number unchecked",
    bibtex="""@article{kini2023supervised,
  title={Supervised-Contrastive Loss Learns Orthogonal Frames and Batching Matters},
  author={Kini, Ganesh Ramachandra and Vakilian, Vala and Behnia, Tina and Gill, Jaidev and Thrampoulidis, Christos},
  journal={arXiv preprint arXiv:2306.07960},
  year={2023}
}""",
)

KHOSLA_2020 = nct.Source(
    citation="Khosla, Teterwak, Wang, Sarna, Tian, Isola, Maschinot, Liu, Krishnan: Supervised Contrastive Learning, "
    "NeurIPS 2020.",
    number="number unchecked",
    bibtex="""@inproceedings{khosla2020supervised,
  title={Supervised Contrastive Learning},
  author={Khosla, Prannay and Teterwak, Piotr and Wang, Chen and Sarna, Aaron and Tian, Yonglong and Isola, Phillip and
    Maschinot, Aaron and Liu, Ce and Krishnan, Dilip},
  booktitle={Advances in Neural Information Processing Systems},
  year={2020}
}""",
)

LEE_2024 = nct.Source(
    citation="Lee, Chang, Sohn: Analysis of Using Sigmoid Loss for Contrastive Learning, arXiv 2402.12613, 2024.",
    number="number unchecked",
    bibtex="""@article{lee2024analysis,
  title={Analysis of Using Sigmoid Loss for Contrastive Learning},
  author={Lee, Chungpa and Chang, Joonhwan and Sohn, Jy-yong},
  journal={arXiv preprint arXiv:2402.12613},
  year={2024}
}""",
)

ZHAI_2023 = nct.Source(
    citation="Zhai, Mustafa, Kolesnikov, Beyer: Sigmoid Loss for Language Image Pre-Training, ICCV 2023.",
    number="number unchecked",
    bibtex="""@inproceedings{zhai2023sigmoid,
  title={Sigmoid Loss for Language Image Pre-Training},
  author={Zhai, Xiaohua and Mustafa, Basil and Kolesnikov, Alexander and Beyer, Lucas},
  booktitle={International Conference on Computer Vision},
  year={2023}
}""",
)

LUTHRA_2025 = nct.Source(
    citation="Luthra, Yang, Galanti: Self-Supervised Contrastive Learning is Approximately Supervised Contrastive Learning, "
    "arXiv 2506.04411, 2025.",
    number="number unchecked",
    bibtex="""@article{luthra2025self,
  title={Self-Supervised Contrastive Learning is Approximately Supervised Contrastive Learning},
  author={Luthra, Achleshwar and Yang, Tianbao and Galanti, Tomer},
  journal={arXiv preprint arXiv:2506.04411},
  year={2025}
}""",
)

GESHKOVSKI_2025 = nct.Source(
    citation="Geshkovski, Letrouit, Polyanskiy, Rigollet: A Mathematical Perspective on Transformers, Bulletin of the "
    "American Mathematical Society 2025.",
    number="number unchecked",
    bibtex="""@article{geshkovski2025mathematical,
  title={A Mathematical Perspective on Transformers},
  author={Geshkovski, Borjan and Letrouit, Cyril and Polyanskiy, Yury and Rigollet, Philippe},
  journal={Bulletin of the American Mathematical Society},
  volume={62},
  year={2025}
}""",
)

CRISCITIELLO_2024 = nct.Source(
    citation="Criscitiello, Rebjock, McRae, Boumal: Synchronization on Circles and Spheres with Nonlinear Interactions, "
    "arXiv:2405.18273 (2024).",
    number="number unchecked",
    bibtex="""@article{criscitiello2024synchronization,
  title={Synchronization on Circles and Spheres with Nonlinear Interactions},
  author={Criscitiello, Christopher and Rebjock, Quentin and McRae, Andrew D. and Boumal, Nicolas},
  journal={arXiv preprint arXiv:2405.18273},
  year={2024}
}""",
)
