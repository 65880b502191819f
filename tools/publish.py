"""Say where the course is published: `make publish ADDRESS=https://github.com/owner/name`.

Notes the address and the hash of the commit that is released, and writes both into what readers open: README, badges,
links, and the set-up cell of every notebook, which installs exactly that commit. No notebook is run again for it.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from dataclasses import asdict

from tools import notebooks
from tools.course import PUBLICATION, ROOT, Publication

ADDRESS = re.compile(r"https://[\w.-]+(?:/[\w.-]+){2,}")


class CannotPublish(Exception):
    """The course is not ready to be published; the message names the fix."""


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def released(address: str) -> Publication:
    """The commit that is checked out, at this address.

    Raises:
        CannotPublish: it is no address of a repository, this folder is no clone, or there are changes that the commit
            does not hold.
    """
    address = address.strip().rstrip("/").removesuffix(".git")
    if not ADDRESS.fullmatch(address):
        raise CannotPublish(
            f"{address!r} is no address of a repository. make publish ADDRESS=https://github.com/owner/name"
        )
    try:
        changed, revision = git("status", "--porcelain"), git("rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        raise CannotPublish("What is released is a commit, and this folder is no git repository with one.") from None
    if changed:
        raise CannotPublish(f"What is released is a commit. Commit these first, or take them back:\n{changed}")
    return Publication(address, revision)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="where the repository can be cloned from")
    try:
        publication = released(parser.parse_args().address)
    except CannotPublish as error:
        sys.exit(str(error))
    PUBLICATION.write_text(json.dumps(asdict(publication), indent=1) + "\n")
    notebooks.build_all()
    print(f"\nEverything leads to {publication.address} now; notebooks install commit {publication.revision}.")
    print("Commit this, and push both commits: without the first one there is nothing to install.")


if __name__ == "__main__":
    main()
