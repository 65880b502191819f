"""What packages bring along beside the course: `python -m benchmarks.weigh h5py ...` prints names, versions and MB."""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.store import ROOT


def course_has() -> set[str]:
    """Names of what the course itself installs, without any extra."""
    texts = [(ROOT / "requirements" / name).read_text() for name in ("core.txt", "torch.txt")]
    return {canonicalize_name(name) for text in texts for name in re.findall(r"(?m)^([\w.-]+)==", text)}


def needed(wanted: list[str], have: set[str]) -> dict[str, str]:
    """The packages wanted and all that they ask for, but for what is there: version by name.

    Raises:
        PackageNotFoundError: one of those wanted is not installed.
    """
    found: dict[str, str] = {}
    todo = [(Requirement(name), True) for name in wanted]
    while todo:
        requirement, asked = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in have or name in found:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:
            if asked:
                raise
            continue
        found[name] = package.version
        for line in package.requires or []:
            inner = Requirement(line)
            extras = requirement.extras or {""}
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append((inner, False))
    return dict(sorted(found.items()))


def megabytes(names: list[str]) -> float:
    """What installed packages weigh on disk, bytecode included."""
    files = [file.locate() for name in names for file in distribution(name).files or []]
    return round(sum(path.stat().st_size for path in files if path.is_file()) / 1e6, 1)


if __name__ == "__main__":
    packages = needed(sys.argv[1:], course_has())
    print(json.dumps({"packages": packages, "megabytes": megabytes(list(packages))}))
