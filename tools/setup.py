"""Install the pinned course into .venv: `make setup`. Uses the standard library only.

Written so that Python 3.6 can still read it: a Python that is too old must get a sentence, not a SyntaxError.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "Scripts", "python.exe") if os.name == "nt" else os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "course-installed")
UNFINISHED = os.path.join(VENV, "course-unfinished")
FREE_GB = 4  # `du -sh .venv` after an installation of the CPU build: 1.4 GB; the rest is for downloads and margin

# Forget packages whose files did not all arrive, so that pip installs them again.
FORGET_BROKEN = """
import importlib.metadata, shutil
for distribution in list(importlib.metadata.distributions()):
    files = distribution.files
    if files is None or not all(distribution.locate_file(f).exists() for f in files if f.suffix != ".pyc"):
        print("completing", distribution.metadata["Name"])
        shutil.rmtree(distribution._path)
"""
# Does the torch that pip chose need the CUDA libraries?
NEEDS_CUDA = """
import importlib.metadata
needs = [line for line in importlib.metadata.requires("torch") if "extra ==" not in line]
raise SystemExit(0 if any(line.startswith(("nvidia", "cuda", "triton")) for line in needs) else 1)
"""


class CannotInstall(Exception):
    """Something outside the course is in the way; the message names the fix."""


def read(name):
    with open(os.path.join(ROOT, name), "rb") as file:
        return file.read()


def supported_pythons():
    """The oldest Python that pyproject.toml allows and the first it does not, as tuples."""
    line = re.search(r'requires-python = ">=(\d+)\.(\d+),<(\d+)\.(\d+)"', read("pyproject.toml").decode())
    numbers = [int(number) for number in line.groups()]
    return tuple(numbers[:2]), tuple(numbers[2:])


def check_python():
    """Raise CannotInstall where this Python cannot make the course's virtual environment."""
    oldest, too_new = supported_pythons()
    if not oldest <= sys.version_info[:2] < too_new:
        raise CannotInstall(
            "The course needs Python %d.%d or newer, and older than %d.%d; %s is Python %d.%d. "
            "Install Python %d.%d and name it: make lab PYTHON=python%d.%d"
            % (oldest + too_new + (sys.executable,) + sys.version_info[:2] + oldest + oldest)
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        raise CannotInstall(
            "This Python has no %s module, so it cannot make virtual environments. On Debian or Ubuntu: "
            "sudo apt install python%d.%d-venv" % ((error.name,) + sys.version_info[:2])
        )


def check_room():
    """Raise CannotInstall where the course's folder cannot be written or is too full."""
    if not os.access(ROOT, os.W_OK) or (os.path.exists(VENV) and not os.access(VENV, os.W_OK)):
        raise CannotInstall(
            "No permission to write in %s. Clone the course into a folder of your own, or: sudo chown -R $(id -u) %s"
            % (ROOT, ROOT)
        )
    free = shutil.disk_usage(ROOT).free / 1e9
    if not os.path.exists(STAMP) and free < FREE_GB:
        raise CannotInstall(
            "The course needs %d GB of free disk; %s has %.1f GB. Free some space (`pip cache purge` often helps) "
            "or clone the course onto another disk." % (FREE_GB, ROOT, free)
        )


def use_wheelhouse(folder):
    """Let pip take everything from a folder made by `make wheelhouse`, and nothing from a network."""
    if not os.path.isdir(folder) or not any(name.startswith("torch-") for name in os.listdir(folder)):
        raise CannotInstall("%s holds no wheels of the course. Where there is a network: make wheelhouse" % folder)
    os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=os.path.abspath(folder))


def fingerprint(names):
    """One line that changes whenever what is installed has to change."""
    digest = hashlib.sha256(read("pyproject.toml").split(b"[tool.")[0])
    for name in names:
        digest.update(read(name))
    return " ".join(names) + " " + digest.hexdigest()


def holds(line):
    """Is a line of the stamp true of the requirements as they are now?"""
    names = line.split()[:-1]
    return all(os.path.exists(os.path.join(ROOT, name)) for name in names) and fingerprint(names) == line


def run(*command):
    """Run a command in the virtual environment with its output in sight."""
    if subprocess.call([VENV_PYTHON] + list(command), cwd=ROOT) != 0:
        raise CannotInstall(
            "The installation stopped; the lines above say why. When that is mended, run the same command again: "
            "it goes on where it stopped."
        )


def works(*command):
    try:
        return subprocess.call([VENV_PYTHON] + list(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def torch_pin():
    return re.search("^torch==[0-9.]+", read("requirements/torch.txt").decode(), re.MULTILINE).group()


def pin_files():
    """What this machine needs beside torch: torch's CUDA build asks for more."""
    cuda = ["requirements/cuda.txt"] if works("-c", NEEDS_CUDA) else []
    return cuda + ["requirements/core.txt"]


def install_torch(pip):
    """Install the build of torch that pip finds for this machine, if its hash is in requirements/torch.txt.

    In two steps, because with hashes pip prefers the index's CUDA build to a CPU wheel found through --find-links.
    """
    version = torch_pin().split("==")[1]
    if works("-c", "import importlib.metadata as m; assert m.version('torch').split('+')[0] == %r" % version):
        return
    folder = os.path.join(VENV, "torch-wheel")
    run("-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--dest", folder, torch_pin())
    run(*(pip + ["--no-index", "--find-links", folder, "--require-hashes", "-r", "requirements/torch.txt"]))
    shutil.rmtree(folder)


def install(extras):
    """Bring .venv to the pins of the course and of `extras`; does nothing where it is there already."""
    names = ["requirements/%s.txt" % name for name in ["torch", "cuda", "core"] + extras]
    installed = read(STAMP).decode().splitlines() if os.path.exists(STAMP) else []
    if fingerprint(names) in installed and works("-c", "import pip"):
        return
    anew = not works("-m", "pip", "--version")
    if anew:
        check_python()  # later calls use .venv's own Python, whatever PYTHON is by then
    check_room()
    if anew:
        print("Making the virtual environment .venv ...")
        sys.stdout.flush()
        subprocess.check_call([sys.executable, "-m", "venv", "--clear", VENV])
    if os.path.exists(UNFINISHED):
        print("The last installation did not finish; completing it.")
        sys.stdout.flush()
        run("-c", FORGET_BROKEN)
    with open(UNFINISHED, "w"):
        pass
    pip = ["-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
    install_torch(pip)
    pins = pin_files() + names[3:]
    run(*(pip + ["--require-hashes"] + [argument for name in pins for argument in ("-r", name)]))
    run(*(pip + ["--no-build-isolation", "--editable", "."]))
    run("-m", "pip", "--disable-pip-version-check", "check")
    # JupyterLab would greet every learner with a question about news and fetch them from outside.
    news = "@jupyterlab/apputils-extension:announcements"
    run("-m", "jupyterlab.labextensions", "disable", "--level=sys_prefix", news)
    # pip removes no extra, so what the stamp says of pins that are still the same stays true.
    still_true = {line for line in installed if holds(line)}
    with open(STAMP, "w") as file:
        file.write("\n".join(sorted({fingerprint(names), fingerprint(names[:3])} | still_true)) + "\n")
    os.remove(UNFINISHED)


def main():
    parser = argparse.ArgumentParser(description="Install the course into .venv.")
    parser.add_argument("extras", nargs="*", help="extras of pyproject.toml to install with it: dev, ray, ...")
    parser.add_argument("--wheelhouse", help="a folder of wheels to install from, without any network")
    arguments = parser.parse_args()
    try:
        if arguments.wheelhouse:
            use_wheelhouse(arguments.wheelhouse)
        install(arguments.extras)
    except (CannotInstall, OSError, subprocess.CalledProcessError) as error:
        sys.exit("\nCannot set up the course. %s" % error)
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. Run the same command again: it goes on where it stopped.")


if __name__ == "__main__":
    main()
