"""Damaged replay buffers, full disks under a logger: what TorchRL does, as the lessons say it."""

from __future__ import annotations

import pickle
import sys

import pytest
import torch
from broken_machine import RunsCode, disk_full_after, folder_of_somebody_else, random_faults, rights_of_nobody

from course_utils.runs.checkpoint import CheckpointError, load_checkpoint, save_checkpoint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes disks full and folders unwritable as POSIX does")


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


@pytest.fixture
def theirs():
    with folder_of_somebody_else() as folder:
        yield folder


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
