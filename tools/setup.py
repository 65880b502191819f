"""Install the pinned course into .venv: `make setup`. Uses the standard library only.

Nothing outside .venv is looked at, installed to or deleted, whatever the user's own settings of Python and pip say; of
these, only where packages come from and how they are reached counts.

Written so that Python 3.6 can still read it: a Python that is too old must get a sentence, not a SyntaxError.
"""

import argparse
import ast
import functools
import glob
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "Scripts", "python.exe") if os.name == "nt" else os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "course-installed")
UNFINISHED = os.path.join(VENV, "course-unfinished")
WHEELHOUSE = {}  # settings of pip that take the place of the user's
FREE_GB = 4  # `du -sh .venv` after an installation of the CPU build: 1.4 GB; the rest is for downloads and margin

NEWS = "@jupyterlab/apputils-extension:announcements"
# The user's settings of pip that are kept; https://pip.pypa.io/en/stable/cli/pip_install/ says what they mean.
KEPT_PIP_SETTINGS = [
    *("index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "cert", "client-cert", "proxy"),
    *("default-timeout", "timeout", "retries", "keyring-provider", "cache-dir", "no-cache-dir"),
    *("compile", "no-compile"),
]

# What uv calls those that it knows; https://docs.astral.sh/uv/reference/environment/. With any other, pip installs all.
NAMES_FOR_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "retries": "UV_HTTP_RETRIES",
    "no-compile": "",
    "compile": "UV_COMPILE_BYTECODE",
}

# Forget packages in .venv whose files did not all arrive, or are empty since the power failed: pip installs them again.
FORGET_BROKEN = """
import importlib.metadata, os, shutil, sysconfig
here = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
def is_whole(distribution, file):
    path = str(distribution.locate_file(file))
    return os.path.exists(path) and file.size in (None, os.path.getsize(path))
for distribution in list(importlib.metadata.distributions(path=list(here))):
    info, files = str(distribution._path), distribution.files
    if not info.endswith(".dist-info") or os.path.islink(info):
        continue
    if files is None or not all(is_whole(distribution, f) for f in files if f.suffix != ".pyc"):
        print("completing", os.path.basename(info).split("-")[0])
        shutil.rmtree(info)
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


def how_to_own(path):
    """The command after which this user may read and write here."""
    while not os.path.exists(path):
        path = os.path.dirname(os.path.abspath(path))
    mine = not hasattr(os, "geteuid") or all(
        os.lstat(os.path.join(folder, name)).st_uid == os.geteuid()
        for folder, folders, files in os.walk(path)
        for name in [folder] + folders + files
    )
    return ("chmod -R u+rwX %s" if mine else "sudo chown -R $(id -u) %s") % shlex.quote(str(path))


def check_room():
    """Raise CannotInstall where the course's folder cannot be written or is too full."""
    if not os.access(ROOT, os.W_OK) or (os.path.exists(VENV) and not os.access(VENV, os.W_OK)):
        raise CannotInstall(
            "No permission to write in %s. Clone the course into a folder of your own, or: %s"
            % (ROOT, how_to_own(ROOT))
        )
    free = shutil.disk_usage(ROOT).free / 1e9
    if not os.path.exists(STAMP) and free < FREE_GB:
        raise CannotInstall(
            "The course needs %d GB of free disk; %s has %.1f GB. Free some space (`pip cache purge` often helps) "
            "or clone the course onto another disk." % (FREE_GB, ROOT, free)
        )


def check_venv():
    """Raise CannotInstall where .venv leads to packages of others: what is installed there would change theirs."""
    if os.pathsep in VENV:
        raise CannotInstall(
            "No virtual environment can be made in %s: programs take the %s for the end of its name. "
            "Give the folder another name, and run this again." % (ROOT, os.pathsep)
        )
    rename = "Give it another name, and run this again: mv %s %s-mine" % (VENV, VENV)
    if os.path.islink(VENV):
        raise CannotInstall("%s is a link to %s. %s" % (VENV, os.path.realpath(VENV), rename))
    if os.path.exists(VENV) and not os.path.isdir(VENV):
        raise CannotInstall("%s is no folder. %s" % (VENV, rename))
    settings = os.path.join(VENV, "pyvenv.cfg")
    if os.path.exists(settings):
        with open(settings, "rb") as file:
            if re.search(rb"^include-system-site-packages\s*=\s*true", file.read(), re.MULTILINE | re.IGNORECASE):
                raise CannotInstall("%s shows packages that lie outside of it. %s" % (VENV, rename))


def make_venv():
    """Make .venv anew; raises CannotInstall where another program made it, and may have put something there."""
    if os.path.isdir(VENV) and os.listdir(VENV) and not os.path.exists(STAMP) and not os.path.exists(UNFINISHED):
        raise CannotInstall(
            "%s is there already, without a pip that runs, and the course did not make it. Give it another name, and "
            "run this again: mv %s %s-mine" % (VENV, VENV, VENV)
        )
    say("Making the virtual environment .venv ...")
    if not os.path.isdir(VENV):
        os.mkdir(VENV)
    with open(UNFINISHED, "w"):
        pass
    for name in os.listdir(VENV):  # not `venv --clear`, which would forget whose it is
        path = os.path.join(VENV, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif path != UNFINISHED:
            os.remove(path)
    if subprocess.call([sys.executable, "-I", "-m", "venv", VENV], env=environment()) != 0:
        raise CannotInstall(
            "Python could not make .venv; the lines above say why (a full disk? `df -h` tells). When that is mended, "
            "run the same command again: it starts anew."
        )


def wait_for_others():
    """Let one set-up of this folder run at a time; the lock goes with this process."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    descriptor = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Another set-up of this folder is running; waiting for it to end ...")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # not every file system can
        pass


def use_wheelhouse(folder):
    """Let pip take everything from a folder made by `make wheelhouse`, and nothing from a network."""
    folder = os.path.abspath(os.path.expanduser(folder))
    if not os.path.isdir(folder) or not any(name.startswith("torch-") for name in os.listdir(folder)):
        raise CannotInstall("%s holds no wheels of the course. Where there is a network: make wheelhouse" % folder)
    # As an address, because pip takes a space in a path for its end.
    WHEELHOUSE.update({"no-index": "1", "find-links": pathlib.Path(folder).as_uri()})


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


def environment():
    """This process's environment without what leads Python or pip out of .venv, or turns their warnings into errors."""
    others = ("PIP_", "UV_", "PYTHON", "VIRTUAL_ENV", "__PYVENV")
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(others)}


def variable(setting):
    return "PIP_" + setting.upper().replace("-", "_")


@functools.lru_cache(maxsize=None)
def pip_settings():
    """The user's settings of pip that are kept, from their files and environment.

    Raises:
        CannotInstall: pip cannot read them.
    """
    kept = ["PIP_CONFIG_FILE"] + [variable(name) for name in KEPT_PIP_SETTINGS]
    theirs = {name: value for name, value in os.environ.items() if name in kept}
    # Against those in files by which `pip config list` would show one file only, or nothing, or run elsewhere.
    against = {variable(name): "0" for name in ("user", "global", "site", "quiet", "verbose", "debug", "isolated")}
    against.update(PIP_PYTHON=VENV_PYTHON, PIP_LOG=os.devnull)
    listing = subprocess.Popen(
        [VENV_PYTHON, "-I", "-m", "pip", "--disable-pip-version-check", "config", "list"],
        env=dict(environment(), **dict(theirs, **against)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    lines = listing.communicate()[0].decode(errors="replace").splitlines()
    if listing.returncode != 0:
        raise CannotInstall("pip cannot read your settings; mend the file it names: %s" % " ".join(lines[-3:]))
    settings = {}
    for section in ("global", "install", "download", ":env:"):  # what comes later counts more
        for line in lines:
            name, _, value = line.partition("=")
            where, _, name = name.rpartition(".")
            if where == section and name in KEPT_PIP_SETTINGS and ast.literal_eval(value):
                settings[name] = ast.literal_eval(value)
    return settings


def pip(*command):
    """Run the pip of .venv: wheels only, because a source distribution runs code to be built, before its hash is
    compared; and with none of the user's settings but those that are kept.

    Of its lines, hundreds, one tells how far it is; where it fails, the last ones are printed.
    """
    settings = dict(WHEELHOUSE or pip_settings(), **{"only-binary": ":all:", "disable-pip-version-check": "1"})
    variables = {variable(name): value for name, value in settings.items()}
    code, lines = watched([VENV_PYTHON, "-I", "-m", "pip"] + list(command), PIP_CONFIG_FILE=os.devnull, **variables)
    if code != 0:
        print("".join(lines[-40:]))
        raise stopped()


def uv(*command):
    """As `pip`, and much faster, for it fetches many packages at once and compiles none before it is used: did it?

    It asks no index that pip would not ask, and may take a package from any of them, as pip does: hashes decide. What
    it keeps for another set-up is copied into .venv, so that nothing that happens to .venv happens to that as well.
    """
    settings = pip_settings()
    if WHEELHOUSE or set(settings) - set(NAMES_FOR_UV) or not works("-m", "uv", "--version"):
        return False
    variables = {"UV_NO_CONFIG": "1", "UV_SYSTEM_CERTS": "1", "UV_LINK_MODE": "copy", "UV_NO_PROGRESS": "1"}
    variables.update(UV_INDEX_STRATEGY="unsafe-best-match", UV_PYTHON_DOWNLOADS="never")
    for name, value in settings.items():
        # Pip divides all lists at spaces, uv only some.
        variables[NAMES_FOR_UV[name]] = ",".join(value.split()) if name == "find-links" else value
    variables.pop("", None)
    # Else each kernel would compile all that it imports, and keep nothing.
    if os.environ.get("PYTHONDONTWRITEBYTECODE") and "no-compile" not in settings:
        variables["UV_COMPILE_BYTECODE"] = "1"
    words = [VENV_PYTHON, "-I", "-m", "uv"] + list(command[:2]) + ["--python", VENV_PYTHON] + list(command[2:])
    return watched(words, **variables)[0] == 0


def watched(words, **variables):
    """Run a program with these environment variables, and show how far it is: its exit code and lines."""
    process = subprocess.Popen(
        words, cwd=ROOT, env=dict(environment(), **variables), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    lines = []
    reader = threading.Thread(target=read_lines, args=(process.stdout, lines), daemon=True)
    reader.start()
    total = sum(read(name).count(b"==") for name in words if name.startswith("requirements/"))
    before, start = len(installed_packages()), time.time()
    while reader.is_alive():
        reader.join(0.2)
        if sys.stdout.isatty():
            done = len(installed_packages()) - before
            print("\r%-78s" % progress(lines, total, done, time.time() - start), end="")
            sys.stdout.flush()
    if sys.stdout.isatty():
        print("\r%-78s\r" % "", end="")
    return process.wait(), lines


def read_lines(pipe, lines):
    for line in pipe:
        lines.append(line.decode(errors="replace"))


def installed_packages():
    places = (("lib", "python*"), ("Lib",))  # Windows has the second
    return [path for place in places for path in glob.glob(os.path.join(VENV, *place, "site-packages", "*.dist-info"))]


def progress(lines, total, installed, seconds):
    """A bar of two halves, fetching and installing, and words for it; how far uv has fetched it does not say."""
    fetched = sum(line.startswith(("Collecting ", "Requirement already satisfied")) for line in lines)
    total = max(total, fetched, installed, 1)
    installing = installed or any(line.startswith("Installing collected packages") for line in lines)
    words = "%s %d of %d" % (("installed", installed, total) if installing else ("fetched", fetched, total))
    if not (installing or fetched):
        words = "fetching %d" % total
    full = 15 * (fetched + installed) // total
    return "[%s%s] %s packages, %d s" % ("#" * full, "." * (30 - full), words, seconds)


def run(*command):
    """Run Python in the virtual environment, isolated, with its output in sight."""
    if subprocess.call([VENV_PYTHON, "-I"] + list(command), cwd=ROOT, env=environment()) != 0:
        raise stopped()


def ask_for_no_news():
    """JupyterLab would greet every learner with a question about news and fetch them from outside.

    Writes what `jupyter labextension disable --level=sys_prefix` does, which takes five seconds to start.
    """
    path = os.path.join(VENV, "etc", "jupyter", "labconfig", "page_config.json")
    settings = {}
    if os.path.exists(path) and os.path.getsize(path):  # empty: the power failed while it was written
        with open(path) as file:
            settings = json.load(file)
    settings.setdefault("disabledExtensions", {})[NEWS] = True
    if not os.path.isdir(os.path.dirname(path)):
        os.makedirs(os.path.dirname(path))
    with open(path, "w") as file:
        json.dump(settings, file, indent=2)


def stopped():
    return CannotInstall(
        "The installation stopped; the lines above say why. When that is mended, run the same command again: "
        "it goes on where it stopped."
    )


def works(*command):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        return subprocess.call([VENV_PYTHON, "-I"] + list(command), env=environment(), **quiet) == 0
    except OSError:
        return False


def torch_pin():
    return re.search("^torch==[0-9.]+", read("requirements/torch.txt").decode(), re.MULTILINE).group()


def pin_files():
    """What this machine needs beside torch: torch's CUDA build asks for more."""
    cuda = ["requirements/cuda.txt"] if works("-c", NEEDS_CUDA) else []
    return cuda + ["requirements/core.txt"]


def download_torch(folder):
    """Have the build of torch that pip takes for this machine in a folder, whole.

    It arrives elsewhere: pip takes a wheel that was copied halfway, with which an interrupted call would leave it, for
    one that it need not fetch.
    """
    hashes = re.findall(r"--hash=sha256:(\w+)", read("requirements/torch.txt").decode())
    there = [os.path.join(folder, name) for name in os.listdir(folder) if name.startswith("torch-")]
    if any(sha256(path) in hashes for path in there):
        return
    for path in there:
        os.remove(path)
    arriving = tempfile.mkdtemp(dir=folder)
    try:
        pip("download", "--no-deps", "--dest", arriving, torch_pin())
        for name in os.listdir(arriving):
            os.replace(os.path.join(arriving, name), os.path.join(folder, name))
    finally:
        shutil.rmtree(arriving)


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def install_torch():
    """Install the build of torch that pip finds for this machine, if its hash is in requirements/torch.txt.

    In two steps, because with hashes pip prefers the index's CUDA build to a CPU wheel found through --find-links, and
    because uv, which unpacks it in a third of the time, finds no hash of `torch==2` to belong to a build `2+cpu`.
    """
    version = torch_pin().split("==")[1]
    if works("-c", "import importlib.metadata as m; assert m.version('torch').split('+')[0] == %r" % version):
        return
    say("Fetching and installing torch ...")
    folder = os.path.join(VENV, "torch-wheel")
    if os.path.isdir(folder):
        shutil.rmtree(folder)
    os.mkdir(folder)
    download_torch(folder)
    wheel = os.path.join(folder, os.listdir(folder)[0])
    known = "--hash=sha256:%s" % sha256(wheel) in read("requirements/torch.txt").decode().split()
    # Unpacked into a cache for this once, its files become those in .venv, without a copy.
    alone = ["--no-build", "--no-deps", "--no-cache", "--link-mode", "hardlink"]
    if not (known and uv("pip", "install", *(alone + [wheel]))):
        hashed = ["--require-hashes", "-r", "requirements/torch.txt"]
        pip("install", "--no-deps", "--no-index", "--find-links", folder, *hashed)  # it says what is wrong
    shutil.rmtree(folder)


def install(extras):
    """Bring .venv to the pins of the course and of `extras`; does nothing where it is there already."""
    names = ["requirements/%s.txt" % name for name in ["torch", "cuda", "core"] + extras]
    if is_installed(names):
        return
    start = time.time()
    check_venv()
    check_room()
    wait_for_others()
    if is_installed(names):  # by the one that was waited for
        return
    if not works("-m", "pip", "--version"):
        check_python()  # later calls use .venv's own Python, whatever PYTHON is by then
        make_venv()
    elif os.path.exists(UNFINISHED):
        say("The last installation did not finish; completing it.")
    with open(UNFINISHED, "w"):
        pass
    run("-c", FORGET_BROKEN)
    hashed = ["--no-deps", "--require-hashes"]
    if not WHEELHOUSE:
        pip("install", *(hashed + ["-r", "requirements/uv.txt"]))
    install_torch()
    say("Fetching and installing the course's other packages ...")
    pinned = hashed + [word for name in pin_files() + names[3:] for word in ("-r", name)]
    if not uv("pip", "install", "--no-build", *pinned):
        pip("install", *pinned)
    itself = ["--no-deps", "--no-build-isolation", "--editable", "."]
    if not uv("pip", "install", *itself):
        pip("install", *itself)
    if not uv("pip", "check"):
        pip("check")
    ask_for_no_news()
    # pip removes no extra, so what the stamp says of pins that are still the same stays true.
    still_true = {line for line in stamps() if holds(line)}
    with open(STAMP, "w") as file:
        file.write("\n".join(sorted({fingerprint(names), fingerprint(names[:3])} | still_true)) + "\n")
    os.remove(UNFINISHED)
    say("Installed into .venv, in %d seconds." % (time.time() - start))


def say(words):
    print(words)
    sys.stdout.flush()


def stamps():
    return read(STAMP).decode().splitlines() if os.path.exists(STAMP) else []


def is_installed(names):
    """Is all of it there, be it with more?"""
    there = any(set(names) <= set(line.split()) and holds(line) for line in stamps())
    return there and works("-c", "import pip")


def main():
    parser = argparse.ArgumentParser(description="Install the course into .venv.")
    parser.add_argument("extras", nargs="*", help="extras of pyproject.toml to install with it: dev, ray, ...")
    parser.add_argument("--wheelhouse", help="a folder of wheels to install from, without any network")
    arguments = parser.parse_args()
    try:
        if arguments.wheelhouse:
            use_wheelhouse(arguments.wheelhouse)
        install(arguments.extras)
    except (CannotInstall, OSError) as error:
        sys.exit("\nCannot set up the course. %s" % error)
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. Run the same command again: it goes on where it stopped.")


if __name__ == "__main__":
    main()
