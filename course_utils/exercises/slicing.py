"""Of all that cells do, the statements that one expression needs, found by the names they use and give.

A lesson's notebook trains agents and draws figures; an answer needs a few imports, and what its author wrote.
"""

from __future__ import annotations

import ast
import re
import symtable
from collections.abc import Iterable
from dataclasses import dataclass, field

# Lines that IPython understands and Python does not.
_TIMED = re.compile(r"%%(?:time|timeit|capture)\b.*")
_MAGIC = re.compile(r"^([ \t]*)(?:[%!].*|[^#\n]*\?{1,2}[ \t]*)$", re.MULTILINE)
TOO_MUCH = (SyntaxError, ValueError, RecursionError, MemoryError)  # what the parser raises for what it cannot read


@dataclass(frozen=True)
class Statement:
    """Whole lines of a cell.

    Attributes:
        text: the lines.
        gives: the names it binds.
        uses: the names it needs when it runs.
        uses_later: the names that functions in it need when they are called.
        changes: the names whose values it may change without binding them: `name.x = 1`, `name[0] = 1`, `name.fill()`.
        surely: it always binds all it gives; what was bound before does not count any more.
    """

    text: str
    nodes: list[ast.stmt]
    gives: set[str] = field(default_factory=set)
    uses: set[str] = field(default_factory=set)
    uses_later: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    surely: bool = True


def python(cell: str) -> str:
    """A cell without what only IPython understands, line by line.

    Raises:
        SyntaxError: it is no Python (the other errors of `TOO_MUCH`: it cannot be read at all).
    """
    try:
        ast.parse(cell)
        return cell
    except SyntaxError:
        first, newline, rest = cell.partition("\n")
        if _TIMED.fullmatch(first.strip()):
            cell = newline + rest
        elif first.startswith("%%"):
            return ""  # another language
        cell = _MAGIC.sub(r"\1pass", cell)
        ast.parse(cell)
        return cell


def statements(cell: str) -> list[Statement]:
    """The statements of a cell, in order; those that share a line are one.

    Raises:
        SyntaxError: as `python`.
    """
    source = python(cell)
    lines = source.splitlines(keepends=True)
    groups: list[list[ast.stmt]] = []
    for node in ast.parse(source).body:
        if groups and first_line(node) <= groups[-1][-1].end_lineno:
            groups[-1].append(node)
        else:
            groups.append([node])
    return [
        statement("".join(lines[first_line(nodes[0]) - 1 : nodes[-1].end_lineno]).rstrip("\n"), nodes)
        for nodes in groups
    ]


def first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])


def statement(text: str, nodes: list[ast.stmt]) -> Statement:
    table = symtable.symtable(text, "<cell>", "exec")
    gives = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    uses = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
    later: set[str] = set()
    for inner in table.get_children():
        # The body of a class and a comprehension run at once, all else when it is called; both look up these names.
        later |= free_names(inner)
    simple = (
        ast.Import,
        ast.ImportFrom,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.Assign,
        ast.AnnAssign,
    )
    surely = all(isinstance(node, simple) for node in nodes)
    changes = {name for node in nodes for name in changed_by(node)} - gives
    return Statement(text, nodes, gives, uses, later, changes, surely)


def free_names(table: symtable.SymbolTable) -> set[str]:
    """The global names that a function or class looks up, with all that is defined within."""
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()}
    return names.union(*(free_names(inner) for inner in table.get_children()))


def changed_by(node: ast.stmt) -> Iterable[str]:
    """The names that a statement changes something of, in what runs at once."""
    for part in walk_what_runs(node):
        stored = isinstance(part, (ast.Attribute, ast.Subscript)) and isinstance(part.ctx, (ast.Store, ast.Del))
        called = isinstance(part, ast.Expr) and isinstance(part.value, ast.Call)
        target = part.value.func if called else part if stored else None
        while isinstance(target, (ast.Attribute, ast.Subscript, ast.Call)):
            target = target.func if isinstance(target, ast.Call) else target.value
            if isinstance(target, ast.Name):
                yield target.id


def walk_what_runs(node: ast.AST) -> Iterable[ast.AST]:
    """As `ast.walk`, but not into functions, which run when they are called."""
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        yield node
        for inner in ast.iter_child_nodes(node):
            yield from walk_what_runs(inner)


def needed(program: list[Statement], end: int, names: set[str]) -> list[Statement]:
    """The statements that the names need at place `end` of a program, in its order.

    A name is what was bound to it last before; a name that is bound only later is looked for there, for cells can be
    run in any order. What changes the value in between is needed, too, unless it is an imported module.
    """
    found: set[int] = set()
    asked: set[tuple[str, int]] = set()
    open_questions = [(name, end) for name in names]
    while open_questions:
        name, place = question = open_questions.pop()
        if question in asked:
            continue
        asked.add(question)
        for index in givers(program, name, place):
            found.add(index)
            open_questions += asks(program[index], index, end)
            if not imports(program[index]):
                for between in range(index + 1, place):
                    if name in program[between].changes:
                        found.add(between)
                        open_questions += asks(program[between], between, end)
    stars = {index for index, one in enumerate(program[:end]) if any(map(is_star, one.nodes))}
    return [program[index] for index in sorted(found | stars)]


def asks(one: Statement, index: int, end: int) -> list[tuple[str, int]]:
    """What a statement needs: at its own place, and, for what runs when it is called, at the end, too."""
    return [(name, index) for name in one.uses | one.uses_later] + [(name, max(end, index)) for name in one.uses_later]


def givers(program: list[Statement], name: str, place: int) -> list[int]:
    """Where a name gets the value that it has at a place: the last statement before that surely binds it, and those
    after it that may. If there is none, the first one behind."""
    before: list[int] = []
    for index in range(min(place, len(program)) - 1, -1, -1):
        if name in program[index].gives:
            before.append(index)
            if program[index].surely:
                return before
    return before or [index for index in range(place, len(program)) if name in program[index].gives][:1]


def imports(one: Statement) -> bool:
    return all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in one.nodes)


def is_star(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
