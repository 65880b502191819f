"""A course of two kilobytes that the real tools/setup.py installs in seconds."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from conftest import ROOT
from uv import find_uv_bin

# Build steps of the small course itself, and of source distributions, which leave a trace of having been run.
BACKEND = """
import os, zipfile
def prepare_metadata_for_build_editable(folder, settings=None):
    os.mkdir(os.path.join(folder, "small.dist-info"))
    with open(os.path.join(folder, "small.dist-info", "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: small\\nVersion: 1.0\\n")
    return "small.dist-info"
def build_editable(folder, settings=None, metadata=None):
    name = "small-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("small-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: small\\nVersion: 1.0\\n")
        wheel.writestr("small-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("small-1.0.dist-info/RECORD", "")
    return name
"""
REAL_UV = f"import os, sys; os.execv({find_uv_bin()!r}, ['uv', *sys.argv[1:]])"
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "small"
version = "1.0"
requires-python = ">=3.11,<3.14"
"""


def make_wheel(folder: Path, name: str, version: str, **modules: str) -> Path:
    """A wheel of modules, `package__module="text"` for package/module.py."""
    files = {key.replace("__", "/") + ".py": text for key, text in modules.items()} or {f"{name}.py": ""}
    info = f"{name}-{version}.dist-info"
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: demo\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record.append(f"{path},sha256={digest},{len(text)}")
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def make_source(folder: Path, name: str, version: str, trace: Path) -> Path:
    """A source distribution whose build writes to `trace`."""
    source = folder / f"{name}-{version}"
    source.mkdir(parents=True)
    (source / "backend.py").write_text(f"open({str(trace)!r}, 'a').write('ran')\n{BACKEND}")
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "PKG-INFO").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    with tarfile.open(folder / f"{name}-{version}.tar.gz", "w:gz") as archive:
        archive.add(source, source.name)
    shutil.rmtree(source)
    return folder / f"{name}-{version}.tar.gz"


class SmallCourse:
    """A folder with the real tools/setup.py and packages `torch`, `demo` and `jupyterlab` that hold next to nothing.

    Its package `uv` is the real one, or one that does not run.
    """

    def __init__(self, folder: Path, uv_runs: bool = True) -> None:
        self.folder, self.wheels, self.venv = folder / "course", folder / "wheels", folder / "course" / ".venv"
        (self.folder / "requirements").mkdir(parents=True)
        (self.folder / "tools").mkdir()
        shutil.copy(ROOT / "tools" / "setup.py", self.folder / "tools")
        (self.folder / "backend.py").write_text(BACKEND)
        (self.folder / "pyproject.toml").write_text(PYPROJECT)
        pins = {
            "torch": [make_wheel(self.wheels, "torch", "1.0")],
            "uv": [make_wheel(self.wheels, "uv", "1.0", uv=REAL_UV if uv_runs else "raise SystemExit(1)")],
            "cuda": [],
            "core": [
                make_wheel(self.wheels, "demo", "1.0", demo="here = True\n"),
                make_wheel(self.wheels, "jupyterlab", "1.0", jupyterlab____init__="", jupyterlab__labextensions=""),
            ],
        }
        for name, wheels in pins.items():
            lines = [f"{pin(wheel)} --hash=sha256:{sha256(wheel)}\n" for wheel in wheels]
            (self.folder / "requirements" / f"{name}.txt").write_text("".join(lines))

    def setup(self, *words: str, **environment: str) -> subprocess.CompletedProcess:
        """Run it as make does, in the environment of somebody whose packages lie in `wheels`."""
        command = [sys.executable, "-I", *self.command(*words)]
        return subprocess.run(command, env=self.environment(**environment), **PIPES)

    def command(self, *words: str) -> list[str]:
        return [str(self.folder / "tools" / "setup.py"), *words]

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
        return {**kept, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": self.wheels.as_uri(), **more}

    def lose(self, *packages: str) -> None:
        """Leave .venv as a call does that was stopped before it had installed these."""
        (self.venv / "course-installed").unlink(missing_ok=True)
        (self.venv / "course-unfinished").touch()
        for name in packages:
            shutil.rmtree(self.site() / f"{name}-1.0.dist-info", ignore_errors=True)

    def site(self) -> Path:
        return next(self.venv.glob("lib/python*/site-packages"))

    def installed(self) -> list[str]:
        return sorted(path.name.split("-")[0] for path in self.site().glob("*.dist-info"))


PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "timeout": 200}


def pin(wheel: Path) -> str:
    return "==".join(wheel.name.split("-")[:2])


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
