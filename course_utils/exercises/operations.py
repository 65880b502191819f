"""Would the answer be right with another operation? The reference is run again, with one of its operations replaced.

torch tells a function mode of every operation (https://docs.pytorch.org/docs/stable/torch.overrides.html), so this
needs no source code, and nothing per exercise.
"""

from __future__ import annotations

from collections import Counter, namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

SINGLE = (
    6  # an operation that comes more often stands in a loop: only all of its calls are replaced, not each by itself
)

Replace = Callable[[Callable, tuple, dict], Any]
Pair = namedtuple("Pair", "values indices")


@dataclass(frozen=True)
class Operation:
    """One that may be mistaken: how it is said after "would be right if", of which functions, and what is done."""

    words: str
    names: tuple[str, ...]
    replace: Replace


def name_of(function: Callable) -> str:
    return getattr(function, "__name__", "").strip("_")


class Names(TorchFunctionMode):
    """Count what is called."""

    def __init__(self) -> None:
        super().__init__()
        self.called: Counter[str] = Counter()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.called[name_of(function)] += 1
        return function(*args, **(kwargs or {}))


class Replaced(TorchFunctionMode):
    """Put another operation in the place of all calls, or of one."""

    def __init__(self, operation: Operation, only: int | None = None) -> None:
        super().__init__()
        self.operation, self.only, self.seen = operation, only, 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if name_of(function) in self.operation.names:
            self.seen += 1
            if self.only is None or self.only == self.seen - 1:
                return self.operation.replace(function, args, kwargs)
        return function(*args, **kwargs)


def replacements(called: Counter[str]) -> Iterator[tuple[str, Callable[[], TorchFunctionMode]]]:
    """What can be replaced in a reference that calls these, the simplest first."""
    for operation in OPERATIONS:
        found = [name for name in operation.names if called[name]]
        count = sum(called[name] for name in found)
        words = operation.words.format(" and ".join(found))
        if count:
            yield words, lambda operation=operation: Replaced(operation)
        for only in range(count if 1 < count <= SINGLE else 0):
            yield words, lambda operation=operation, only=only: Replaced(operation, only)


def by(name: str) -> Replace:
    """The function of torch with this name, on the same arguments."""
    return lambda function, args, kwargs: getattr(torch, name)(*args, **kwargs)


def of_numbers(name: str) -> Replace:
    """As `by`, for a mean of flags or whole numbers."""
    return lambda function, args, kwargs: getattr(torch, name)(args[0].float(), *args[1:], **kwargs)


def left_out(function: Callable, args: tuple, kwargs: dict) -> Any:
    return args[0]


def exchanged(function: Callable, args: tuple, kwargs: dict) -> Any:
    return function(args[1], args[0], *args[2:], **kwargs)


def without(*bounds: str) -> Replace:
    """`clamp` without its lower, or its upper, bound."""

    def replace(function, args, kwargs):
        given = dict(zip(("min", "max"), args[1:], strict=False)) | kwargs
        kept = {name: value for name, value in given.items() if name not in bounds}
        return torch.clamp(args[0], **kept) if kept else args[0]

    return replace


def along(dim: int) -> Replace:
    """The same function over another dimension."""

    def replace(function, args, kwargs):
        kwargs = {name: value for name, value in kwargs.items() if name != "dim"}
        return function(args[0], dim, *args[2:], **kwargs)

    return replace


def over_all(function: Callable, args: tuple, kwargs: dict) -> Any:
    result = function(args[0])
    shape = function(*args, **kwargs)
    shape = shape[0].shape if isinstance(shape, tuple) else shape.shape
    return Pair(result.expand(shape), None) if isinstance(function(*args, **kwargs), tuple) else result.expand(shape)


def keeping(function: Callable, args: tuple, kwargs: dict) -> Any:
    keep = kwargs.get("keepdim", args[2] if len(args) > 2 else False)
    rest = {name: value for name, value in kwargs.items() if name not in ("dim", "keepdim")}
    return function(args[0], kwargs.get("dim", args[1] if len(args) > 1 else None), keepdim=not keep, **rest)


def averaged(function: Callable, args: tuple, kwargs: dict) -> Any:
    result = torch.mean(args[0], *args[1:], **kwargs)
    return Pair(result, None) if isinstance(function(*args, **kwargs), tuple) else result


def picked(index: int) -> Replace:
    """One entry in the place of a reduction."""

    def replace(function, args, kwargs):
        dim = kwargs.get("dim", args[1] if len(args) > 1 else 0)
        keep = kwargs.get("keepdim", args[2] if len(args) > 2 else False)
        result = args[0].select(dim, index)
        result = result.unsqueeze(dim) if keep else result
        return Pair(result, None) if isinstance(function(*args, **kwargs), tuple) else result

    return replace


def largest(function: Callable, args: tuple, kwargs: dict) -> Any:
    return torch.max(args[0], args[1], keepdim=True).values


def smallest(function: Callable, args: tuple, kwargs: dict) -> Any:
    return torch.min(args[0], args[1], keepdim=True).values


def average(function: Callable, args: tuple, kwargs: dict) -> Any:
    return args[0].mean(args[1], keepdim=True)


def of_sizes(function: Callable, args: tuple, kwargs: dict) -> Any:
    return function(args[0].abs(), *args[1:], **kwargs)


def flipped_shift(function: Callable, args: tuple, kwargs: dict) -> Any:
    return torch.roll(args[0], -args[1], *args[2:], **kwargs)


def branches(function: Callable, args: tuple, kwargs: dict) -> Any:
    return torch.where(args[0], args[2], args[1])


def middle(function: Callable, args: tuple, kwargs: dict) -> Any:
    return args[0].mean(
        *[arg for arg in args[2:] if isinstance(arg, int)], **{k: v for k, v in kwargs.items() if k != "q"}
    )


def median_of(function: Callable, args: tuple, kwargs: dict) -> Any:
    result = torch.median(args[0].float(), *args[1:], **kwargs)
    return result.values if isinstance(result, tuple) else result


def norm_of(power: float) -> Replace:
    return lambda function, args, kwargs: function(args[0], power, *args[2:], **kwargs)


NOT = ("bitwise_not", "invert", "logical_not")
REDUCING = (
    "sum",
    "mean",
    "max",
    "min",
    "amax",
    "amin",
    "any",
    "all",
    "prod",
    "std",
    "norm",
    "argmax",
    "argmin",
    "median",
)
ALONG = (*REDUCING, "softmax", "log_softmax", "logsumexp", "cumsum", "cumprod", "flip", "sort", "argsort")

OPERATIONS = [
    Operation("a sum stood where a mean belongs", ("mean",), by("sum")),
    Operation("a mean stood where a sum belongs", ("sum",), of_numbers("mean")),
    Operation("the smallest stood where the largest belongs", ("max",), by("min")),
    Operation("the largest stood where the smallest belongs", ("min",), by("max")),
    Operation("the smallest stood where the largest belongs", ("amax",), by("amin")),
    Operation("the largest stood where the smallest belongs", ("amin",), by("amax")),
    Operation("the smaller of two stood where the larger belongs", ("maximum",), by("minimum")),
    Operation("the larger of two stood where the smaller belongs", ("minimum",), by("maximum")),
    Operation("`argmin` stood where `argmax` belongs", ("argmax",), by("argmin")),
    Operation("`argmax` stood where `argmin` belongs", ("argmin",), by("argmax")),
    Operation("a mean stood where the largest belongs", ("max", "amax"), averaged),
    Operation("a mean stood where the smallest belongs", ("min", "amin"), averaged),
    Operation("the first one stood where the largest belongs", ("max", "amax"), picked(0)),
    Operation("the last one stood where the largest belongs", ("max", "amax"), picked(-1)),
    Operation("the first one stood where the smallest belongs", ("min", "amin"), picked(0)),
    Operation("the last one stood where the smallest belongs", ("min", "amin"), picked(-1)),
    Operation("the first one stood where a mean belongs", ("mean",), picked(0)),
    Operation("the last one stood where a mean belongs", ("mean",), picked(-1)),
    Operation("the largest stood where a mean belongs", ("mean",), by("amax")),
    Operation("the largest by size, without its sign, were meant", ("max", "amax", "argmax"), of_sizes),
    Operation("`all` stood where `any` belongs", ("any",), by("all")),
    Operation("`any` stood where `all` belongs", ("all",), by("any")),
    Operation("a median stood where a mean belongs", ("mean",), median_of),
    Operation("a mean stood where a median belongs", ("median", "quantile"), middle),
    Operation("the largest value stood where that of the given index belongs", ("gather",), largest),
    Operation("the smallest value stood where that of the given index belongs", ("gather",), smallest),
    Operation("the mean of the values stood where that of the given index belongs", ("gather",), average),
    Operation("`abs` were left out", ("abs", "absolute"), left_out),
    Operation("`exp` were left out", ("exp",), left_out),
    Operation("the logarithm were left out", ("log",), left_out),
    Operation("the decimal logarithm stood where the natural one belongs", ("log",), by("log10")),
    Operation("the square root were left out", ("sqrt",), left_out),
    Operation("the square were left out", ("square", "pow"), left_out),
    Operation("absolute values stood where squares belong", ("square", "pow"), lambda f, args, kwargs: args[0].abs()),
    Operation("nothing were cut off (no `clamp`)", ("clamp", "clip", "clamp_min", "clamp_max"), left_out),
    Operation("the lower limit of `clamp` were left out", ("clamp", "clip"), without("min")),
    Operation("the upper limit of `clamp` were left out", ("clamp", "clip"), without("max")),
    Operation("a negation were left out (`~`)", NOT, left_out),
    Operation("the minus sign were left out", ("neg",), left_out),
    Operation("`detach` were left out", ("detach",), left_out),
    Operation("`tanh` were left out", ("tanh",), left_out),
    Operation("`atanh` were left out", ("atanh", "arctanh"), left_out),
    Operation("rounding were left out", ("round", "floor", "ceil", "trunc"), left_out),
    Operation("`cumsum` were left out", ("cumsum",), left_out),
    Operation("`softmax` were left out", ("softmax",), left_out),
    Operation("`log_softmax` were left out", ("log_softmax",), left_out),
    Operation("`softmax` stood where `log_softmax` belongs", ("log_softmax",), by("softmax")),
    Operation("`sigmoid` stood where `softmax` belongs", ("softmax",), lambda f, args, kwargs: args[0].sigmoid()),
    Operation(
        "`logsigmoid` stood where `log_softmax` belongs",
        ("log_softmax",),
        lambda f, args, kwargs: torch.nn.functional.logsigmoid(args[0]),
    ),
    Operation("`max` stood where `logsumexp` belongs", ("logsumexp",), by("amax")),
    Operation("a plain sum stood where `logsumexp` belongs", ("logsumexp",), by("sum")),
    Operation("`>=` stood where `>` belongs", ("gt",), by("ge")),
    Operation("`>` stood where `>=` belongs", ("ge",), by("gt")),
    Operation("`<=` stood where `<` belongs", ("lt",), by("le")),
    Operation("`<` stood where `<=` belongs", ("le",), by("lt")),
    Operation("a comparison, or `min` and `max`, were turned round", ("gt",), by("lt")),
    Operation("a comparison, or `min` and `max`, were turned round", ("lt",), by("gt")),
    Operation("a comparison, or `min` and `max`, were turned round", ("ge",), by("le")),
    Operation("a comparison, or `min` and `max`, were turned round", ("le",), by("ge")),
    Operation("`|` stood where `&` belongs", ("and", "bitwise_and", "logical_and"), by("logical_or")),
    Operation("`&` stood where `|` belongs", ("or", "bitwise_or", "logical_or"), by("logical_and")),
    Operation("one of two conditions were left out", ("and", "bitwise_and", "or", "bitwise_or"), left_out),
    Operation(
        "one of two conditions were left out", ("and", "bitwise_and", "or", "bitwise_or"), lambda f, a, k: a[1]
    ),
    Operation("a `+` stood where a `-` belongs", ("sub", "rsub"), by("add")),
    Operation("a `-` stood where a `+` belongs", ("add", "radd"), by("sub")),
    Operation("the two sides of a subtraction changed places", ("sub",), exchanged),
    Operation("the two sides of a division changed places", ("div", "truediv"), exchanged),
    Operation("what is subtracted were left out", ("sub",), left_out),
    Operation("a division were left out", ("div", "truediv"), left_out),
    Operation("only what is divided by were there", ("div", "truediv"), lambda f, args, kwargs: args[1]),
    Operation("a product stood where a quotient belongs", ("div", "truediv"), by("mul")),
    Operation("a quotient stood where a product belongs", ("mul",), by("div")),
    Operation("a sum stood where a product belongs", ("mul",), by("add")),
    Operation("one factor of a product were left out", ("mul", "rmul"), left_out),
    Operation("one factor of a product were left out", ("mul", "rmul"), lambda f, args, kwargs: args[1]),
    Operation("what is added were left out", ("add", "radd"), left_out),
    Operation("what is added were left out", ("add", "radd"), lambda f, args, kwargs: args[1]),
    Operation("the two results of `where` changed places", ("where",), branches),
    Operation("the shift went the other way (`roll`)", ("roll",), flipped_shift),
    Operation("`roll` were left out", ("roll",), left_out),
    Operation("`flip` were left out", ("flip",), left_out),
    Operation("the standard deviation were that of all (`correction=0`)", ("std", "var"),
              lambda f, args, kwargs: f(*args, **kwargs, correction=0)),  # fmt: skip
    Operation("the variance stood where the standard deviation belongs", ("std",), by("var")),
    Operation("lengths (`norm`) were sums of absolute values", ("norm",), norm_of(1)),
    Operation("lengths (`norm`) were largest absolute values", ("norm",), norm_of(float("inf"))),
    Operation("`{}` ran over dimension 0", REDUCING, along(0)),
    Operation("`{}` ran over dimension 1", REDUCING, along(1)),
    Operation("`{}` ran over the last dimension", REDUCING, along(-1)),
    Operation("`{}` ran over all dimensions at once", REDUCING, over_all),
    Operation("`{}` ran over dimension 0", ALONG[len(REDUCING):], along(0)),
    Operation("`{}` ran over dimension 1", ALONG[len(REDUCING):], along(1)),
    Operation("`{}` ran over the last dimension", ALONG[len(REDUCING):], along(-1)),
    Operation("`keepdim` of `{}` were the other way round", REDUCING, keeping),
]  # fmt: skip
