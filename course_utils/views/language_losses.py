"""What the losses for language models read and write: they tell more, and less, than they do."""

from __future__ import annotations

import sys
from typing import NamedTuple

from tensordict import NestedKey, unravel_key_list
from torch import nn

PROMPT, ASSISTANT, ATTENTION = ("tokens", "prompt"), ("masks", "all_assistant_mask"), ("masks", "all_attention_mask")
# Where the first is not there, the second does.
INSTEAD = {PROMPT: ASSISTANT}


class Read(NamedTuple):
    """A loss with one network in it.

    Attributes:
        network: what it trains; it reads `network_keys`.
        keys: what the loss reads besides the network's answers.
        writes: names of its terms and of what it reports.
    """

    network: nn.Module
    network_keys: tuple[NestedKey, ...]
    keys: tuple[NestedKey, ...]
    writes: tuple[NestedKey, ...]


def read_language_loss(loss) -> Read | None:
    """Of a GRPOLoss (and those made of it) or an SFTLoss, what it does with the settings it has; None of any other.

    As TorchRL 0.14 behaves (`tests/views/test_language_models.py` proves it): GRPOLoss tells `ref_log_probs` and four
    terms of KL whether they are wanted or not, and no mask; SFTLoss tells nothing that it writes.
    """
    losses = sys.modules.get("torchrl.objectives.llm")  # who has such a loss has imported it
    if losses is None or not isinstance(loss, losses.GRPOLoss | losses.SFTLoss):
        return None
    network, keys = loss.actor_network, loss.tensor_keys
    read = tuple(unravel_key_list(list(network.in_keys)))
    if isinstance(loss, losses.SFTLoss):
        kl = loss.kl_to_ref_coeff is not None and loss.loss_function == "sft"
        wanted = kl or loss.loss_function == "minor_sft"
        terms = ("loss_sft", *(("loss_kl_to_ref", "kl_to_ref") if kl else ()))
        return Read(network, (keys.history,), (keys.ref_log_prob,) if wanted else (), terms)
    history = network.input_mode == "history"  # which tells who said what
    if loss.masking_strategy == "sft" and network.pad_output:
        read = (*read, PROMPT, ATTENTION)
    elif loss.masking_strategy == "sft" and not history:
        read = (*read, PROMPT)
    elif loss.masking_strategy == "rlhf" and not history:
        read = (*read, ASSISTANT)
    to_ref, to_inference = bool(loss.kl_to_ref_coeff), loss.kl_to_inference_coeff is not None
    own = [keys.action, keys.sample_log_prob, keys.advantage, *([keys.ref_log_probs] if to_ref else [])]
    left_out = ["kl_to_ref"] * (not to_ref) + ["kl_to_inference"] * (not to_inference)
    writes = [key for key in loss.out_keys if str(key).removeprefix("loss_") not in left_out]
    return Read(network, read, tuple(unravel_key_list(own)), tuple(writes))
