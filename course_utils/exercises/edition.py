"""Which edition of the course this is, and of the libraries it runs with."""

from __future__ import annotations

import hashlib
import importlib.metadata as metadata
import json
import platform
import subprocess
from pathlib import Path

COURSE = "torchrl-course"
LIBRARIES = ("torch", "torchrl", "tensordict", "gymnasium", "numpy")
HERE = Path(__file__).parent


def edition() -> dict[str, str]:
    """The course's version, where its files come from, and a fingerprint of its checks.

    The fingerprint is the same wherever the same checks are installed, from a clone or from a wheel.
    """
    return {"version": version(COURSE), "source": source(), "checks": fingerprint()}


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sorted(HERE.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:16]


def source() -> str:
    """The commit of a clone, or what the course was installed from; empty where nothing tells."""
    clone = HERE.parents[1]
    if (clone / "pyproject.toml").exists() and (commit := git(clone, "rev-parse", "HEAD")):
        return (
            f"commit {commit}{' and changes of its own' if git(clone, 'status', '--short', HERE.parent.name) else ''}"
        )
    try:
        about = json.loads(metadata.distribution(COURSE).read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return ""
    if commit := about.get("vcs_info", {}).get("commit_id"):
        return f"commit {commit}"
    hashes = about.get("archive_info", {}).get("hashes", {})
    return f"wheel sha256 {hashes['sha256']}" if "sha256" in hashes else ""


def git(folder: Path, *words: str) -> str:
    """What git says; nothing where it is not there or refuses."""
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
