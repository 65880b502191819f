"""Checkpoints: whole, damaged, foreign, or not written; what was written before is still there."""

from __future__ import annotations

import os
import pickle
import sys
import zipfile

import pytest
import torch
from broken_machine import RunsCode, disk_full_after, folder_of_somebody_else, random_faults, rights_of_nobody

from course_utils.runs.checkpoint import CheckpointError, load_checkpoint, save_checkpoint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes disks full and folders unwritable as POSIX does")


def state_of(frame: int) -> dict:
    weights = torch.full((50, 40), float(frame))
    return {"frames": frame, "loss": {"weight": weights, "bias": weights[0].clone()}, "best_weights": None}


def equal(mine, theirs) -> bool:
    if isinstance(mine, dict):
        return mine.keys() == theirs.keys() and all(equal(mine[key], theirs[key]) for key in mine)
    return torch.equal(mine, theirs) if isinstance(mine, torch.Tensor) else mine == theirs


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "runs" / "run.pt"
    save_checkpoint(state_of(1), path)
    return path


@pytest.fixture
def theirs():
    with folder_of_somebody_else() as folder:
        yield folder


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestCheckpointThatIsRead:
    def test_a_whole_one_comes_back_as_it_was(self, saved):
        assert equal(dict(load_checkpoint(saved)), state_of(1))

    def test_one_that_is_cut_short_anywhere_is_refused(self, saved):
        rng, whole = random_faults(), saved.read_bytes()
        for length in [0, 1, len(whole) // 2, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(30))]:
            saved.write_bytes(whole[:length])
            with pytest.raises(CheckpointError, match=r"run\.pt is cut short.* earlier checkpoint"):
                load_checkpoint(saved)
            assert saved.read_bytes() == whole[:length], "the file is left as it is"

    def test_one_with_a_wrong_bit_is_refused_or_the_bit_meant_nothing(self, saved):
        rng, whole = random_faults(), saved.read_bytes()
        refused = 0
        anywhere = [rng.randrange(len(whole)) for _ in range(100)]
        in_the_directory = [rng.randrange(len(whole) - 900, len(whole)) for _ in range(100)]
        for place in anywhere + in_the_directory:
            saved.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << rng.randrange(8)]) + whole[place + 1 :])
            try:
                state = load_checkpoint(saved)
            except CheckpointError:
                refused += 1
            else:
                assert equal(dict(state), state_of(1)), f"byte {place} was changed, and what was loaded is wrong"
        assert refused > 50

    def test_a_missing_one_is_named(self, tmp_path):
        with pytest.raises(CheckpointError, match=r"no checkpoint .*07\.pt"):
            load_checkpoint(tmp_path / "07.pt")

    @pytest.mark.parametrize("mode", [0o755, 0o000], ids=["the file", "the folder"])
    def test_one_that_may_not_be_read_is_named(self, theirs, mode):
        save_checkpoint(state_of(1), theirs / "run.pt")
        (theirs / "run.pt").chmod(0o000)
        theirs.chmod(mode)
        with rights_of_nobody(), pytest.raises(CheckpointError, match=r"run\.pt may not be read"):
            load_checkpoint(theirs / "run.pt")

    @pytest.mark.parametrize("kind", ["text", "zip of something else", "pickle", "older format of torch"])
    def test_a_foreign_file_is_refused(self, tmp_path, kind):
        path = tmp_path / "run.pt"
        if kind == "text":
            path.write_text("frames,return\n256,21\n")
        elif kind == "zip of something else":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("hello.txt", "hello")
        elif kind == "pickle":
            path.write_bytes(pickle.dumps(state_of(1)))
        else:
            torch.save(state_of(1), path, _use_new_zipfile_serialization=False)
        with pytest.raises(CheckpointError, match=r"run\.pt is (cut short, or is no|not a) checkpoint"):
            load_checkpoint(path)

    def test_a_tensor_alone_is_not_the_state_of_a_run(self, tmp_path):
        torch.save(torch.ones(3), tmp_path / "run.pt")
        with pytest.raises(CheckpointError, match="holds one Tensor, not the state of a run"):
            load_checkpoint(tmp_path / "run.pt")

    def test_one_of_another_program_says_what_it_lacks_and_what_it_has(self, tmp_path):
        save_checkpoint({"epoch": 3, "model": {}}, tmp_path / "run.pt")
        with pytest.raises(CheckpointError, match=r"no 'frames', only 'epoch', 'model'"):
            load_checkpoint(tmp_path / "run.pt")["frames"]

    def test_one_that_would_run_code_is_refused_and_the_code_does_not_run(self, tmp_path):
        trap = tmp_path / "the code ran"
        torch.save({"frames": 1, "loss": RunsCode(trap)}, tmp_path / "run.pt")
        with pytest.raises(CheckpointError, match="would have to run code"):
            load_checkpoint(tmp_path / "run.pt")
        assert not trap.exists()
        torch.load(tmp_path / "run.pt", weights_only=False)
        assert trap.exists(), "the trap works: read without care, the code runs"


class TestCheckpointThatCannotBeWritten:
    def test_a_full_disk_at_any_byte_leaves_the_checkpoint_before(self, saved):
        rng, whole = random_faults(), saved.read_bytes()
        for size in [0, 1, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(30))]:
            with (
                disk_full_after(size),
                pytest.raises(CheckpointError, match=r"could not be written.*before is still in .*run\.pt.*disk full"),
            ):
                save_checkpoint(state_of(2), saved)
            assert saved.read_bytes() == whole and names(saved.parent) == ["run.pt"], f"full after {size} bytes"
        save_checkpoint(state_of(2), saved)  # somebody made room
        assert load_checkpoint(saved)["frames"] == 2

    def test_a_disk_that_is_full_at_the_last_moment(self, saved, monkeypatch):
        def fsync(descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(CheckpointError, match="No space left on device"):
            save_checkpoint(state_of(2), saved)
        assert load_checkpoint(saved)["frames"] == 1 and names(saved.parent) == ["run.pt"]

    def test_a_file_in_place_of_the_folder(self, tmp_path):
        (tmp_path / "runs").write_text("my notes")
        with pytest.raises(CheckpointError, match="could not be written.*No checkpoint was written"):
            save_checkpoint(state_of(1), tmp_path / "runs" / "run.pt")
        assert (tmp_path / "runs").read_text() == "my notes"

    def test_a_folder_in_place_of_the_file(self, tmp_path):
        (tmp_path / "run.pt").mkdir()
        with pytest.raises(CheckpointError, match="could not be written"):
            save_checkpoint(state_of(1), tmp_path / "run.pt")
        assert names(tmp_path) == ["run.pt"]

    @pytest.mark.parametrize("mode", [0o555, 0o000], ids=["that can only be read", "that cannot even be looked into"])
    def test_a_folder_of_somebody_else(self, theirs, mode):
        theirs.chmod(mode)
        denied = pytest.raises(CheckpointError, match="could not be written .*Permission denied.*not yours to write in")
        with rights_of_nobody(), denied:
            save_checkpoint(state_of(1), theirs / "run.pt")

    def test_what_could_not_be_loaded_again_is_not_saved_in_place_of_what_can(self, saved, tmp_path):
        with pytest.raises(CheckpointError, match="could not be loaded again"):
            save_checkpoint({"frames": 2, "settings": RunsCode(tmp_path / "trap")}, saved)
        assert load_checkpoint(saved)["frames"] == 1 and not (tmp_path / "trap").exists()
