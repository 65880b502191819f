"""Each library's share of a loop's seconds."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from benchmarks.whose_time import LIBRARIES, OPERATIONS, OTHER, owner_of, whose_time


@pytest.mark.parametrize(
    ("file", "owner"),
    [
        ("/x/site-packages/tensordict/base.py", "tensordict"),
        ("/home/torch/site-packages/torchrl/envs/common.py", "torchrl"),
        ("/x/site-packages/torch/nn/modules/module.py", "torch's Python"),
        ("/usr/lib/python3.11/random.py", OTHER),
        ("<string>", OTHER),
    ],
)
def test_a_file_belongs_to_the_library_nearest_to_it(file, owner):
    assert owner_of(file) == owner


def test_a_loop_that_multiplies_is_torchs_and_one_that_packs_is_tensordicts():
    large, data = torch.randn(400, 400), TensorDict({"a": {"b": torch.zeros(3)}}, [3])
    multiplied = whose_time(lambda: [torch.matmul(large, large) for _ in range(50)])
    packed = whose_time(lambda: [data.clone().set("c", data["a", "b"]) for _ in range(500)])
    assert next(iter(multiplied)) == OPERATIONS and next(iter(packed)) == LIBRARIES["tensordict"]
    for found in (multiplied, packed):
        assert sum(found.values()) == pytest.approx(1)
