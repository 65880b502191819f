"""Every entry of a TensorDict by its path, also where stacked TensorDicts differ."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from course_utils.views import tree_facts

Path = tuple[str, ...]


class Ragged(NamedTuple):
    """The entries that the members of a lazy stack or of a list of items have under one key; None where one has not."""

    members: list
    dim: int


class Leaf(NamedTuple):
    """An entry, and how many batch dimensions the TensorDict has in which it stands."""

    value: Tensor | Ragged | tree_facts.Plain
    batch_dims: int


def leaves_of(node) -> Iterator[tuple[Path, Leaf]]:
    """The entries at any depth; of a lazy stack those that any member has, stacked only where all are alike."""
    node = tree_facts.as_stack(node)
    if isinstance(node, tree_facts.Stack):
        opened = [dict(leaves_of(part)) for part in node.parts]
        for path in dict.fromkeys(chain.from_iterable(opened)):
            found = [entries.get(path) for entries in opened]
            dims = 1 + max(leaf.batch_dims for leaf in found if leaf)
            yield path, Leaf(_together([leaf and leaf.value for leaf in found], node.dim), dims)
        return
    for key, value in tree_facts.open_level(node).items():
        if tree_facts.sort_of(value) == "level":
            yield from (((key, *path), leaf) for path, leaf in leaves_of(value))
        elif isinstance(value, tree_facts.Stack):  # a nested tensor
            yield (key,), Leaf(Ragged(value.parts, value.dim), len(node.batch_size))
        else:
            yield (key,), Leaf(value, len(node.batch_size))


def _together(members: list, dim: int):
    """One tensor if the members allow it; else Ragged, along the last dimension in which they differ."""
    first = members[0]
    if isinstance(first, Ragged) and first.dim >= dim and len({_layout(member) for member in members}) == 1:
        columns = zip(*(member.members for member in members), strict=True)
        return Ragged([_together(list(column), dim) for column in columns], first.dim + 1)
    if all(isinstance(m, Tensor) and m.shape == first.shape and m.dtype == first.dtype for m in members):
        return torch.stack(members, dim)
    return Ragged(members, dim)


def _layout(value):
    return (value.dim, len(value.members)) if isinstance(value, Ragged) else None


def tensors_in(value) -> Iterator[Tensor]:
    """The tensors of an entry."""
    if isinstance(value, Ragged):
        yield from chain.from_iterable(map(tensors_in, value.members))
    elif isinstance(value, Tensor):
        yield value
