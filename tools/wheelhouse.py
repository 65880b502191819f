"""Collect every wheel the course installs on this platform, for a room without a network: `make wheelhouse`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools import setup

TARGET = Path(setup.ROOT) / "build" / "wheelhouse"


def collect(folder: Path) -> None:
    """Download the pinned wheels of torch and of the course's core into `folder`; what lies there is not fetched again.

    Raises:
        setup.CannotInstall: pip cannot get one of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # torch without hashes, and hashed when it is installed, for the reason given at `setup.install_torch`.
    setup.download_torch(str(folder))
    pins = [argument for name in setup.pin_files() for argument in ("-r", name)]
    setup.pip("download", "--quiet", "--no-deps", "--dest", str(folder), "--require-hashes", *pins)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=TARGET)
    folder = parser.parse_args().folder
    try:
        collect(folder)
    except setup.CannotInstall as error:
        sys.exit(str(error))
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    print(f"{len(list(folder.iterdir()))} wheels, {size:,.0f} MB, in {folder}. Copy the folder along with the course;")
    print(f"then, without a network and with the same kind of machine and Python: make lab WHEELHOUSE={folder}")


if __name__ == "__main__":
    main()
