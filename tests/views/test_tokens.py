"""The view of tokens: what it says of each, what it refuses, and what TorchRL's containers become in it."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from tensordict import TensorDict, lazy_stack
from torchrl.modules.llm import LogProbs, Masks, Tokens

from course_utils import TokenScrubber
from course_utils.views import token_scrubber
from course_utils.views.token_facts import strength, visible

TOKENS = [[*"1+2=", "3", "<end>"], [*"1+2=", "4", "<end>"], [*"5+5=", "1", "0", "<end>"], [*"5+5=", "9", " "]]
OWN = torch.tensor([[0, 0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1, 0]]).bool()
ADVANTAGE = torch.tensor([0.7, -0.7, 1.0, 0.0])


def scores(checkpoints: int = 3) -> torch.Tensor:
    """At each checkpoint each token's logarithm moves by its advantage."""
    first = torch.full((4, 7), -2.0)
    return torch.stack([first + step * ADVANTAGE[:, None] for step in range(checkpoints)]).clamp(max=-0.01)


def view(**changes) -> TokenScrubber:
    given = dict(
        tokens=TOKENS, advantage=ADVANTAGE, log_probs=scores(), mask=OWN, checkpoints=["start", "middle", "end"]
    )
    return TokenScrubber(**{**given, **changes})


class TestWords:
    def test_a_token_is_told_with_its_probability_then_and_now_and_its_advantage(self):
        told = view().describe(0, 4)
        assert told.startswith("Token 5 of 6, '3': probability 0.135 at start, 0.549 at end (times 4.06; ")
        assert told.endswith(
            "log-probability -2.00, then -0.60). Its advantage is +0.7: it became more probable, as that asks."
        )

    def test_checkpoints_are_counted_from_either_end(self):
        assert view().describe(0, 4, 2) == view().describe(0, 4) != view().describe(0, 4, 1)
        assert (
            view()
            .describe(0, 4, 0)
            .endswith("probability 0.135 at start (log-probability -2.00). Its advantage is +0.7.")
        )

    def test_what_goes_against_its_advantage_is_said(self):
        assert view(advantage=-ADVANTAGE).describe(0, 4).endswith("it became more probable, against that.")

    def test_without_an_advantage_there_is_no_verdict(self):
        assert view().describe(3, 4).endswith("Its advantage is 0.")

    def test_tokens_of_the_prompt_and_masked_ones_are_named(self):
        assert "belongs to the prompt" in view().describe(0, 1)
        masked = OWN.clone()
        masked[2, 5] = False
        assert "is masked" in view(mask=masked).describe(2, 5)

    def test_the_tally_counts_each_way_a_token_can_go(self):
        moved = scores()
        moved[-1, 0, 4], moved[-1, 0, 5], moved[-1, 1, 5] = -2.0, -3.0, math.nan
        text = view(log_probs=moved).text
        assert "of 2 tokens with a positive advantage 1 less probable, 1 stayed within 5 %" in text
        assert "of 2 tokens with a negative advantage 1 less probable, 1 unknown" in text
        assert "of 3 tokens with a positive advantage 3 became more probable." in text

    def test_a_group_of_equal_answers_has_nothing_to_teach(self):
        assert "there is nothing to learn from these answers" in view(advantage=torch.zeros(4)).text

    def test_an_answers_probability_is_that_of_its_own_tokens_alone(self):
        assert f"probability {math.exp(-4):.3g}, then {math.exp(-1.2):.3g}" in view().text

    @pytest.mark.parametrize(
        "factor, level", [(1.0, 0), (1.04, 0), (1.06, 1), (2.01, 2), (10.1, 3), (0.94, -1), (0.49, -2), (0.09, -3)]
    )
    def test_signs_are_for_factors(self, factor, level):
        assert strength(math.log(factor)) == level

    def test_blanks_can_be_seen(self):
        assert [visible(token) for token in (" a", "\n", "", "\x07")] == ["␣a", "⏎", "∅", "\\x07"]


class TestHonesty:
    def test_not_finite_numbers_of_own_tokens_are_counted_and_others_ignored(self):
        broken, advantage = scores(), ADVANTAGE.clone()
        broken[1, 0, 0], broken[1, 0, 4], broken[2, 3, 5], advantage[1] = math.nan, math.nan, -math.inf, math.nan
        found = view(log_probs=broken, advantage=advantage)
        assert found.answers.doubts == [
            "2 of 9 NaN advantages",
            "1 of 9 NaN log-probabilities at middle",
            "1 of 9 inf log-probabilities at end",
        ]
        for form in (found.text, found.html, words_of(found.widget)):
            assert all(doubt in form for doubt in found.answers.doubts)
        assert "NaN at middle (by an unknown factor; log-probability -2.00, then NaN)" in found.describe(0, 4, 1)
        assert "probability 0.135 at start, 0 at end" in found.describe(3, 5)

    def test_what_is_not_shown_is_counted(self, monkeypatch):
        monkeypatch.setattr(token_scrubber, "STILL_TOKENS", 3)
        monkeypatch.setattr(token_scrubber, "STILLS", 2)
        html = view().html
        assert "Of 3 checkpoints 2 can be unfolded." in html
        assert "1 more answers are not drawn." in html and "6 more tokens are not listed." in html
        assert "middle</summary>" not in html and "end</summary>" in html

    def test_a_long_answer_ends_in_a_number(self, monkeypatch):
        monkeypatch.setattr(token_scrubber, "STILL_TOKENS", 2)
        html = TokenScrubber([["a"] * 9], [1.0], torch.full((1, 1, 9), -1.0)).html
        assert "and 7 more tokens" in html

    def test_many_answers_make_no_large_notebook(self):
        many = TokenScrubber([["word"] * 40] * 64, torch.linspace(-1, 1, 64), -torch.rand(101, 64, 40))
        assert len(many.html) < 300_000

    def test_nothing_is_told_by_colour_alone(self):
        html = view().html
        tokens = re.findall(r"<span style=\"([^\"]*)\">[^<]*<sup>([▲▼=?]*)</sup></span>", html)
        assert {sign[0] for style, sign in tokens if "#0072B2" in style.partition(";")[0]} == {"▲"}
        assert {sign[0] for style, sign in tokens if "#E69F00" in style} == {"▼"}
        assert {("solid" in style, "dotted" in style) for style, _ in tokens} == {(True, False), (False, True)}

    def test_tokens_cannot_write_html(self):
        html = TokenScrubber([["<b>", "&"]], [1.0], torch.full((1, 1, 2), -1.0), checkpoints=["<i>"]).html
        assert "<b>" not in html and "&lt;b&gt;" in html and "<i>" not in html


class TestRefusals:
    @pytest.mark.parametrize(
        "changes, words",
        [
            (dict(tokens="1+2=3"), "tokens is one string"),
            (dict(tokens=["1+2=3"]), r"tokens\[0\] is the string '1\+2=3'; give the list of its tokens"),
            (dict(tokens=[[3, 4]]), "tokens are strings. From their numbers"),
            (dict(tokens=[]), "There is no token to show"),
            (dict(tokens=TOKENS[:3]), "There are 3 answers in tokens, and log_probs has 4"),
            (dict(log_probs=scores()[0]), r"log_probs\[None\]"),
            (dict(log_probs=scores()[0, 0]), r"should be \[checkpoints, answers, tokens\]"),
            (dict(log_probs=scores()[:0], checkpoints=()), "no checkpoint"),
            (dict(log_probs=scores()[..., :5]), "longest answer has 7 tokens, and log_probs has room for 5 only"),
            (dict(log_probs=scores().exp()), "take log()"),
            (dict(log_probs="abc"), "log_probs should be a tensor of numbers"),
            (dict(log_probs=[[[-1.0], [-1.0, -2.0]]]), "rows of one length"),
            (dict(checkpoints=["start"]), "There are 1 names of checkpoints, and log_probs has 3"),
            (dict(mask=OWN[:2]), "mask has 2 of them"),
            (dict(mask=OWN[0]), "mask should be bool of shape"),
            (dict(mask=OWN * 7), "values from 0 to 7"),
            (dict(mask=OWN & False), "Give ~mask"),
            (dict(advantage=ADVANTAGE[:3]), "advantage has 3 of them"),
            (dict(advantage=torch.zeros(4, 5)), "advantage has room for 5 only"),
            (dict(advantage=torch.tensor(1.0)), r"advantage should be \[answers\] or \[answers, tokens\]"),
        ],
    )
    def test_what_does_not_fit_is_refused_with_what_mends_it(self, changes, words):
        with pytest.raises((TypeError, ValueError), match=words.replace("log()", r"log\(\)")):
            view(**changes)

    def test_nothing_that_is_given_is_changed(self):
        given = scores().requires_grad_()
        before = given.detach().clone()
        view(log_probs=given)
        assert torch.equal(given, before) and given.grad is None

    @pytest.mark.parametrize(
        "advantage", [ADVANTAGE[:, None], ADVANTAGE[:, None, None].expand(4, 7, 1), ADVANTAGE.numpy()]
    )
    def test_an_advantage_may_be_of_answers_or_of_tokens(self, advantage):
        assert view(advantage=advantage).text == view().text

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
    def test_log_probabilities_of_any_width_are_taken(self, dtype):
        assert "more probable" in view(log_probs=scores().to(dtype)[..., None]).text


def words_of(widget) -> str:
    """All the HTML in a widget."""
    children = getattr(widget, "children", ())
    return (
        getattr(widget, "value", "")
        if isinstance(getattr(widget, "value", None), str)
        else "".join(map(words_of, children))
    )


def find(widget, description: str):
    found = [widget] if getattr(widget, "description", None) == description else []
    return next(iter(found + [w for w in (find(c, description) for c in getattr(widget, "children", ())) if w]), None)


class TestPlayedWith:
    @pytest.fixture
    def widget(self):
        return view().widget

    def test_it_begins_at_the_first_own_token_of_the_first_checkpoint(self, widget):
        assert "Token 5 of 6, &#x27;3&#x27;: probability 0.135 at start (" in words_of(widget)
        assert "prompt 1+2=, start" in words_of(widget) and "▲</sup>" not in words_of(widget)

    def test_training_is_scrubbed_through(self, widget):
        find(widget, "checkpoint").value = 2
        assert "prompt 1+2=, end" in words_of(widget) and "4▼▼</sup>" not in words_of(widget)
        assert "3<sup>▲▲</sup>" in words_of(widget) and "4<sup>▼▼</sup>" in words_of(widget)

    def test_another_prompt_answer_and_token_are_chosen(self, widget):
        find(widget, "prompt").value = 1
        assert "Token 5 of 7, &#x27;1&#x27;" in words_of(widget) and find(widget, "token").max == 7
        find(widget, "answer").value = 2
        assert "Token 5 of 6, &#x27;9&#x27;" in words_of(widget) and find(widget, "token").max == 6
        find(widget, "token").value = 2
        assert "belongs to the prompt" in words_of(widget)
        find(widget, "prompt").value = 0
        assert "Token 5 of 6, &#x27;3&#x27;" in words_of(widget)

    def test_one_prompt_and_one_checkpoint_need_no_control(self):
        single = TokenScrubber([["a", "b"]], [1.0], torch.full((1, 1, 2), -1.0)).widget
        assert (
            find(single, "prompt") is None and find(single, "checkpoint") is None and find(single, "token") is not None
        )

    def test_an_answer_of_nothing_is_shown(self):
        empty = TokenScrubber([["a"], []], [1.0, -1.0], torch.full((1, 2, 1), -1.0)).widget
        find(empty, "answer").value = 2
        assert "No token." in words_of(empty)

    def test_without_a_kernel_one_checkpoint_is_open_at_a_time(self):
        folds = re.findall(r'<details name="(tokens-\w+)"( open)?', view().html)
        assert len(folds) == 3 and len({name for name, _ in folds}) == 1
        assert [bool(is_open) for _, is_open in folds] == [False, False, True]
        assert view().html == view().html and folds[0][0] not in view(advantage=-ADVANTAGE, tokens=TOKENS[::-1]).html


IDS = {letter: number for number, letter in enumerate(["<pad>", "<end>", *"0123456789+= "])}


def decode(ids: list[int]) -> str:
    return "".join(list(IDS)[number] for number in ids)


def ids(letters) -> torch.Tensor:
    return torch.tensor([IDS[letter] for letter in letters])


def one(row: int, scored: torch.Tensor, **more) -> TensorDict:
    """An answer as an unpadded wrapper leaves it."""
    length = len(TOKENS[row])
    masks = Masks(all_attention_mask=torch.ones(length).bool(), all_assistant_mask=OWN[row, :length])
    full, response = ids(TOKENS[row]), ids(TOKENS[row][4:])
    return TensorDict(
        tokens=Tokens(full=full, response=response, prompt=full[:4]),
        masks=masks,
        log_probs=LogProbs(full=scored[row, :length]),
        **more,
    )


def unpadded(scored=None, **more):
    scored = scores()[0] if scored is None else scored
    return lazy_stack([one(row, scored, **{key: value[row] for key, value in more.items()}) for row in range(4)])


class TestTorchRL:
    def test_what_a_wrapper_and_the_advantage_leave_is_read(self):
        named = dict(zip(["start", "middle", "end"], map(unpadded, scores()), strict=True))
        found = TokenScrubber.from_torchrl(unpadded(advantage=ADVANTAGE), decode, named)
        assert found.text == view().text

    @pytest.mark.parametrize("form", ["LogProbs", "list", "own tokens alone", "responses"])
    def test_a_checkpoint_may_say_it_in_many_ways(self, form):
        def say(scored):
            return {
                "LogProbs": lambda: unpadded(scored)["log_probs"],
                "list": lambda: [scored[row, : len(TOKENS[row])] for row in range(4)],
                "own tokens alone": lambda: [scored[row][OWN[row]] for row in range(4)],
                "responses": lambda: lazy_stack([LogProbs(response=scored[row][OWN[row]]) for row in range(4)]),
            }[form]()

        named = dict(zip(["start", "middle", "end"], map(say, scores()), strict=True))
        assert TokenScrubber.from_torchrl(unpadded(advantage=ADVANTAGE), decode, named).text == view().text

    def test_padding_on_both_sides_is_left_out(self):
        prompts, responses = ["1+2=", "15+5="], [["3", "<end>"], ["2", "0", "<end>"]]
        full = torch.stack([ids(["<pad>", *"1+2=", "3", "<end>", "<pad>"]), ids([*"15+5=", "2", "0", "<end>"])])
        there = full != 0
        own = there & (torch.arange(8) >= 5)
        data = TensorDict(
            tokens=Tokens(full=full, prompt=full[:, :5], response=full[:, 5:], batch_size=(2,)),
            masks=Masks(all_attention_mask=there, batch_size=(2,)),
            log_probs=LogProbs(response=-torch.arange(6.0).view(2, 3), batch_size=(2,)),
            advantage=torch.tensor([1.0, -1.0])[:, None, None].expand(2, 8, 1),
            batch_size=(2,),
        )
        found = TokenScrubber.from_torchrl(data, decode).answers
        assert found.tokens == [[*prompts[0], *responses[0]], [*prompts[1], *responses[1]]]
        assert [row.tolist() for row in found.own] == [row[kept].tolist() for row, kept in zip(own, there, strict=True)]
        assert [row[mine].tolist() for row, mine in zip(found.log_probs[0], found.own, strict=True)] == [
            [0.0, -1.0],
            [-3.0, -4.0, -5.0],
        ]
        assert [np.unique(row[mine]).tolist() for row, mine in zip(found.advantage, found.own, strict=True)] == [
            [1],
            [-1],
        ]

    def test_answers_in_a_grid_of_prompts_and_samples_are_read_row_by_row(self):
        flat = [one(row, scores()[0], advantage=ADVANTAGE[row]) for row in range(4)]
        for grid in (
            lazy_stack([lazy_stack(flat[:2]), lazy_stack(flat[2:])]),
            lazy_stack([lazy_stack(flat[::2]), lazy_stack(flat[1::2])], 1),
        ):
            assert grid.batch_size == (2, 2)
            assert TokenScrubber.from_torchrl(grid, decode).answers.tokens == TOKENS

    def test_tokens_alone_are_enough_with_the_rest_given(self):
        tokens = unpadded()["tokens"]
        scored = [scores()[0, row, : len(TOKENS[row])] for row in range(4)]
        found = TokenScrubber.from_torchrl(tokens, decode, {"start": scored}, advantage=ADVANTAGE)
        assert list(found.answers.groups) == ["1+2=", "5+5="]

    @pytest.mark.parametrize(
        "data, log_probs, advantage, words",
        [
            ([1, 2], None, None, "data is a list"),
            (TensorDict(), None, None, r'nothing under \("tokens", "full"\)'),
            (unpadded()["tokens"], None, ADVANTAGE, "Tokens hold no log-probabilities"),
            (unpadded(), None, None, 'nothing under "advantage"'),
            (unpadded(), scores(), ADVANTAGE, "log_probs is a mapping"),
            (unpadded(), {}, ADVANTAGE, "no checkpoint"),
            (unpadded(), {"a": scores()[0, :3]}, ADVANTAGE, "There are 4 answers in the data, and 'a' scores 3"),
            (
                unpadded(),
                {"a": scores()[0, :, :3]},
                ADVANTAGE,
                "Answer 0 has 6 tokens, 2 of them the model's own, and 'a'",
            ),
            (unpadded(), {"a": TensorDict(x=1)}, ADVANTAGE, "'a' has neither"),
            (unpadded(), None, torch.zeros(4, 3), "give one for each answer, or for each token"),
        ],
    )
    def test_what_is_missing_is_named(self, data, log_probs, advantage, words):
        with pytest.raises((TypeError, ValueError), match=words):
            TokenScrubber.from_torchrl(data, decode, log_probs, advantage=advantage)

    def test_what_cannot_decode_is_refused(self):
        with pytest.raises(TypeError, match="give one that has decode, or a function"):
            TokenScrubber.from_torchrl(unpadded(advantage=ADVANTAGE), {"a": 1})
