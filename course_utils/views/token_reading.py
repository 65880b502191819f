"""Tokens, masks, log-probabilities and advantages out of TorchRL's containers for language models, padded or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torchrl.modules.llm import ChatHistory, LogProbs, Tokens


def from_torchrl(data, tokenizer, log_probs: Mapping[str, object] | None, advantage) -> dict:
    """The arguments of a TokenScrubber; those of this function, and its errors, are `TokenScrubber.from_torchrl`'s."""
    if isinstance(data, ChatHistory):
        data = data.to_tokens(tokenizer)
    if not isinstance(data, TensorDictBase | Tokens):
        raise TypeError(f"data is a {type(data).__name__}; give a TensorDict with tokens, or Tokens, or ChatHistory.")
    if isinstance(data, Tokens):
        tokens, masks = data, None
    else:
        tokens, masks = data.get("tokens", None), data.get("masks", None)
    full = _rows(tokens, "full")
    if full is None:
        raise ValueError(
            'There is nothing under ("tokens", "full"). A wrapper of TorchRL writes it; of a ChatHistory give the '
            "history's own `full`."
        )
    attended = _rows(masks, "all_attention_mask") or [torch.ones_like(row) for row in full]
    attended = [row.bool() for row in attended]
    own = _own(tokens, masks, full, attended)
    if log_probs is None:
        if isinstance(data, Tokens):
            raise ValueError("Tokens hold no log-probabilities: give log_probs={name of the checkpoint: ...}.")
        log_probs = {"the data's own": data}
    if not isinstance(log_probs, Mapping) or isinstance(log_probs, TensorDictBase):
        raise TypeError("log_probs is a mapping from a checkpoint's name to what it says: {'round 0': ..., ...}.")
    if not log_probs:
        raise ValueError("log_probs has no checkpoint. Score the answers at least once.")
    responses = _rows(tokens, "response")
    scored = [_scored(name, given, full, attended, own, responses) for name, given in log_probs.items()]
    if advantage is None and isinstance(data, TensorDictBase):
        advantage = _get(data, "advantage")
    if advantage is None:
        raise ValueError('There is nothing under "advantage". MCAdvantage writes it; or give advantage=...')
    decode = _decoder(tokenizer)
    return {
        "tokens": [[decode([int(number)]) for number in row[kept]] for row, kept in zip(full, attended, strict=True)],
        "advantage": _padded(_advantages(advantage, full, attended), attended, float("nan")),
        "log_probs": torch.stack([_padded(rows, attended, float("nan")) for rows in scored]),
        "mask": _padded(own, attended, False),
        "checkpoints": list(log_probs),
    }


def _decoder(tokenizer) -> Callable[[list[int]], str]:
    decode = getattr(tokenizer, "decode", tokenizer)
    if not callable(decode):
        raise TypeError(f"tokenizer is a {type(tokenizer).__name__}; give one that has decode, or a function.")
    return decode


def _get(container, key: str):
    """A tensor, or a list of one for each answer, whatever the batch's shape; None where there is nothing."""
    if container.batch_dims > 1:
        container = container.reshape(-1)
    return container.get(key, None, as_list=True)  # stacked, rows of unequal lengths would be refused


def _rows(container, key: str) -> list[Tensor] | None:
    """One tensor of one dimension for each answer; None where there is nothing."""
    value = None if container is None else _get(container, key)
    return None if value is None else _flat(value)


def _flat(value) -> list[Tensor]:
    if isinstance(value, list | tuple):
        return [row for part in value for row in _flat(part)]
    if not isinstance(value, Tensor):
        raise TypeError(f"A {type(value).__name__} stands where a tensor should.")
    value = value.detach().cpu()
    if value.is_nested:
        return [row for part in value.unbind() for row in _flat(part)]
    if value.ndim < 2:
        return [value.reshape(-1)]
    return list(value.reshape(-1, value.shape[-1]))


def _own(tokens, masks, full: list[Tensor], attended: list[Tensor]) -> list[Tensor]:
    """Which tokens the model wrote: the assistant's mask; else what stands behind the prompt; else all."""
    assistant = _rows(masks, "all_assistant_mask")
    if assistant is not None:
        return [row.bool() for row in assistant]
    prompts = _rows(tokens, "prompt")
    if prompts is None:
        return attended
    places = [torch.arange(len(row)) for row in full]
    return [(place >= len(prompt)) & kept for place, prompt, kept in zip(places, prompts, attended, strict=True)]


def _scored(
    name: str,
    given,
    full: list[Tensor],
    attended: list[Tensor],
    own: list[Tensor],
    responses: list[Tensor] | None,
) -> list[Tensor]:
    """A log-probability for each token; NaN where there is none."""
    if isinstance(given, TensorDictBase) and not isinstance(given, LogProbs):
        given = given.get("log_probs", given)
    if isinstance(given, LogProbs | TensorDictBase):
        rows = _rows(given, "full")
        rows = _rows(given, "response") if rows is None else rows
        if rows is None:
            raise ValueError(f'{name!r} has neither ("log_probs", "full") nor ("log_probs", "response").')
    else:
        rows = _flat(given)
    if len(rows) != len(full):
        raise ValueError(f"There are {len(full)} answers in the data, and {name!r} scores {len(rows)} of them.")
    unknown = [torch.full((len(ids),), float("nan")) for ids in full]
    placed = []
    for number, (row, empty, kept, mine) in enumerate(zip(rows, unknown, attended, own, strict=True)):
        row = row.float()
        if len(row) == len(empty):
            placed.append(row)
        elif len(row) == int(kept.sum()):  # of all that is no padding
            placed.append(empty.masked_scatter(kept, row))
        elif responses is not None and len(row) == len(responses[number]):  # what stands behind the prompt
            placed.append(torch.cat([empty[: -len(row)], row]))
        elif len(row) == int(mine.sum()):
            placed.append(empty.masked_scatter(mine, row))
        else:
            raise ValueError(
                f"Answer {number} has {int(kept.sum())} tokens, {int(mine.sum())} of them the model's own, and "
                f"{name!r} scores {len(row)}."
            )
    return placed


def _advantages(advantage, full: list[Tensor], attended: list[Tensor]) -> list[Tensor]:
    """For each answer as many numbers as tokens, from one of each answer or of each token."""
    if isinstance(advantage, list | tuple) and all(isinstance(row, Tensor) for row in advantage):
        rows = [row.detach().cpu().float().reshape(-1) for row in advantage]
        told = f"{len(rows)} rows of {sorted({len(row) for row in rows})} numbers"
    else:
        values = torch.as_tensor(advantage).detach().cpu().float()
        rows = list(values.reshape(len(full), -1)) if values.numel() % len(full) == 0 else []
        told = f"shape {list(values.shape)}"
    spread = []
    for row, ids, kept in zip(rows, full, attended, strict=False):
        if len(row) == 1:
            spread.append(row.expand(len(ids)))
        elif len(row) >= len(ids):
            spread.append(row[: len(ids)])
        elif len(row) == int(kept.sum()):
            spread.append(torch.zeros(len(ids)).masked_scatter(kept, row))
    if not len(rows) == len(spread) == len(full):
        raise ValueError(
            f"advantage has {told}; there are {len(full)} answers of up to {max(map(len, full))} tokens: give one for "
            "each answer, or for each token."
        )
    return spread


def _padded(rows: list[Tensor], attended: list[Tensor], value) -> Tensor:
    kept = [row[mask] for row, mask in zip(rows, attended, strict=True)]
    return pad_sequence(kept, batch_first=True, padding_value=value)
