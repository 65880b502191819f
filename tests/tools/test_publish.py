"""A copy leads nowhere until somebody publishes it; then everything leads there, and no notebook is run again."""

from __future__ import annotations

import json
import subprocess

import nbformat
import pytest
from conftest import ROOT

from tools import course, notebooks, publish

HASH = "0123456789abcdef0123456789abcdef01234567"
SOMEWHERE = course.Publication("https://github.com/owner/name", HASH)


@pytest.fixture
def published(monkeypatch):
    for module in (course, notebooks):
        monkeypatch.setattr(module, "publication", lambda: SOMEWHERE)


@pytest.mark.skipif(course.PUBLICATION.exists(), reason="this copy is published: published.json is there")
class TestWithoutAnAddress:
    def test_this_copy_has_none(self):
        assert course.publication() is None

    def test_no_link_leads_to_a_place_that_is_not_there(self):
        listing = [
            "git",
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "README.md",
            "docs",
            "notebooks",
            "slides",
        ]
        files = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
        texts = {name: (ROOT / name).read_text() for name in files if name.endswith((".md", ".ipynb"))}
        assert len(texts) > 30
        assert [
            name
            for name, text in texts.items()
            if "colab.research.google.com" in text or "github.com/torchrl-course" in text
        ] == []

    def test_the_readme_begins_with_the_folder_one_has(self):
        first = notebooks.README.read_text().split("```bash\n")[1]
        assert first.startswith("make lab\n")

    def test_a_lesson_has_no_badge_and_finds_the_glossary_beside_it(self):
        cell = notebooks.generate(notebooks.lessons()[1]).cells[0].source
        assert "Colab" not in cell and "](../docs/glossary.md)" in cell


@pytest.mark.usefixtures("published")
class TestWithAnAddress:
    def test_readme_badges_links_and_set_up_cells_lead_there(self):
        readme = notebooks.readme(notebooks.README.read_text())
        assert readme.split("```bash\n")[1].startswith(f"git clone {SOMEWHERE.address}\ncd name\nmake lab\n")
        link = "https://colab.research.google.com/github/owner/name/blob/main/notebooks/07_dqn.ipynb"
        assert f"[Colab]({link})" in readme
        cells = notebooks.generate(ROOT / "lessons" / "07_dqn.py").cells
        assert f"]({link})" in cells[0].source
        assert f"]({SOMEWHERE.address}/blob/{HASH}/docs/glossary.md)" in cells[0].source
        assert f'"git+{SOMEWHERE.address}@{HASH}"' in cells[1].source

    def test_notebooks_keep_their_outputs(self, monkeypatch, tmp_path, capsys):
        lesson = ROOT / "lessons" / "01_environments.py"
        before = nbformat.read(ROOT / "notebooks" / "01_environments.ipynb", as_version=4)
        nbformat.write(before, tmp_path / "01_environments.ipynb")
        monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)
        monkeypatch.setattr(notebooks, "execute", lambda *_: pytest.fail("it was run again"))
        notebooks.build(lesson)
        after = nbformat.read(tmp_path / "01_environments.ipynb", as_version=4)
        outputs = [[cell.get("outputs") for cell in notebook.cells] for notebook in (before, after)]
        assert outputs[0] == outputs[1] and "outputs as they were" in capsys.readouterr().out
        assert HASH in after.cells[1].source and HASH not in before.cells[1].source

    def test_an_address_that_colab_cannot_read_gives_no_badge(self):
        elsewhere = course.Publication("https://git.example.org/group/name", HASH)
        assert elsewhere.colab("07_dqn") is None and elsewhere.requirement == f"git+{elsewhere.address}@{HASH}"


def test_other_code_is_run_again(monkeypatch, tmp_path):
    lesson = ROOT / "lessons" / "01_environments.py"
    before = nbformat.read(ROOT / "notebooks" / "01_environments.ipynb", as_version=4)
    next(cell for cell in before.cells if cell.cell_type == "code" and cell.id != "setup").source += "\n1 + 1"
    assert not notebooks.keep_outputs(notebooks.generate(lesson), before)


class TestReleasedCommit:
    @pytest.fixture
    def clone(self, monkeypatch, tmp_path):
        (tmp_path / "file").write_text("text")
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "first"]):
            subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
        monkeypatch.setattr(publish, "ROOT", tmp_path)
        return tmp_path

    @pytest.mark.parametrize(
        "given",
        ["https://github.com/owner/name", " https://github.com/owner/name.git", "https://github.com/owner/name/"],
    )
    def test_it_is_the_full_hash_of_what_is_checked_out(self, clone, given):
        revision = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=clone, capture_output=True, text=True
        ).stdout.strip()
        assert publish.released(given) == course.Publication("https://github.com/owner/name", revision)
        assert len(revision) == 40

    @pytest.mark.parametrize(
        "given", ["", "owner/name", "https://github.com/name", "http://github.com/a/b", "https://x/a/b;rm"]
    )
    def test_what_is_no_address_is_refused(self, clone, given):
        with pytest.raises(publish.CannotPublish, match="no address of a repository. make publish ADDRESS=https"):
            publish.released(given)

    def test_changes_that_the_commit_does_not_hold_are_named(self, clone):
        (clone / "file").write_text("more")
        with pytest.raises(publish.CannotPublish, match="Commit these first, or take them back:\nM file"):
            publish.released("https://github.com/owner/name")

    def test_a_folder_that_is_no_clone_is_told(self, monkeypatch, tmp_path):
        monkeypatch.setattr(publish, "ROOT", tmp_path)
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
        with pytest.raises(publish.CannotPublish, match="no git repository"):
            publish.released("https://github.com/owner/name")

    def test_it_is_noted_where_the_tools_look(self, clone, monkeypatch, tmp_path):
        note = tmp_path.parent / "published.json"
        monkeypatch.setattr(publish, "PUBLICATION", note)
        monkeypatch.setattr(course, "PUBLICATION", note)
        monkeypatch.setattr(publish.notebooks, "build_all", lambda: None)
        monkeypatch.setattr("sys.argv", ["publish", "https://github.com/owner/name"])
        publish.main()
        assert course.publication() == publish.released("https://github.com/owner/name")
        assert set(json.loads(note.read_text())) == {"address", "revision"}
