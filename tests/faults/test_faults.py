"""Damaged files, full disks, no permission: a clear sentence, and what was written before is still there."""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
import zipfile
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch
from broken_machine import disk_full_after, random_faults, rights_of_nobody

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
    """A folder of somebody else, once its permissions are set; nobody can look into pytest's own."""
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        folder = Path(parent) / "theirs"
        folder.mkdir()
        yield folder
        folder.chmod(0o755)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class RunsCode:
    """An object that, when it is unpickled, makes a folder; a stranger's would do worse."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


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


class TestReplayBuffer:
    """The lesson on buffers saves them in both ways, and shows which one notices damage."""

    @staticmethod
    def buffer(frames=0):
        from tensordict import TensorDict
        from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer

        buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(50), batch_size=3)
        if frames:
            buffer.extend(TensorDict({"x": torch.arange(frames), "next": {"r": torch.rand(frames)}}, [frames]))
        return buffer

    def test_one_saved_as_a_checkpoint_goes_on_as_it_would_have(self, tmp_path):
        first, second = self.buffer(70), self.buffer()
        save_checkpoint(first.state_dict(), tmp_path / "buffer.pt")
        second.load_state_dict(load_checkpoint(tmp_path / "buffer.pt"))
        samples = []
        for buffer in (first, second):
            buffer.extend(self.buffer(8)[:].set("next", {"r": torch.ones(8)}))
            torch.manual_seed(0)
            samples.append(buffer.sample())
        assert (first[:] == second[:]).all() and (samples[0] == samples[1]).all()

    def test_a_dump_in_a_folder_that_is_cut_short_is_loaded_without_a_word(self, tmp_path):
        """Should TorchRL come to notice it, lesson 05 has to be written anew."""
        self.buffer(70).dumps(tmp_path / "dump")
        file = tmp_path / "dump" / "storage" / "x.memmap"
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        loaded = self.buffer()
        loaded.loads(tmp_path / "dump")
        assert len(loaded) == 50 and (loaded[:]["x"][25:] == 0).all()

    def test_a_dump_in_a_folder_can_run_code_when_it_is_loaded(self, tmp_path):
        """Should TorchRL come to refuse it, lesson 05 has to be written anew."""
        self.buffer(70).dumps(tmp_path / "dump")
        (tmp_path / "dump" / "prefetch.pkl").write_bytes(pickle.dumps(RunsCode(tmp_path / "the code ran")))
        self.buffer().loads(tmp_path / "dump")
        assert (tmp_path / "the code ran").exists()

    def test_one_that_was_saved_as_a_checkpoint_and_cut_short_is_refused(self, tmp_path):
        path = tmp_path / "buffer.pt"
        save_checkpoint(self.buffer(70).state_dict(), path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(CheckpointError, match="cut short"):
            load_checkpoint(path)


def logged(folder) -> list[float]:
    """What a logger left on disk, read as lesson 06 reads it."""
    if text := next(folder.rglob("loss.csv"), None):
        lines = text.read_text().split("\n")[:-1]  # what follows the last line break was cut off
        return [float(line.split(",")[1]) for line in lines]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(next(folder.rglob("events*")).parent), size_guidance={"scalars": 0}).Reload()
    return [event.value for event in events.Scalars("train/loss")]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
class TestLogger:
    @pytest.fixture(params=["CSVLogger", "TensorboardLogger"])
    def make_logger(self, request):
        import torchrl.record

        return getattr(torchrl.record, request.param)

    def test_a_full_disk_stops_the_run_and_what_was_logged_before_is_there(self, make_logger, tmp_path):
        logger = make_logger("run", log_dir=str(tmp_path))
        size = random_faults().randrange(500, 3_000)
        with disk_full_after(size), pytest.raises(OSError, match="File too large"):
            for step in range(100_000):
                logger.log_scalar("train/loss", float(step), step=step)
        found = logged(tmp_path)
        assert len(found) >= 8 and found == list(range(len(found))), f"full after {size} bytes"

    def test_a_folder_of_somebody_else_is_named(self, make_logger, theirs):
        theirs.chmod(0o555)
        with rights_of_nobody(), pytest.raises(PermissionError, match="Permission denied: .*run"):
            make_logger("run", log_dir=str(theirs))


class TestVideo:
    """Without PyAV, and where drawing fails: see TestVideo in test_helpers.py."""

    def test_where_the_encoder_lacks_h264_a_strip_stands_in_and_the_reason_is_named(self, monkeypatch):
        import av

        from course_utils import record_episode, show_video

        open_container = av.open

        def open_without_h264(*args, **options):
            container = open_container(*args, **options)
            proxy = MagicMock(wraps=container)
            proxy.__enter__.return_value = proxy
            proxy.__exit__.side_effect = lambda *_: container.close()
            proxy.add_stream.side_effect = lambda codec, **settings: container.add_stream(
                codec.replace("libx264", "not_built_in"), **settings
            )
            return proxy

        monkeypatch.setattr(av, "open", open_without_h264)
        view = show_video(record_episode("CartPole-v1"))
        assert "<video" not in view.html and "<img" in view.html
        assert "no video: UnknownCodecError: not_built_in" in view.text

    def test_a_machine_without_a_display_draws_all_the_same(self, monkeypatch):
        from course_utils import record_episode

        for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
            monkeypatch.delenv(name, raising=False)
        episode = record_episode("CartPole-v1", max_steps=3)
        assert not episode.problem and len(episode.frames) == len(episode.rewards) + 1 and episode.frames.std() > 10
