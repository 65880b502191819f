"""The newer Pythons the course allows: every file compiles there without a warning, and what can be had is imported."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import tomllib
from functools import cache

import jupytext
import nbformat
import pytest
from conftest import ROOT
from IPython.core.inputtransformer2 import TransformerManager
from packaging.specifiers import SpecifierSet

from tools.interpreters import interpreter

VERSIONS = ["3.12", "3.13"]
PACKAGES = [path for folder in ("course_utils", "tools") for path in sorted((ROOT / folder).rglob("*.py"))]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGES
    if path.name != "__main__.py"
]
COMPILE = """
import json, sys
for name, text in json.load(sys.stdin).items():
    compile(text, name, "exec")
"""
IMPORT = """
import importlib, json, sys
missing = {}
for name in json.load(sys.stdin):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing[name] = error.name
print(json.dumps(missing))
"""


def ask(version: str, code: str, question) -> str:
    """Run code in that Python, with the question on its standard input; warnings are errors."""
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} on this machine")
    command = [python, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=ROOT, input=json.dumps(question), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def sources() -> dict[str, str]:
    files = [*PACKAGES, *sorted((ROOT / "benchmarks").rglob("*.py"))]
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in files}
    plain = TransformerManager().transform_cell  # `%pip` and the like become calls
    notebooks = {path: jupytext.read(path, fmt="py:percent") for path in sorted((ROOT / "lessons").glob("*.py"))}
    notebooks |= {path: nbformat.read(path, as_version=4) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
    for path, notebook in notebooks.items():
        cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        texts[str(path.relative_to(ROOT))] = "\n".join(map(plain, cells))
    return texts


@cache
def missing_there(version: str) -> dict[str, str]:
    """What is absent in that Python: {our module: the package it asked for}."""
    return json.loads(ask(version, IMPORT, MODULES))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_course_allows_it(version):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"{version}.0" in SpecifierSet(project["requires-python"])


@pytest.mark.parametrize("version", VERSIONS)
def test_lessons_notebooks_helpers_and_tools_compile_without_a_warning(version):
    ask(version, COMPILE, sources())


@pytest.mark.parametrize("version", VERSIONS)
def test_the_first_things_that_run_need_no_package_and_are_imported(version):
    assert not {"course_utils", "course_utils.machine.install", "tools.setup"} & missing_there(version).keys()


@pytest.mark.parametrize("version", VERSIONS)
def test_all_helpers_and_tools_are_imported(version):
    """What is absent in a bare interpreter must at least be a package the course installs, and not one Python lost."""
    missing = missing_there(version)
    known = importlib.metadata.packages_distributions()
    assert [module for module, name in missing.items() if name.split(".")[0] not in known] == []
    if missing:
        packages = ", ".join(sorted({name.split(".")[0] for name in missing.values()}))
        pytest.skip(
            f"{len(MODULES) - len(missing)} of {len(MODULES)} modules import; the others need {packages}, which this "
            f"machine's Python {version} does not have: they are only compiled"
        )
