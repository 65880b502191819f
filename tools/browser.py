"""Find a browser for the browser tests, or install one: `python -m tools.browser`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FIX = "Install Chromium (apt-get install chromium), or name yours: COURSE_BROWSER=/path/to/chrome make test"


def find() -> str | None:
    """The path of a Chromium or Chrome: what COURSE_BROWSER names, one on the PATH, or playwright's own."""
    if named := os.environ.get("COURSE_BROWSER"):
        return shutil.which(named)
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return found or _playwrights_own()


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.path.exists(path) else None


def required() -> bool:
    """Is a missing browser a failure? On a CI machine, which sets CI, it is: a skipped test proves nothing there."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def install() -> None:
    """Try the system's package manager where we may use it, else playwright's download; a failure is left to `find`."""
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update", "-q"], **quiet)
        # With what it recommends: fonts are among that.
        subprocess.run(["apt-get", "install", "-q", "-y", "chromium"], **quiet)
    else:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"])


def main() -> None:
    if not find() and "COURSE_BROWSER" in os.environ:
        sys.exit(f"COURSE_BROWSER names {os.environ['COURSE_BROWSER']}, and there is no such program. {FIX}")
    if not find():
        print("No browser found; installing Chromium for the browser tests ...", flush=True)
        install()
    path = find()
    print(f"Browser tests use {path}." if path else f"No browser: the browser tests will be skipped. {FIX}")
    sys.exit(0 if path or not required() else 1)


if __name__ == "__main__":
    main()
