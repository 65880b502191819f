"""The card of an agent: what is written is read again, and each wrong field is named."""

from __future__ import annotations

import json

import pytest

from course_utils.runs.agent_card import FIELDS, CardError, read_card, write_card

GOOD = {
    "name": "dqn",
    "task": "CartPole-v1",
    "observation": [{"name": "pole angle", "low": -0.42, "high": 0.42}, {"name": "velocity", "high": float("inf")}],
    "actions": ["push left", "push right"],
    "exam": {"mean": 496.2, "episodes": 100, "seeds": (1_000, 1_099)},
    "licence": "MIT",
}
TORQUE = {"name": "torque", "low": -2.0, "high": 2.0}


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "new" / "agent.json"
    card = write_card(path, **GOOD)
    assert read_card(path) == card
    assert card["observation"][0] == {"name": "pole angle", "low": -0.42, "high": 0.42, "loc": 0.0, "scale": 1.0}
    assert card["observation"][1]["low"] is None and card["observation"][1]["high"] is None
    assert card["reads"] == ["observation"] and card["writes"] == ["action"]
    assert card["exam"]["seeds"] == [1_000, 1_099] and card["made_with"].keys() > {"python", "torch"}
    assert [file.name for file in path.parent.iterdir()] == ["agent.json"], "no draft is left"


def test_a_card_is_replaced_and_actions_may_be_numbers(tmp_path):
    path = tmp_path / "agent.json"
    write_card(path, **GOOD)
    write_card(path, **GOOD | {"actions": [TORQUE], "made_with": {"numpy": "2"}})
    assert read_card(path)["actions"] == [TORQUE] and read_card(path)["made_with"] == {"numpy": "2"}


WRONG = {
    "`name` should be a text": {"name": ""},
    "`task` should be a text": {"task": None},
    "`observation` should be a list that is not empty": {"observation": []},
    "`observation` should be a list": {"observation": "pole angle"},
    "`actions` should be a list": {"actions": 2},
    "number 0 of `observation` should be a dictionary": {"observation": ["pole angle"]},
    "low` that is smaller than its `high`": {"observation": [{"name": "angle", "low": 1, "high": 0}]},
    "as `scale` one that is not 0": {"observation": [{"name": "angle", "scale": 0}]},
    "needs a number as `loc`": {"observation": [{"name": "angle", "loc": float("nan")}]},
    "number 1 of `actions` should be a dictionary": {"actions": [TORQUE, "push"]},
    "`reads` should be a list of keys": {"reads": [0]},
    "`exam` should be a dictionary": {"exam": {"mean": 1.0}},
    "first and the last": {"exam": GOOD["exam"] | {"seeds": 3}},
    "`made_with` should be a dictionary|holds more than JSON": {"made_with": {"torch": object()}},
    "`licence` should be a text": {"licence": ""},
}


@pytest.mark.parametrize("said", WRONG)
def test_each_wrong_field_is_named_and_nothing_is_written(tmp_path, said):
    path = tmp_path / "agent.json"
    with pytest.raises(CardError, match=said):
        write_card(path, **GOOD | WRONG[said])
    assert not path.exists()


@pytest.mark.parametrize("field", FIELDS)
def test_a_card_with_a_field_too_few_is_not_read(tmp_path, field):
    path = tmp_path / "agent.json"
    card = write_card(path, **GOOD)
    del card[field]
    path.write_text(json.dumps(card))
    with pytest.raises(CardError, match=f"agent.json is not a whole card: `{field}` is missing"):
        read_card(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', "\x00"])
def test_what_is_no_card_is_said(tmp_path, text):
    path = tmp_path / "agent.json"
    path.write_text(text)
    with pytest.raises(CardError, match="is no card"):
        read_card(path)


def test_a_card_that_is_not_there_or_cannot_be_written_is_said(tmp_path):
    with pytest.raises(CardError, match="There is no card"):
        read_card(tmp_path / "agent.json")
    (tmp_path / "file").touch()
    with pytest.raises(CardError, match="could not be written"):
        write_card(tmp_path / "file" / "agent.json", **GOOD)
    with pytest.raises(CardError, match="could not be read"):
        read_card(tmp_path)
