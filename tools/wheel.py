"""Build the course as one small file that a notebook elsewhere installs it from: `make wheel`.

For Colab without a public address: the file is put beside the notebook, and its first cell finds it there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.course import ROOT

TARGET = ROOT / "build" / "wheel"
THE_SAME_EACH_TIME = {"SOURCE_DATE_EPOCH": "1700000000"}  # seconds; a zip holds dates, and a hash of them


def build(target: Path = TARGET, course: Path = ROOT) -> Path:
    """Build the wheel of the course in folder `course` into `target`; a wheel that lies there is removed.

    Raises:
        subprocess.CalledProcessError: pip cannot.
    """
    shutil.rmtree(target, ignore_errors=True)
    # What an earlier build left behind would be packed again, also what is no longer in the course.
    shutil.rmtree(course / "build" / "lib", ignore_errors=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", target, course], check=True, env={**os.environ, **THE_SAME_EACH_TIME})
    return next(target.glob("*.whl"))


def main() -> None:
    wheel = build()
    print(f"{wheel.relative_to(ROOT)}, {wheel.stat().st_size / 1e6:.1f} MB")
    print(f"sha256 {hashlib.sha256(wheel.read_bytes()).hexdigest()}")
    print("Put it beside a notebook (Colab: the folder at the left, Upload), and run the notebook's first cell.")


if __name__ == "__main__":
    main()
