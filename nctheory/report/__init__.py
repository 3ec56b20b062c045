"""How results are shown: tables for the terminal, figures, JSON, the schema of a verdict.

Everything that renders is here, and nothing below imports it: results have no methods that draw. `show`, `plot` and `render`
take any result and choose the table or the figure by its type. Each kind of result has files of its own, with its data in
plain values, its table and its drawing. `write_report` puts the results of a folder on one page that needs no network, and
each of them is first set by itself, so that one which cannot be shown is named and costs no other. What comes from files is
taken for text, never for markup, a command of TeX or code. The names stand in `__init__.pyi` and are
imported when they are used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
