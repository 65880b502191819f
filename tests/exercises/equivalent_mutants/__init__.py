"""Generated mutants of a solution that are right answers, too, each with the reason; one module per lesson.

A mutant's name shows the lines in which it differs from the solution. Who adds one here has made sure that no input the
exercise's text allows could tell the two apart; else the exercise has to draw such an input.
"""

import importlib
import pkgutil

EQUIVALENT: dict[str, dict[str, str]] = {}
for module in pkgutil.iter_modules(__path__):
    EQUIVALENT |= importlib.import_module(f"{__name__}.{module.name}").EQUIVALENT
