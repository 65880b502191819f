"""Which code measured a group's runs, as a short hash: what `measure` runs, and not the words and figures beside it."""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.store import hash_of

PACKAGE = __package__


def measuring_code(measure: Callable) -> str:
    """A hash of a function and of all that it uses of its own file and of benchmarks/, however deep.

    It stays the same when comments, docstrings or line breaks change, and when a definition moves to another file. A
    name is followed wherever it occurs, so a local name that is also a function's can only make the hash cover more.

    Args:
        measure: a function of a module.

    Raises:
        ValueError: its source cannot be found by its name, as that of a lambda.
    """
    module, name = measure.__module__, measure.__qualname__
    if name not in definitions(file_of(module)):
        raise ValueError(
            f"{name!r} in {module} is no function of the module, so a stamp cannot tell when it changes; "
            "write it with `def` at the top level."
        )
    return hash_of("\n".join(sorted(reached(module, name).values())))


def reached(module: str, name: str) -> dict[tuple[str, str], str]:
    """The definitions that one of a module needs, itself included: {(module, name): what it says}."""
    found: dict[tuple[str, str], str] = {}
    waiting = [(module, name)]
    while waiting:
        place = waiting.pop()
        if place in found or place[1] not in definitions(file_of(place[0])):
            continue
        here = definitions(file_of(place[0]))
        node = here[place[1]]
        if isinstance(node, tuple):  # imported: it is defined elsewhere
            waiting.append(node)
            continue
        found[place] = repr(shape(node, here))
        waiting += names_in(place[0], node, here)
    return found


def names_in(module: str, node: ast.AST, here: dict) -> Iterator[tuple[str, str]]:
    """Where the names are defined that occur in a definition."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            yield module, inner.id
        elif other := module_named(inner, here):
            yield other, inner.attr


def module_named(node: ast.AST, here: dict) -> str:
    """The module of benchmarks/ of which this is an attribute; empty where it is of something else."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        place = here.get(node.value.id)
        if isinstance(place, tuple) and not place[1]:
            return place[0]
    return ""


def file_of(module: str) -> Path:
    spec = sys.modules[module].__spec__ if module in sys.modules else importlib.util.find_spec(module)
    return Path(spec.origin)


@functools.cache
def definitions(file: Path) -> dict[str, ast.AST | tuple[str, str]]:
    """What stands at the top level of a file, by name.

    Returns:
        A function, class or assignment as its syntax tree; for something imported from benchmarks/ where it is from:
        (module, name), or (module, "") for a module.
    """
    found: dict[str, ast.AST | tuple[str, str]] = {}
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {inner.id: node for target in targets for inner in ast.walk(target) if isinstance(inner, ast.Name)}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                place = (whole, "") if is_module(whole) else (node.module, alias.name)
                found[alias.asname or alias.name] = place
    return found


def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is a module, no package
        return False


def shape(node: object, here: dict) -> object:
    """A syntax tree without what changes nothing: places, docstrings, and from which file something comes.

    Unlike `ast.dump` it is the same in every version of Python that reads the code as the same tree.
    """
    if isinstance(node, list):
        return [shape(inner, here) for inner in node]
    if not isinstance(node, ast.AST):
        return node
    if module_named(node, here):
        return ["Name", ["id", node.attr], ["ctx", ["Load"]]]
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
        fields["body"] = node.body[1:]
    return [
        type(node).__name__,
        *([name, shape(value, here)] for name, value in fields.items() if value not in (None, [])),
    ]
