"""`show`: what is said of a TensorDict, and of what an operation did to it."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from tensordict import (
    LazyStackedTensorDict,
    MemoryMappedTensor,
    NonTensorData,
    NonTensorStack,
    TensorDict,
    TensorDictParams,
    UnbatchedTensor,
    lazy_stack,
    tensorclass,
)
from torchrl.envs import GymEnv, step_mdp

from course_utils.views.tree import show
from course_utils.views.tree_changes import compare
from course_utils.views.tree_facts import human, open_level, read_level, sample, summarise

NAN, INF = float("nan"), float("inf")


@tensorclass
class Camera:
    image: torch.Tensor
    name: str
    lens: str | None = None


def camera(batch: int = 6) -> Camera:
    return Camera(image=torch.zeros(batch, 2, 2, 3, dtype=torch.uint8), name="left", batch_size=[batch])


def entries(td, rows: int = 100) -> dict:
    return {entry.key: entry for entry in read_level(td, rows).entries}


def entry(value, batch_size=()):
    return entries(TensorDict({"x": value}, batch_size))["x"]


def said(value) -> str:
    """The words on the values of one tensor."""
    return entry(torch.as_tensor(value)).words


class Page(HTMLParser):
    """What a reader of the HTML meets: tags with attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, name: str) -> list[dict]:
        return [attributes for tag, attributes in self.tags if tag == name]


class TestValues:
    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ([1.0, 2.0, 4.5], "min 1, mean 2.5, max 4.5"),
            ([-0.0, -0.0], "all 0"),
            ([1.0], "1"),
            ([], "no values"),
            ([NAN, NAN], "none is finite"),
            ([2.0, NAN, 2.0], "the others all 2"),
            ([-INF, 1.0, 3.0], "min 1, mean 2, max 3"),
            ([True, False, True], "2 of 3 True"),
            ([False, False], "all False"),
            (True, "True"),
            ([3, 0, 3, 1], "only 0, 1 and 3"),
            ([7, 7], "all 7"),
            (range(1, 2000), "1 to 1,999"),
        ],
    )
    def test_in_words(self, value, words):
        assert said(list(value) if isinstance(value, range) else value) == words

    def test_nan_and_inf_are_counted_and_left_out_of_the_range(self):
        values = summarise(np.array([NAN, INF, -INF, 1.0, 2.0]), 5)
        assert (values.nan, values.inf, values.low, values.mean, values.high) == (1, 2, 1.0, 1.5, 2.0)
        assert values.alarms == ["1 of 5 NaN", "2 of 5 inf"]
        view = show(TensorDict({"x": torch.tensor([NAN, 1.0])}))
        assert "! 1 of 2 NaN" in view.text and "<b>! 1 of 2 NaN</b>" in view.html

    @pytest.mark.parametrize("stacked", [False, True])
    def test_one_nan_of_a_million_values_is_found(self, stacked):
        values = torch.zeros(1_000, 1_000)
        values[123, 457] = NAN
        parts = [TensorDict({"x": row}) for row in values]
        td = lazy_stack(parts) if stacked else TensorDict({"x": values})
        assert np.isfinite(sample(open_level(td)["x"])[0]).all()  # the sample misses it
        assert entries(td)["x"].alarms == ["1 of 1,000,000 NaN"]
        clean = TensorDict({"x": torch.zeros(1_000, 1_000)})
        assert "all finite → 1 of 1,000,000 NaN" in show(clean, td).text

    def test_where_not_all_were_searched_it_says_so(self, monkeypatch):
        monkeypatch.setattr("course_utils.views.tree_facts.SEARCHED", 50_000)
        assert said(torch.zeros(100_000)).endswith("sampled, for NaN too)")
        assert said(torch.zeros(100_000, dtype=torch.int64)).endswith("sampled)")

    def test_the_sparkline_is_the_histogram(self):
        values = summarise(np.repeat(np.arange(12.0), [8, 0] + [1] * 6 + [4] * 4), 30)
        assert values.histogram == [8, 0, 1, 1, 1, 1, 1, 1, 4, 4, 4, 4]
        assert values.sparkline == "▇▁▂▂▂▂▂▂▃▃▃▃"
        assert values.sparkline_words == "histogram from 0 to 11, highest near 0.4583"

    @pytest.mark.parametrize("value", [torch.arange(100), torch.arange(8) / 8, torch.zeros(99), torch.zeros(0)])
    def test_no_histogram_where_it_says_nothing(self, value):
        assert entry(value).sparkline == ""

    @pytest.mark.parametrize("scale", [1e308, 5e-324])
    def test_the_largest_and_smallest_numbers(self, scale):
        values = entry(torch.linspace(-1, 1, 100, dtype=torch.float64).mul(scale)).values
        assert values.low == -values.high == -scale
        assert values.mean == pytest.approx(0, abs=scale / 1e6)

    @pytest.mark.parametrize(
        "dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.float16, torch.uint16, torch.uint64, torch.int8]
    )
    @pytest.mark.parametrize("size", [6, 30_000])
    def test_every_dtype_alone_and_stacked(self, dtype, size):
        td = TensorDict({"x": torch.ones(size).to(dtype)})
        assert (entries(td)["x"].values.low, entries(td)["x"].dtype) == (1, str(dtype)[6:])
        assert entries(lazy_stack([td, td]))["x"].values.high == 1

    @pytest.mark.parametrize("value", [torch.zeros(3, dtype=torch.complex64), torch.eye(3).to_sparse()])
    def test_values_it_cannot_describe_are_left_out(self, value):
        assert entry(value).words == "values not shown"


class TestSample:
    def test_few_values_are_all_read(self):
        array, total = sample(torch.arange(10_000.0))
        assert total == 10_000 and np.array_equal(array, np.arange(10_000.0))

    @pytest.mark.parametrize("columns", [10, 16, 100])
    def test_every_column_of_a_big_tensor_is_visited(self, columns):
        array, total = sample(torch.arange(columns).expand(10**5, columns))
        assert total == columns * 10**5 and 5_000 < len(array) < 20_000
        counts = np.bincount(array)
        assert len(counts) == columns and counts.max() - counts.min() <= 1

    def test_the_words_say_so(self):
        assert said(torch.zeros(1_000_000)) == "all 0 (of 9,901 sampled)"

    @pytest.mark.parametrize("dim", [0, 1, 2])
    @pytest.mark.parametrize("size", [3, 300])
    def test_a_lazy_stack_gives_what_the_tensor_gives(self, dim, size):
        parts = [TensorDict({"x": torch.randn(size, size)}, [size, size]) for _ in range(4)]
        lazy, dense = lazy_stack(parts, dim), torch.stack(parts, dim).contiguous()
        assert entries(lazy)["x"].shape == entries(dense)["x"].shape
        (lazy_values, lazy_total), (values, total) = (sample(open_level(td)["x"]) for td in (lazy, dense))
        assert np.array_equal(lazy_values, values) and lazy_total == total
        assert (len(values) < total) is (size == 300)

    def test_unequal_shapes_are_sampled_part_by_part(self):
        lazy = lazy_stack([TensorDict({"x": torch.full((n,), float(n))}) for n in (10, 40_000, 90_000)])
        values = entries(lazy)["x"].values
        assert values.total == 130_010 and values.seen < 20_000
        assert (values.low, values.high) == (10, 90_000)

    def test_views_that_are_not_contiguous(self):
        base = torch.arange(60_000).reshape(200, 300)
        assert entry(base.T).values.high < 60_000
        assert sorted(sample(base.T[:5])[0]) == sorted(base[:, :5].flatten().tolist())


class TestTree:
    def test_the_head(self):
        td = TensorDict({"a": torch.zeros(6, 4), "n": {"b": torch.zeros(6), "c": {"d": torch.ones(6)}}}, [6])
        level = read_level(td, 100)
        assert (level.kind, level.batch_size, level.count, level.bytes) == ("TensorDict", (6,), 3, 144)
        assert level.facts == ["batch size [6]", "no device set, all on cpu", "3 entries", "144 B"]
        (n,) = level.levels
        assert (n.key, n.count, n.bytes, n.facts) == ("n", 2, 48, ["batch size [6]", "2 entries", "48 B"])
        assert [inner.key for inner in n.levels] == ["c"]

    @pytest.mark.parametrize(
        ("shape", "batch_size", "words"),
        [((6, 4), (6,), "[6 | 4]"), ((6,), (6,), "[6 |]"), ((6, 4), (), "[6, 4]"), ((2, 3, 1), (2, 3), "[2, 3 | 1]")],
    )
    def test_the_batch_part_of_a_shape_is_marked(self, shape, batch_size, words):
        td = TensorDict({"x": torch.zeros(shape)}, batch_size)
        assert entries(td)["x"].shape_words == words
        view = show(td)
        assert words in view.text and words in Page(view.html).text
        assert ("[batch size | " in view.text) is bool(batch_size)

    def test_the_device_of_an_entry_only_where_it_differs(self):
        same = TensorDict({"a": torch.zeros(2)}, device="cpu")
        assert entries(same)["a"].dtype_words == "float32"
        differ = TensorDict({"a": torch.zeros(2), "n": {"b": torch.zeros(2, device="meta")}})
        level = read_level(differ, 100)
        assert level.device == "no device set, on cpu, meta"
        assert level.entries[0].dtype_words == "float32 on cpu"
        assert level.levels[0].entries[0].dtype_words == "float32 on meta"

    def test_meta_has_shapes_and_no_values(self):
        td = TensorDict({"a": torch.zeros(6, 4)}, [6], device="meta")
        assert read_level(td, 9).device == "device meta"
        assert (entries(td)["a"].bytes, entries(td)["a"].words) == (96, "no values on meta")

    def test_nothing_in_it(self):
        assert show(TensorDict({}, [3])).text.startswith(
            "TensorDict · batch size [3] · no device set · 0 entries · 0 B"
        )
        assert read_level(LazyStackedTensorDict(stack_dim=0), 9).count == 0

    def test_locked_is_said_once(self):
        level = read_level(TensorDict({"n": {"a": torch.zeros(2)}}).lock_(), 9)
        assert level.marks == ["locked"] and level.levels[0].marks == []

    def test_memory_mapped(self, tmp_path):
        td = TensorDict({"a": torch.arange(6.0), "n": {"b": torch.zeros(6)}, "s": "hi"}, [6]).memmap(tmp_path)
        assert read_level(td, 9).marks == ["locked", "memory-mapped"]
        assert entries(td)["a"].words == "min 0, mean 2.5, max 5"
        loose = TensorDict({"a": MemoryMappedTensor.from_tensor(torch.zeros(6)), "b": torch.zeros(6)})
        assert [e.words for e in entries(loose).values()] == ["all 0, memory-mapped", "all 0"]

    def test_parameters(self):
        td = TensorDictParams(TensorDict({"w": torch.ones(3, 3), "m": {"b": torch.zeros(3)}}))
        level = read_level(td, 9)
        assert (level.kind, level.count, level.entries[0].words) == ("TensorDictParams", 2, "all 1")

    def test_tensorclasses_also_inside(self):
        level = read_level(TensorDict({"cam": camera(), "lazy": lazy_stack([camera(2) for _ in range(6)])}, [6]), 9)
        cam, lazy = level.levels
        assert (cam.kind, lazy.kind, lazy.batch_size) == ("Camera", "Camera", (6, 2))
        assert lazy.marks == ["lazy stack of 6 along dimension 0"]
        assert [(e.key, e.dtype, e.words) for e in cam.entries] == [
            ("image", "uint8", "all 0"),
            ("name", "str", "'left'"),
            ("lens", "", ""),
        ]
        assert read_level(camera(), 9).kind == "Camera"

    def test_non_tensors(self):
        td = TensorDict({"s": "hi", "d": NonTensorData({"a": [1]}), "many": NonTensorStack("x", 2)})
        found = {key: (e.shape_words, e.dtype, e.words, e.bytes) for key, e in entries(td).items()}
        assert found == {
            "s": ("non-tensor", "str", "'hi'", 0),
            "d": ("non-tensor", "dict", "{'a': [1]}", 0),
            "many": ("non-tensor", "stack of str, int", "['x', 2]", 0),
        }

    def test_a_repr_is_short_and_the_same_in_every_run(self):
        td = TensorDict({"long": "x" * 10_000, "lines": NonTensorData("a\nb"), "thing": NonTensorData(object())})
        words = {key: e.words for key, e in entries(td).items()}
        assert len(words["long"]) <= 60
        assert "\n" not in words["lines"]
        assert words["thing"] == "<object object>"

    def test_a_tensor_without_batch_size(self):
        td = TensorDict({"u": UnbatchedTensor(torch.zeros(7))}, [2])
        assert (entries(td)["u"].shape_words, entries(td)["u"].notes) == (
            "[7]",
            ["has no batch size (UnbatchedTensor)"],
        )

    def test_a_nested_tensor(self):
        ragged = torch.nested.nested_tensor([torch.zeros(2, 3), torch.ones(5, 3)], layout=torch.jagged)
        found = entry(ragged, [2])
        assert (found.shape, found.bytes, found.values.mean) == ((2, None, 3), 84, pytest.approx(5 / 7))


class TestLazyStacks:
    def parts(self):
        return [
            TensorDict({"a": torch.zeros(3, 4), "x": torch.ones(1), "n": {"b": torch.zeros(2)}, "s": "one"}),
            TensorDict({"a": torch.ones(5, 4), "n": {"b": torch.ones(2), "c": torch.ones(7)}, "s": "two"}),
        ]

    def test_what_varies_and_what_only_some_have(self):
        level = read_level(lazy_stack(self.parts()), 100)
        found = {e.key: e for e in [*level.entries, *level.levels[0].entries]}
        assert (found["a"].shape, found["a"].shape_words) == ((2, None, 4), "[2 | varies, 4]")
        assert found["a"].values.mean == 20 / 32
        assert (found["x"].notes, found["c"].notes, found["b"].notes) == (["in 1 of 2"], ["in 1 of 2"], [])
        assert (found["s"].dtype, found["s"].words) == ("stack of str", "['one', 'two']")
        assert (level.kind, level.levels[0].kind) == ("LazyStackedTensorDict", "LazyStackedTensorDict")
        assert (level.marks, level.levels[0].marks) == (["lazy stack of 2 along dimension 0"], [])

    def test_unequal_batch_sizes(self):
        lazy = lazy_stack([TensorDict({"a": torch.zeros(n, 3)}, [n]) for n in (2, 4)])
        assert read_level(lazy, 9).batch_size == (2, None)
        assert entries(lazy)["a"].shape_words == "[2, varies | 3]"

    def test_unequal_numbers_of_dimensions(self):
        lazy = lazy_stack([TensorDict({"a": torch.zeros(2)}), TensorDict({"a": torch.zeros(2, 1)})])
        assert entries(lazy)["a"].shape_words == "[2, ranks vary]"

    def test_several_sorts_under_one_key(self):
        lazy = lazy_stack([TensorDict({"a": torch.zeros(2)}), TensorDict({"a": {"b": torch.zeros(2)}})])
        assert (entries(lazy)["a"].dtype, entries(lazy)["a"].bytes) == ("mixed", 16)

    def test_stacks_of_stacks(self):
        lazy = lazy_stack([lazy_stack(self.parts()), lazy_stack(self.parts())], 1)
        assert entries(lazy)["a"].shape == (2, 2, None, 4)
        assert entries(lazy)["x"].notes == ["in 1 of 2"]

    def test_nothing_is_stacked(self, monkeypatch):
        lazy = lazy_stack([TensorDict({"a": torch.randn(300, 300)}) for _ in range(4)]).lock_()
        monkeypatch.setattr(torch, "stack", lambda *_: pytest.fail("stacked"))
        monkeypatch.setattr(LazyStackedTensorDict, "_get_str", lambda *_, **__: pytest.fail("stacked"))
        assert entries(lazy)["a"].values.total == 360_000


class TestRows:
    def test_a_hundred_are_shown_all_are_counted(self):
        td = TensorDict({f"k{i}": torch.zeros(2) for i in range(1000)})
        level = read_level(td, 100)
        assert (len(level.entries), level.hidden, level.count, level.bytes) == (100, 900, 1000, 8000)
        view = show(td)
        assert view.text.endswith("900 more entries: show(td, rows=1000)")
        assert "900 more entries: show(td, rows=1000)" in view.html
        assert "more entries" not in show(td, rows=1000).text

    def test_levels_count_as_entries(self):
        td = TensorDict({f"n{i}": {"a": torch.zeros(2)} for i in range(5)})
        level = read_level(td, 2)
        assert ([inner.key for inner in level.levels], level.hidden, level.count) == (["n0", "n1"], 3, 5)

    def test_changes_too(self):
        td = TensorDict({f"k{i}": torch.zeros(2) for i in range(10)})
        view = show(td, td + 1, rows=4)
        assert view.text.count("~ changed") == 4
        assert "6 more: show(before, after, rows=10)" in view.text and "6 more" in view.html

    @pytest.mark.parametrize("rows", [0, -1, "all"])
    def test_no_number_of_rows(self, rows):
        with pytest.raises(ValueError, match="1 or more"):
            show(TensorDict(), rows=rows)


class TestHtml:
    ALLOWED = {"details", "summary", "div", "table", "thead", "tbody", "tr", "th", "td", "b", "span"}

    def page(self, *tds) -> Page:
        return Page(show(*tds).html)

    def test_keys_and_values_are_escaped(self):
        td = TensorDict({'<img src=x> & "q"': torch.zeros(2), "n<b>": {"s": "<script>"}})
        for view in (show(td), show(TensorDict(), td)):
            page = Page(view.html)
            assert not page.all("img") and not page.all("script")
            assert "<img src=x>" in page.text and "n<b>" in page.text and "<script>" in page.text

    def test_one_fold_per_level_deep_and_big_ones_closed(self):
        deep = TensorDict({"a": {"b": {"c": {"d": torch.zeros(1)}}}})
        assert ["open" in fold for fold in self.page(deep).all("details")] == [True, True, True, False]
        big = TensorDict({"n": {f"k{i}": torch.zeros(1) for i in range(50)}})
        assert ["open" in fold for fold in self.page(big).all("details")] == [True, False]

    def test_tables_name_their_rows_and_columns(self):
        page = self.page(TensorDict({"a": torch.randn(30), "n": {"b": torch.zeros(1)}}))
        assert [table["aria-label"] for table in page.all("table")] == ["Entries of TensorDict", "Entries of n"]
        assert [head["scope"] for head in page.all("th")] == [*["col"] * 6, "row", *["col"] * 5, "row"]
        (line,) = [span for span in page.all("span") if span.get("role") == "img"]
        assert line["aria-label"].startswith("histogram from ")

    def test_no_colours_and_nothing_a_sanitiser_strips(self):
        td = TensorDict({"a": torch.randn(30), "n": {"b": torch.zeros(1)}})
        for page in (self.page(td), self.page(td, td + 1)):
            assert {tag for tag, _ in page.tags} <= self.ALLOWED
            styles = ";".join(attributes.get("style", "") for _, attributes in page.tags)
            assert "color:" not in styles and "background" not in styles

    def test_the_text_says_what_the_html_says(self):
        td = TensorDict({"a": torch.randn(30), "s": "hi", "n": {"b": torch.tensor([NAN, 1.0])}}, device="cpu")
        view, level = show(td), read_level(td, 100)
        for each in (level, *level.levels):
            rows = [[e.key, e.shape_words, e.dtype_words, e.words, *e.alarms, e.sparkline] for e in each.entries]
            for words in (each.key, each.kind, *each.facts, *sum(rows, [])):
                assert words in view.text and words in Page(view.html).text


def kinds(before, after) -> dict:
    """{path: (kind, words, source)} of what changed."""
    return {change.path: (change.kind, change.words, change.source) for change in compare(before, after).changes}


RAMP = torch.arange(24.0).reshape(6, 4)


class TestCompare:
    def one(self, before, after):
        return kinds(TensorDict({"x": before}), TensorDict({"x": after}))[("x",)][:2]

    def test_added_and_removed(self):
        found = kinds(TensorDict({"a": torch.zeros(2)}), TensorDict({"n": {"b": torch.ones(3)}}))
        assert found == {
            ("n", "b"): ("added", "[3] float32, all 1", None),
            ("a",): ("removed", "[2] float32, all 0", None),
        }

    def test_shape_dtype_and_device(self):
        assert self.one(RAMP, RAMP[:3].clone()) == ("changed", "[6, 4] → [3, 4]")
        assert self.one(RAMP, RAMP.double()) == ("changed", "float32 → float64")
        assert self.one(RAMP, RAMP.to("meta")) == ("changed", "cpu → meta, values cannot be compared")

    def test_values(self):
        after = RAMP.clone()
        after[0] += torch.tensor([0.1, 0.0, -0.3, 0.2])
        assert self.one(RAMP, after) == ("changed", "3 of 24 values differ, by at most 0.3")
        assert self.one(RAMP, RAMP.double() + 1)[1] == "float32 → float64, 24 of 24 values differ, by at most 1"
        assert self.one(torch.tensor([True, False]), torch.tensor([True, True]))[1] == "1 of 2 values differ"
        grey, darker = torch.tensor([[0, 200], [10, 190]], dtype=torch.uint8)
        assert self.one(grey, darker)[1] == "2 of 2 values differ, by at most 10"

    def test_nan_equals_nan(self):
        assert self.one(torch.tensor([NAN, 1.0]), torch.tensor([NAN, 1.0])) == ("unchanged", "")
        assert self.one(torch.tensor([2.0, 1.0]), torch.tensor([NAN, 1.0]))[1] == "1 of 2 values differ, 1 became NaN"
        assert self.one(torch.tensor([INF, 1.0]), torch.tensor([INF, 2.0]))[1] == "1 of 2 values differ, by at most 1"

    def test_big_tensors_on_a_sample(self):
        big = torch.randn(1_000_000)
        assert self.one(big, big.clone()) == ("unchanged", "(as far as 9,901 sampled values tell)")
        assert self.one(big, big + 1) == ("changed", "9,901 of 9,901 sampled values differ, by at most 1")

    def test_non_tensors(self):
        assert self.one("go left", "go left") == ("unchanged", "")
        assert self.one("go left", "go right") == ("changed", "'go left' → 'go right'")
        long = "x" * 500
        assert self.one(long + "a" + long, long + "b" + long)[0] == "changed"
        assert self.one(NonTensorData(np.zeros(3)), NonTensorData(np.zeros(3)))[0] == "unchanged"
        assert self.one("1", torch.ones(1)) == ("changed", "non-tensor → tensor")

    def test_meta_tensors_are_not_compared(self):
        a, b = (TensorDict({"x": torch.zeros(3, device="meta")}) for _ in range(2))
        assert kinds(a, b)[("x",)][0] == "not compared"
        assert kinds(a, a.copy())[("x",)][0] == "unchanged"

    def test_empty_levels(self):
        before = TensorDict({"gone": {}, "filled": {}, "same": {}})
        after = TensorDict({"filled": {"a": torch.ones(1)}, "same": {}})
        found = {path: kind for path, (kind, _, _) in kinds(before, after).items()}
        assert found == {("filled", "a"): "added", ("same",): "unchanged", ("gone",): "removed"}

    def test_a_tensor_that_became_a_level(self):
        found = kinds(TensorDict({"a": torch.zeros(2)}), TensorDict({"a": {"b": torch.ones(2)}}))
        assert {path: kind for path, (kind, _, _) in found.items()} == {("a", "b"): "added", ("a",): "removed"}

    def test_a_lazy_stack_and_its_dense_twin(self):
        lazy = lazy_stack([TensorDict({"x": torch.randn(100, 300)}, [100]) for _ in range(4)], 1)
        difference = compare(lazy, lazy.contiguous())
        assert [change.kind for change in difference.changes] == ["unchanged"]
        assert difference.levels[0] == "LazyStackedTensorDict → TensorDict"

    def test_unequal_shapes_in_a_stack(self):
        def stack(*lengths):
            return lazy_stack([TensorDict({"x": torch.ones(n)}) for n in lengths])

        assert kinds(stack(2, 3), stack(2, 3))[("x",)][0] == "unchanged"
        assert kinds(stack(2, 3), stack(3, 2))[("x",)][:2] == ("changed", "the shapes in the stack")

    def test_the_tensordict_itself(self):
        before = TensorDict({"a": RAMP, "n": {"b": RAMP}}, [6])
        after = before.clone().to("cpu")
        after["n"].batch_size = [6, 4]
        assert compare(before, after.lock_()).levels == [
            "device not set → cpu",
            "state: not locked → locked",
            '"n": batch size [6] → [6, 4]',
        ]
        assert compare(before, before.clone()).levels == []

    def test_the_same_memory_hides_what_was_done_in_place(self):
        td = TensorDict({"a": torch.zeros(3)})
        alias, copy = td.copy(), td.clone()
        td["a"] += 1
        assert "in place" in compare(alias, td).caution and "in place" in show(alias, td).html
        assert compare(copy, td).caution == "" and kinds(copy, td)[("a",)][0] == "changed"


class TestMoved:
    def test_step_mdp(self):
        env = GymEnv("CartPole-v1")
        env.set_seed(0)
        td = env.step(env.rand_action(env.reset()))
        found = kinds(td, step_mdp(td))
        for key in ("observation", "done", "terminated", "truncated"):
            kind, words, source = found[(key,)]
            assert (kind, source) == ("moved", ("next", key)) and words.startswith("the same memory")
        assert found[("action",)][0] == found[("next", "reward")][0] == "removed"
        assert len(found) == 6

    def test_step_mdp_on_copies_claims_only_what_values_prove(self):
        env = GymEnv("CartPole-v1")
        env.set_seed(0)
        td = env.step(env.rand_action(env.reset()))
        found = kinds(td, step_mdp(td).clone())
        assert found[("observation",)] == (
            "moved",
            "the same values; what stood here before is gone",
            ("next", "observation"),
        )
        assert found[("done",)][0] == "unchanged" and found[("next", "done")][0] == "removed"

    def test_a_step_moves_nothing(self):
        env = GymEnv("CartPole-v1")
        before = env.rand_action(env.reset())
        found = kinds(before, env.step(before.clone()))
        assert {kind for kind, _, _ in found.values()} == {"added", "unchanged"}
        assert {path for path, (kind, _, _) in found.items() if kind == "added"} == {
            ("next", key) for key in ("observation", "reward", "done", "terminated", "truncated")
        }

    def test_by_values_under_another_name(self):
        found = kinds(TensorDict({"a": RAMP}), TensorDict({"b": RAMP.clone()}))
        assert found == {("b",): ("moved", "the same values", ("a",))}

    def test_nan_and_minus_zero_are_no_other_values(self):
        found = kinds(
            TensorDict({"a": torch.tensor([0.0, NAN, 1.0])}), TensorDict({"b": torch.tensor([-0.0, -NAN, 1.0])})
        )
        assert found[("b",)][0] == "moved"

    def test_values_that_several_had_prove_nothing(self):
        before = TensorDict({"a": RAMP.clone(), "b": RAMP.clone()})
        assert {kind for kind, _, _ in kinds(before, TensorDict({"c": RAMP.clone()})).values()} == {"added", "removed"}

    @pytest.mark.parametrize("flags", [torch.zeros(6, 1, dtype=torch.bool), torch.ones(6), torch.ones(1)])
    def test_a_single_value_proves_nothing(self, flags):
        found = kinds(TensorDict({"a": flags}), TensorDict({"b": flags.clone()}))
        assert {kind for kind, _, _ in found.values()} == {"added", "removed"}

    def test_the_last_name_decides_where_values_do_not(self):
        flags = torch.zeros(6, 1, dtype=torch.bool)
        before = TensorDict({"next": {"done": flags.clone(), "terminated": flags.clone()}})
        found = kinds(before, TensorDict({"done": flags.clone()}))
        assert found[("done",)] == ("moved", "the same values", ("next", "done"))
        assert found[("next", "terminated")][0] == "removed"
        twice = TensorDict({"m": {"done": flags.clone()}, "n": {"done": flags.clone()}})
        assert kinds(twice, TensorDict({"done": flags.clone()}))[("done",)][0] == "added"

    def test_other_dtype_or_shape_is_not_moved(self):
        before = TensorDict({"a": RAMP})
        for other in (RAMP.double(), RAMP.reshape(4, 6)):
            assert kinds(before, TensorDict({"b": other.clone()}))[("b",)][0] == "added"

    def test_what_is_still_there_was_not_moved(self):
        before = TensorDict({"a": RAMP})
        after = before.copy().set("b", before["a"]).set("c", RAMP.clone())
        found = kinds(before, after)
        assert found[("b",)] == ("added", 'the same memory as "a"', None)
        assert found[("a",)][0] == "unchanged" and found[("c",)][0] == "added"
        found = kinds(before.copy().set("x", RAMP.clone()), after)
        assert found[("b",)] == ("added", 'the same memory as "a"', None) and found[("c",)][2] == ("x",)

    def test_two_that_swapped(self):
        before = TensorDict({"a": RAMP, "b": RAMP + 1})
        found = kinds(before, TensorDict({"a": before["b"], "b": before["a"]}))
        assert {path: source for path, (_, _, source) in found.items()} == {("a",): ("b",), ("b",): ("a",)}

    def test_non_tensors_by_their_last_name(self):
        before = TensorDict({"next": {"instruction": "stop"}, "mode": "stop"})
        assert kinds(before, TensorDict({"instruction": "stop"}))[("instruction",)][2] == ("next", "instruction")
        assert kinds(before, TensorDict({"order": "stop"}))[("order",)][0] == "added"

    def test_signs_and_words_in_both_forms(self):
        before = TensorDict({"a": RAMP, "b": RAMP + 0.5, "c": torch.zeros(2), "d": torch.ones(2)})
        after = TensorDict({"z": before["a"], "b": RAMP + 1, "n": torch.ones(3), "d": torch.ones(2)})
        view = show(before, after)
        for words in ("+ added", "− removed", "~ changed", "→ moved", '"a" → "z"', "by at most 0.5"):
            assert words in view.text and words in Page(view.html).text
        assert '= "d"' in view.text and "= 1 unchanged" in Page(view.html).text


class TestWhatItRefuses:
    @pytest.mark.parametrize(
        ("thing", "fix"),
        [
            ({"a": torch.zeros(2)}, r"TensorDict\(d, batch_size=\[\.\.\.\]\)"),
            (torch.zeros(2), r'TensorDict\(\{"x": tensor\}'),
            (torch.nn.Linear(2, 2), r"TensorDict\.from_module\(module\)"),
            (1000, "rows=1000"),
            (None, r"env\.reset\(\)"),
            (NonTensorData("a"), "NonTensorData"),
        ],
    )
    def test_what_is_no_tensordict(self, thing, fix):
        with pytest.raises(TypeError, match=fix):
            show(thing)
        with pytest.raises(TypeError, match=fix):
            show(TensorDict(), thing)

    def test_the_same_object_twice(self):
        env = GymEnv("CartPole-v1")
        td = env.rand_action(env.reset())
        with pytest.raises(ValueError, match=r"td\.clone\(\)"):
            show(td, env.step(td))


class TestItChangesNothing:
    def tds(self, tmp_path):
        dense = TensorDict({"a": torch.randn(6, 4), "n": {"b": torch.randn(6)}, "s": "hi", "c": camera()}, [6])
        lazy = lazy_stack([TensorDict({"a": torch.randn(n, 300)}) for n in (100, 200)])
        return [dense, dense.clone().lock_(), lazy, lazy.clone().lock_(), dense.clone().memmap(tmp_path)]

    def test_neither_the_tensordict_nor_the_random_state(self, tmp_path):
        for td in self.tds(tmp_path):
            other, state = td.clone(), torch.get_rng_state()
            leaves = dict(td.items()) if not isinstance(td, LazyStackedTensorDict) else {}
            caches, locked = dict(td._cache or {}), td.is_locked
            show(td)
            show(td, other)
            assert torch.equal(torch.get_rng_state(), state)
            assert (dict(td._cache or {}), td.is_locked) == (caches, locked)
            assert all(value is leaves[key] for key, value in td.items()) if leaves else True
            assert {change.kind for change in compare(other, td).changes} == {"unchanged"}

    def test_under_inference_mode_and_with_gradients(self):
        weights = torch.randn(40_000, requires_grad=True)
        td = TensorDict({"w": weights, "product": weights * 2})
        shown = show(td).text
        with torch.inference_mode():
            assert show(td).text == shown
            assert "1 changed" in show(td, td.copy().set("w", td["w"] + 1)).text
        assert td["w"] is weights and weights.grad is None

    def test_under_another_default_device(self):
        with torch.device("meta"):
            assert entry(torch.zeros(1_000_000, device="cpu")).words == "all 0 (of 9,901 sampled)"


class TestLarge:
    def test_of_a_thousand_keys_as_many_as_asked_for_are_read(self):
        td = TensorDict({f"k{i}": torch.randn(6, 4) for i in range(1000)}, [6])
        assert len(entries(td, rows=100)) == 100 and entries(td, rows=1000).keys() == set(td.keys())

    def test_a_hundred_million_values_on_disk(self, tmp_path):
        stored = MemoryMappedTensor.empty((10**6, 100), dtype=torch.float32, filename=str(tmp_path / "x.memmap"))
        stored[0] = 1.0
        assert entries(TensorDict({"x": stored}, [10**6]))["x"].notes == ["memory-mapped"]


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (98_304, "98.3 kB"), (999_600, "1 MB"), (4 * 10**12, "4 TB")],
)
def test_bytes_for_people(count, words):
    assert human(count) == words
