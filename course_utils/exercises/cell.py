"""What is known about the cell that runs right now."""

from __future__ import annotations

import sys


def in_notebook() -> bool:
    """Does a kernel run this?"""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


def in_solution_cell() -> bool:
    """Is the cell that runs right now one of the course's solutions? Running it is not solving the exercise."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    # What the kernel was asked to run; IPython's own history is not kept by every runner.
    asked = getattr(get_ipython(), "get_parent", dict)()
    return asked.get("content", {}).get("code", "").startswith("# @title Solution")
