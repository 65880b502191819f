"""A language model of 20,000 weights over single characters, and its tokenizer, made by hand: nothing is downloaded."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

LETTERS = ["<pad>", "<end>", *"0123456789+= "]


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """One number for each character."""
    inner = Tokenizer(models.WordLevel({letter: n for n, letter in enumerate(LETTERS)}, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    inner.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        eos_token="<end>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def tiny_model() -> LlamaForCausalLM:
    """Untrained; its answers are noise."""
    ids = dict(pad_token_id=0, eos_token_id=1, bos_token_id=1)
    layers = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(LETTERS), max_position_embeddings=32, **layers, **ids)).eval()
