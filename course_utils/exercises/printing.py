"""Print a page as PDF with the browser that is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 120.0


def browser() -> str | None:
    """The path of a Chromium or Chrome: what COURSE_BROWSER names, or one on the PATH."""
    if named := os.environ.get("COURSE_BROWSER"):
        return shutil.which(named)
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def print_page(html: Path, pdf: Path) -> bool:
    """Write `html` as `pdf`, without a network and with a profile of its own; False where no browser does it."""
    program = browser()
    if program is None:
        return False
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, "--headless", "--disable-gpu", f"--user-data-dir={profile}", "--no-pdf-header-footer"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--no-sandbox")  # Chromium asks for it where its user is root; the page runs nothing
        try:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "timeout": SECONDS}
            subprocess.run([*command, f"--print-to-pdf={pdf.resolve()}", html.resolve().as_uri()], **quiet)
        except (OSError, subprocess.TimeoutExpired):
            return False
    return pdf.is_file()
