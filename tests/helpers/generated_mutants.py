"""Mutants nobody wrote: every small change to a solution that a reader could overlook, made from its syntax tree.

Mutation testing after DeMillo, Lipton and Sayward, "Hints on Test Data Selection" (Computer, 1978): inputs that tell a
program from its mutants test it well. Here the tested thing is an exercise's check, and the program is the lesson's
solution. mutmut and cosmic-ray change installed modules and start their tests once per mutant; a solution is a few
lines in a notebook's cell, and all of its mutants can be put to its check in one process within a second or two.

Run as a command it prints what survives: `python tests/helpers/generated_mutants.py 7.1 7.2`.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import difflib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # where this is run as a command

from course_utils.exercises import judging, running
from course_utils.exercises.catalogue import exercises_of
from course_utils.exercises.comparing import difference
from course_utils.exercises.exercise import Draw, Exercise
from course_utils.exercises.undisturbed import undisturbed
from tools import notebooks

ROUNDS = 2  # an answer has to be refused in each: `check` draws anew each time
SECONDS = 0.5  # that a mutant may compute; a loop that never ends is one that is refused

NEIGHBOURS = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Div,),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
}
ORDERED = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
TWINS = (
    ("max", "min"),
    ("argmax", "argmin"),
    ("amax", "amin"),
    ("maximum", "minimum"),
    ("any", "all"),
    ("sum", "mean"),
    ("cumsum", "cumprod"),
    ("ceil", "floor"),
    ("zeros", "ones"),
    ("zeros_like", "ones_like"),
    ("stack", "cat"),
    ("softmax", "log_softmax"),
    ("squeeze", "unsqueeze"),
    ("split", "chunk"),
    ("union", "intersection"),
    ("startswith", "endswith"),
    ("logical_and", "logical_or"),
    ("sample", "rsample"),
    ("sigmoid", "tanh"),
    ("mean", "median"),
)
SIBLINGS = (
    ("terminated", "truncated", "done"),
    ("reward", "episode_reward"),
    ("observation", "pixels"),
    ("loss_actor", "loss_value"),
    ("advantage", "value_target", "state_value"),
    ("categorical", "one_hot"),
)
REDUCTIONS = ("sum", "mean", "max", "min", "argmax", "argmin", "amax", "amin", "norm", "any", "all", "std", "logsumexp")


@dataclass(frozen=True)
class Change:
    """A mutant: `name` shows the lines that differ, `source` is all of it."""

    name: str
    source: str


def changes(source: str) -> list[Change]:
    """All mutants of this source, each once; the call of `check` is left as it is."""
    tree = ast.parse(source)
    original = ast.unparse(tree)
    parents = [node for node in ast.walk(tree) if not is_check(node)]
    found = {}
    for parent in parents:
        scope = names_in_reach(tree, parent)
        for put, node in places(parent):
            if is_check(node) or isinstance(node, (ast.Import, ast.ImportFrom)):
                continue
            for variant in variants(node, scope, tree):
                put(variant)
                with contextlib.suppress(ValueError, AttributeError, IndexError):  # a block left empty
                    text = ast.unparse(ast.fix_missing_locations(tree))
                    if text != original and compiles(text):
                        found.setdefault(text, Change(shown(original, text), text))
                put(node)
    return list(found.values())


def is_check(node: ast.AST) -> bool:
    call = node.value if isinstance(node, ast.Expr) else node
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "check"


def compiles(source: str) -> bool:
    try:
        compile(source, "<mutant>", "exec")
    except SyntaxError:
        return False
    return True


def shown(before: str, after: str) -> str:
    """The lines that differ: `old → new`."""
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    old, new = (" ; ".join(line[2:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return f"{old} → {new}"


def places(parent: ast.AST) -> Iterator[tuple[Callable[[Any], None], ast.AST]]:
    """The nodes right below a node, each with the function that puts another one (or several, or none) there."""
    for field, value in ast.iter_fields(parent):
        if isinstance(value, ast.AST):
            yield lambda new, field=field: setattr(parent, field, new), value
        elif isinstance(value, list):
            for place, node in enumerate(value):
                if isinstance(node, ast.AST):
                    whole = list(value)

                    def put(new: Any, field=field, place=place, whole=whole) -> None:
                        several = new if isinstance(new, list) else [new]
                        setattr(parent, field, whole[:place] + several + whole[place + 1 :])

                    yield put, node


def names_in_reach(tree: ast.AST, node: ast.AST) -> list[str]:
    """The parameters of the function that a node stands in."""
    found: list[str] = []
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.Lambda)) and any(child is node for child in ast.walk(function)):
            found += [argument.arg for argument in function.args.args + function.args.kwonlyargs]
    return found


def variants(node: ast.AST, names: list[str], tree: ast.AST) -> Iterator[Any]:
    """What may stand in a node's place: another node, several, or none (an empty list)."""
    match node:
        case ast.operator() | ast.cmpop():
            yield from (kind() for kind in NEIGHBOURS.get(type(node), ()))
        case ast.Constant() | ast.UnaryOp(op=ast.USub(), operand=ast.Constant()):
            yield from other_constants(node, tree)
        case ast.UnaryOp():
            yield node.operand
        case ast.BinOp():
            yield node.left
            yield node.right
            if isinstance(node.op, ORDERED):
                yield ast.BinOp(node.right, node.op, node.left)
        case ast.BoolOp():
            yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
            yield from node.values
        case ast.Call():
            yield from other_calls(node)
        case ast.IfExp():
            yield from (node.body, node.orelse, ast.IfExp(node.test, node.orelse, node.body))
        case ast.Subscript(ctx=ast.Load()):
            yield from other_places(node)
        case ast.Slice():
            yield from (ast.Slice(None, node.upper, node.step), ast.Slice(node.lower, None, node.step))
            yield from (ast.Slice(node.upper, node.lower, node.step), ast.Slice(node.lower, node.upper, None))
        case ast.Tuple(ctx=ast.Load()) | ast.List(ctx=ast.Load()) | ast.Set():
            yield from other_rows(node)
        case ast.Name(ctx=ast.Load()) if node.id in names:
            yield from (ast.Name(other, ast.Load()) for other in names if other != node.id)
        case ast.Attribute(ctx=ast.Load()):
            yield from (ast.Attribute(node.value, other, node.ctx) for other in twins(node.attr))
        case ast.comprehension():
            yield from (ast.comprehension(node.target, node.iter, [], 0) for _ in node.ifs[:1])
            yield from (ast.comprehension(node.target, other, node.ifs, 0) for other in shorter(node))
        case ast.stmt():
            yield from other_statements(node)


def twins(name: str) -> list[str]:
    return [other for pair in TWINS if name in pair for other in pair if other != name]


def other_constants(node: ast.Constant | ast.UnaryOp, tree: ast.AST) -> Iterator[ast.AST]:
    value = ast.literal_eval(node)
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, (int, float)):
        yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        if isinstance(value, float):
            yield ast.Constant(value * 1.1)
    elif isinstance(value, str):
        words = {other for group in SIBLINGS if value in group for other in group}
        words |= {child.value for child in ast.walk(tree) if isinstance(child, ast.Constant) and is_word(child.value)}
        yield from (ast.Constant(word) for word in sorted(words | {value[:-1]}) if word != value)


def is_word(value: Any) -> bool:
    return isinstance(value, str) and value.replace("_", "").isalnum()


def other_calls(call: ast.Call) -> Iterator[ast.AST]:
    """The call dropped, its arguments swapped, left out or moved by one, its function another one, its `keepdim`."""
    function, arguments, keywords = call.func, call.args, call.keywords
    if isinstance(function, ast.Attribute):
        yield function.value
    yield from (argument for argument in arguments if not isinstance(argument, ast.Starred))
    unordered = isinstance(function, ast.Name) and function.id in ("max", "min")
    for first in range(0 if unordered else len(arguments) - 1):
        swapped = arguments[:first] + [arguments[first + 1], arguments[first]] + arguments[first + 2 :]
        yield ast.Call(function, swapped, keywords)
    for place in range(len(arguments)):
        yield ast.Call(function, arguments[:place] + arguments[place + 1 :], keywords)
    for place, keyword in enumerate(keywords):
        yield ast.Call(function, arguments, keywords[:place] + keywords[place + 1 :])
        for other in keywords[place + 1 :]:
            exchanged = {keyword.arg: other.value, other.arg: keyword.value}
            yield ast.Call(
                function, arguments, [ast.keyword(one.arg, exchanged.get(one.arg, one.value)) for one in keywords]
            )
    if isinstance(function, ast.Name):
        yield from (ast.Call(ast.Name(other, ast.Load()), arguments, keywords) for other in twins(function.id))
        if function.id == "range":
            yield from (ast.Call(function, moved, keywords) for moved in each_moved(arguments))
    elif isinstance(function, ast.Attribute) and reduces_without_keepdim(call):
        yield ast.Call(function, arguments, [*keywords, ast.keyword("keepdim", ast.Constant(True))])


def reduces_without_keepdim(call: ast.Call) -> bool:
    return call.func.attr in REDUCTIONS and bool(call.args) and "keepdim" not in [word.arg for word in call.keywords]


def each_moved(nodes: list[ast.AST]) -> Iterator[list[ast.AST]]:
    for place, node in enumerate(nodes):
        if not isinstance(node, ast.Constant):  # those are changed anyway
            yield from (nodes[:place] + [moved] + nodes[place + 1 :] for moved in by_one(node))


def by_one(node: ast.AST) -> tuple[ast.BinOp, ast.BinOp]:
    return ast.BinOp(node, ast.Add(), ast.Constant(1)), ast.BinOp(node, ast.Sub(), ast.Constant(1))


def other_places(node: ast.Subscript) -> Iterator[ast.AST]:
    """The whole instead of the part, the place before or after it, the root's entry for the one of `next`."""
    yield node.value
    place = node.slice
    if isinstance(place, (ast.Name, ast.BinOp)):
        yield from (ast.Subscript(node.value, moved, node.ctx) for moved in by_one(place))
    elif isinstance(place, ast.Tuple) and isinstance(place.elts[0], ast.Constant) and place.elts[0].value == "next":
        yield ast.Subscript(node.value, place.elts[1], node.ctx)
    elif isinstance(place, ast.Constant) and is_word(place.value) and place.value != "next":
        yield ast.Subscript(node.value, ast.Tuple([ast.Constant("next"), place], ast.Load()), node.ctx)


def other_rows(node: ast.Tuple | ast.List | ast.Set) -> Iterator[ast.AST]:
    """One entry left out, two neighbours swapped."""
    kind, entries = type(node), node.elts
    context = [] if isinstance(node, ast.Set) else [node.ctx]
    for place in range(len(entries)):
        yield kind(entries[:place] + entries[place + 1 :], *context)
    for place in range(len(entries) - 1):
        swapped = entries[:place] + [entries[place + 1], entries[place]] + entries[place + 2 :]
        yield kind(swapped, *context)


def shorter(loop: ast.For | ast.comprehension) -> Iterator[ast.AST]:
    """What is looped over, without its first or its last element, and the other way round."""
    row = ast.Call(ast.Name("list", ast.Load()), [loop.iter], [])
    yield ast.Subscript(row, ast.Slice(ast.Constant(1), None), ast.Load())
    yield ast.Subscript(row, ast.Slice(None, ast.Constant(-1)), ast.Load())
    if not isinstance(loop.target, ast.Name) or loop.target.id != "_":
        yield ast.Call(ast.Name("reversed", ast.Load()), [row], [])


def other_statements(node: ast.stmt) -> Iterator[Any]:
    """A statement left out; a branch always or never taken; a loop over less, or in another order; a value set, not
    changed."""
    if isinstance(node, (ast.For, ast.While)):
        for place in range(len(node.body) - 1):
            turned = copy.copy(node)
            turned.body = [*node.body[:place], node.body[place + 1], node.body[place], *node.body[place + 2 :]]
            yield turned
    match node:
        case ast.If():
            yield node.body
            yield node.orelse or ast.Pass()
            opposite = ast.UnaryOp(ast.Not(), node.test)
            yield ast.If(opposite, node.body, node.orelse)
        case ast.For():
            yield from (ast.For(node.target, other, node.body, node.orelse) for other in shorter(node))
        case ast.While():
            yield node.body
        case ast.AugAssign():
            yield ast.Assign([node.target], node.value)
            yield ast.Pass()
        case ast.Expr() | ast.Assign() | ast.Break() | ast.Continue() | ast.Return():
            yield ast.Pass()


def solution_of(number: str) -> str:
    """The source of a lesson's solution."""
    import jupytext

    for lesson in notebooks.lessons():
        if lesson.stem[:2] == number.split(".")[0].zfill(2):
            for cell in jupytext.read(lesson, fmt="py:percent").cells:
                if "solution" in cell.metadata.get("tags", []) and f'check("{number}"' in cell.source:
                    return cell.source
    raise LookupError(f"no solution of {number}")


class Judge:
    """Puts answers to one exercise; its inputs and what is expected of them are made once."""

    def __init__(self, exercise: Exercise, rounds: int = ROUNDS) -> None:
        self.exercise = exercise
        self.cases: list[tuple[int, dict[str, Any], Any]] = []
        for seed in range(rounds * judging.DRAWS) if exercise.draw else ():
            inputs = exercise.draw(Draw(seed))
            self.cases.append((seed, inputs, running.call(exercise, exercise.reference, inputs, seed)))

    def accepts(self, answer: Any) -> bool:
        """Would a check say *correct* in one of the rounds?"""
        if not self.exercise.draw:
            return not difference(self.exercise.reference, answer, self.exercise.rules)
        if not callable(answer):
            return False
        return any(all(self.fits(answer, *case) for case in round_) for round_ in self.rounds())

    def rounds(self) -> Iterator[list[tuple]]:
        for first in range(0, len(self.cases), judging.DRAWS):
            yield self.cases[first : first + judging.DRAWS]

    def fits(self, answer: Callable, seed: int, inputs: dict[str, Any], expected: Any) -> bool:
        given = copy.deepcopy(inputs)
        outcome = running.run_limited(self.exercise, answer, given, seed)
        if isinstance(outcome, running.Failure) or difference(expected, outcome.value, self.exercise.rules):
            return False
        return not any(difference(inputs[name], given[name]) for name in inputs)


def answer_of(source: str) -> Any:
    """What a solution's source gives to `check`.

    Raises:
        Exception: whatever the source raises.
    """
    given = []
    exec(compile(source, "<mutant>", "exec"), {"torch": torch, "check": lambda number, answer: given.append(answer)})
    return given[-1]


@contextlib.contextmanager
def little_time(seconds: float = SECONDS) -> Iterator[None]:
    """Inside, an answer that computes for longer is cut off."""
    before, running.SECONDS = running.SECONDS, seconds
    try:
        with undisturbed():
            yield
    finally:
        running.SECONDS = before


def survivors(exercise: Exercise) -> tuple[int, list[Change]]:
    """How many mutants there are of an exercise's solution, and which of them its check would accept."""
    made, alive = changes(solution_of(exercise.number)), []
    with little_time():
        judge = Judge(exercise)
        for change in made:
            try:
                answer = answer_of(change.source)
            except Exception:  # the cell itself does not run
                continue
            if judge.accepts(answer):
                alive.append(change)
    return len(made), alive


def main(numbers: list[str]) -> None:
    for number in numbers:
        count, alive = survivors(exercises_of(number.split(".")[0].zfill(2))[number])
        print(f"{number}: {count} mutants, {len(alive)} survive")
        for change in alive:
            print(f"    {change.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
