"""What the views say of TorchRL's containers, wrappers and losses for language models, and that it is true."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict, set_list_to_stack
from tiny_language import tiny_model, tiny_tokenizer
from torchrl.data.llm import History
from torchrl.envs.llm import ChatEnv
from torchrl.modules.llm import ChatHistory, LogProbs, Masks, Text, Tokens, TransformersWrapper
from torchrl.objectives.llm import DAPO, GRPOLoss, SFTLoss

from course_utils import TokenScrubber, flow, show
from course_utils.views.key_flow import trace

TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}<end>{% endgeneration %}"
    "{% else %}{{ m['content'] }}{% endif %}{% endfor %}"
)
LENGTH, PROMPT = 6, 4


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return tiny_model()


@pytest.fixture(scope="module")
def tokenizer():
    made = tiny_tokenizer()
    made.chat_template = TEMPLATE
    return made


@pytest.fixture(scope="module")
def wrap(model, tokenizer):
    def wrapper(input_mode: str, **settings) -> TransformersWrapper:
        settings = {"generate": False, "return_log_probs": True, "pad_output": True, **settings}
        return TransformersWrapper(model, tokenizer=tokenizer, input_mode=input_mode, **settings)

    return wrapper


@pytest.fixture(scope="module", params=[False, True], ids=["unpadded", "padded"])
def answered(request, wrap):
    """Two prompts of unequal length, three answers to each, as a wrapper that generates leaves them."""
    writes = wrap(
        "text",
        generate=True,
        num_samples=3,
        pad_output=request.param,
        generate_kwargs=dict(max_new_tokens=4, do_sample=True),
    )
    torch.manual_seed(3)
    with set_list_to_stack(True):
        return writes(TensorDict(text=Text(prompt=["1+2=", "34+55="], batch_size=(2,)), batch_size=(2,)))


@pytest.fixture(scope="module")
def chat():
    turns = [("1+2=", "3"), ("4+5=", "9")]
    return History.from_chats([[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in turns])


def transition(tokenizer, chat) -> TensorDict:
    """All that GRPOLoss may read."""
    ids = torch.tensor([[*tokenizer(text)["input_ids"], 1] for text in ("1+2=3", "4+5=9")])
    own = torch.arange(LENGTH).expand(2, LENGTH) >= PROMPT
    full = LogProbs(full=-torch.ones(2, LENGTH), batch_size=(2,))
    return TensorDict(
        history=ChatHistory(full=chat, batch_size=(2,)),
        tokens=Tokens(full=ids, prompt=ids[:, :PROMPT], batch_size=(2,)),
        masks=Masks(all_attention_mask=torch.ones(2, LENGTH).bool(), all_assistant_mask=own, batch_size=(2,)),
        log_probs=full,
        advantage=torch.ones(2, LENGTH, 1),
        next=TensorDict(ref_log_probs=full.clone(), batch_size=(2,)),
        batch_size=(2,),
    )


class TestShow:
    def test_fields_that_a_wrapper_left_alone_are_not_set(self, answered):
        lines = str(show(answered)).splitlines()
        assert sum(line.split()[1:] == ["not", "set"] for line in lines) == 3  # all_assistant_mask, full, prompt
        assert "NoneType" not in str(show(answered)) and not any(line.endswith(" ") for line in lines)

    def test_a_flag_of_all_answers_is_said_once(self, answered):
        padded = answered.reshape(-1)[0]["tokens"].padded
        lines = [line for line in str(show(answered)).splitlines() if "stack of bool" in line]
        assert len(lines) == 3 and all(line.endswith(f" all {padded}") for line in lines)

    def test_what_answering_did_is_told(self, answered):
        before = TensorDict(text=Text(prompt=["1+2=", "34+55="], batch_size=(2,)), batch_size=(2,))
        told = str(show(before, answered))
        assert '("log_probs", "full")            not set' in told
        assert 'changed  ("text", "response")             not set → non-tensor stack of str, [[' in told

    def test_chats_of_unequal_length_are_read(self):
        with set_list_to_stack(True):
            uneven = History.from_chats(
                [
                    [{"role": "user", "content": "1+2="}, {"role": "assistant", "content": "3"}],
                    [{"role": "user", "content": "4"}],
                ]
            )
        told = str(show(uneven))
        assert "batch size [2, varies]" in told and "[['1+2=', '3'], ['4']]" in told

    def test_nested_tensors_in_tokens_vary(self):
        jagged = torch.nested.nested_tensor([torch.arange(3), torch.arange(2)], layout=torch.jagged)
        assert "[2 | varies]" in str(show(Tokens(full=jagged, batch_size=(2,))))


class TestFlow:
    @pytest.mark.parametrize("input_mode", ["tokens", "history"])
    @pytest.mark.parametrize(
        "strategy, pad_output, settings",
        [
            ("sft", True, {}),
            ("sft", False, {"kl_to_ref_coeff": 0.1}),
            ("rlhf", True, {"kl_to_inference_coeff": 0.1}),
            ("generic", True, {"entropy_bonus": False}),
        ],
    )
    def test_grpo_reads_just_what_is_drawn_and_writes_just_that(
        self, wrap, tokenizer, chat, input_mode, pad_output, strategy, settings
    ):
        loss = GRPOLoss(wrap(input_mode, pad_output=pad_output), masking_strategy=strategy, **settings)
        found, data = trace(loss), transition(tokenizer, chat)
        read = set(found.outside)
        enough = data.select(*read)
        written = loss(enough.clone())._tensordict
        assert set(written.keys()) == set(found.columns[-1].writes)
        assert not found.missing and not trace(loss, enough).missing
        for key in read:
            without = enough.exclude(key)
            assert trace(loss, without).missing == {key: None}
            with pytest.raises((KeyError, ValueError, AttributeError)):
                loss(without)

    def test_the_assistants_mask_does_where_no_prompt_is_given(self, wrap, tokenizer, chat):
        loss, data = GRPOLoss(wrap("tokens")), transition(tokenizer, chat).exclude(("tokens", "prompt"))
        assert not trace(loss, data).missing and "loss_objective" in loss(data)._tensordict
        assert ("tokens", "prompt") in trace(loss, data.exclude("masks")).missing

    def test_sft_reads_and_writes_just_what_is_drawn(self, wrap, tokenizer, chat):
        loss, data = SFTLoss(wrap("history")), transition(tokenizer, chat)
        found, written = trace(loss), loss(data.select("history"))._tensordict
        assert found.outside == (("history", "full"),)
        assert {key for key, value in written.items() if value is not None} == set(found.columns[-1].writes)
        with_reference = SFTLoss(wrap("history"), kl_to_ref_coeff=0.1)
        assert set(trace(with_reference).outside) == {("history", "full"), ("next", "ref_log_probs", "full")}
        with pytest.raises(ValueError, match="Reference log probs not found"):
            with_reference(data.select("history"))

    def test_losses_made_of_grpo_are_read_like_it(self, wrap):
        assert "actor_network reads ('tokens', 'full')" in str(flow(DAPO(wrap("tokens"))))

    def test_log_probabilities_that_nothing_set_are_missing(self, wrap, answered):
        loss = GRPOLoss(wrap("tokens"))
        assert ("log_probs", "full") in trace(loss, answered).missing
        assert ("tokens", "full") not in trace(loss, answered).missing

    def test_a_chat_environment_gives_what_a_wrapper_reads(self, wrap, tokenizer):
        env = ChatEnv(batch_size=(2,), input_mode="history", tokenizer=tokenizer)
        with set_list_to_stack(True):
            assert not trace(wrap("history", generate=True), env).missing


class TestTokens:
    def test_answers_of_a_wrapper_are_read(self, answered, tokenizer):
        advantage = torch.tensor([[1.0, -1.0, 0.0]] * 2)
        view = TokenScrubber.from_torchrl(answered, tokenizer, advantage=advantage)
        texts = [text for row in answered["text"].response for text in row]
        told = ["".join(tokens[start:]) for tokens, start in zip(view.answers.tokens, view.answers.starts, strict=True)]
        assert told == texts and list(view.answers.groups) == ["1+2=", "34+55="]
        assert [row[own][0] for row, own in zip(view.answers.advantage, view.answers.own, strict=True)] == [
            1,
            -1,
            0,
        ] * 2

    def test_a_wrapper_that_generates_calls_the_first_token_of_an_answer_certain(self, wrap, answered, tokenizer):
        """TorchRL 0.14.1: its log-probability is written as 0. Asked again, the model gives the true one."""
        flat = answered.reshape(-1)
        scored = wrap("tokens", pad_output=bool(answered.reshape(-1)[0]["tokens"].padded))(flat.select("tokens").copy())
        said = flat["log_probs"].get("response", as_list=True)
        later = scored["log_probs"].get("full", as_list=True)
        pairs = [(row, asked[-len(row) :].detach()) for row, asked in zip(said, later, strict=True)]
        assert sum(row[0] == 0 and asked[0] < -1 for row, asked in pairs) >= 5  # one answer begins with padding
        for row, asked in pairs[1:]:
            torch.testing.assert_close(row[1:], asked[1:], atol=1e-4, rtol=0)

    def test_a_chat_is_made_tokens_of_by_its_tokenizer(self, wrap, tokenizer, chat):
        data = ChatHistory(prompt=chat[:, :1], full=chat, batch_size=(2,))
        scored = wrap("history", pad_output=False)(TensorDict(history=data, batch_size=(2,)))
        view = TokenScrubber.from_torchrl(data, tokenizer, {"start": scored}, advantage=[1.0, -1.0])
        assert view.answers.tokens == [[*"1+2=3", "<end>"], [*"4+5=9", "<end>"]] and view.answers.starts == [4, 4]
        mine = TokenScrubber.from_torchrl(scored, tokenizer, advantage=[1.0, -1.0])  # with the assistant's mask
        assert [own.tolist() for own in mine.answers.own] == [own.tolist() for own in view.answers.own]
