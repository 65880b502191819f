"""Checkpoints: whole, damaged, foreign, or not written; what was written before is still there."""

from __future__ import annotations

import os
import pickle
import signal
import stat
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
import torch
from broken_machine import RunsCode, disk_full_after, folder_of_somebody_else, random_faults, rights_of_nobody

from course_utils.runs import checkpoint, drafts
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

    def test_a_device_that_never_ends_is_refused_before_it_is_read(self):
        """In a process of its own: read to its end, it takes all memory."""
        code = (
            "import resource, sys; resource.setrlimit(resource.RLIMIT_DATA, (4_000_000_000, 4_000_000_000));"
            "from course_utils import load_checkpoint; load_checkpoint('/dev/zero')"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert "CheckpointError: /dev/zero is no file but" in done.stderr, done.stderr

    def test_a_pipe_that_nobody_writes_to_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "run.pt")
        with pytest.raises(CheckpointError, match=r"run\.pt is no file but a folder, a device or a pipe"):
            load_checkpoint(tmp_path / "run.pt")

    def test_one_that_would_unpack_to_more_than_the_file_is_refused_unread(self, saved, monkeypatch):
        with zipfile.ZipFile(saved) as whole, zipfile.ZipFile(saved.with_name("packed.pt"), "w") as packed:
            for entry in whole.infolist():
                packed.writestr(entry.filename, whole.read(entry), compress_type=zipfile.ZIP_DEFLATED)
            packed.writestr("run/data/9", bytes(50_000_000), compress_type=zipfile.ZIP_DEFLATED)
        monkeypatch.setattr(zipfile.ZipFile, "testzip", lambda self: pytest.fail("it was unpacked"))
        with pytest.raises(CheckpointError, match="its parts are larger than the whole"):
            load_checkpoint(saved.with_name("packed.pt"))

    @pytest.mark.parametrize("name", ["a\0b", "x" * 300, "loop"])
    def test_a_name_that_no_file_can_have_is_one_sentence_in_both_directions(self, tmp_path, name):
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(CheckpointError, match="could not be read"):
            load_checkpoint(tmp_path / name)
        with pytest.raises(CheckpointError, match="could not be written"):
            save_checkpoint(state_of(1), tmp_path / name)

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

    def test_what_is_no_dictionary_is_not_saved_in_place_of_one(self, saved):
        for state in ([state_of(2)], torch.ones(3), None):
            with pytest.raises(CheckpointError, match="before is still in .*not the state of a run: a dictionary"):
                save_checkpoint(state, saved)
        assert load_checkpoint(saved)["frames"] == 1 and names(saved.parent) == ["run.pt"]

    def test_one_that_torch_writes_in_a_way_that_is_refused_is_not_put_in_place(self, saved, monkeypatch):
        """Whatever the loader asks for, the saver has to ask for too; here, checksums."""
        write = torch.save

        def without_checksums(state, file):
            torch.serialization.set_crc32_options(False)
            try:
                write(state, file)
            finally:
                torch.serialization.set_crc32_options(True)

        monkeypatch.setattr(torch, "save", without_checksums)
        with pytest.raises(CheckpointError, match="could not be loaded again.*before is still in"):
            save_checkpoint(state_of(2), saved)
        monkeypatch.undo()
        assert load_checkpoint(saved)["frames"] == 1

    @pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["a pipe", "a folder"])
    def test_what_is_no_file_is_not_replaced(self, tmp_path, make):
        make(tmp_path / "run.pt")
        before = (tmp_path / "run.pt").stat()
        with pytest.raises(CheckpointError, match="something that is no file is there"):
            save_checkpoint(state_of(1), tmp_path / "run.pt")
        assert (tmp_path / "run.pt").stat().st_mode == before.st_mode and names(tmp_path) == ["run.pt"]


class TestDraft:
    """What lies beside the checkpoint while it is written: in nobody's way, and gone afterwards."""

    @pytest.fixture
    def written(self, monkeypatch) -> list[Path]:
        """The drafts that are written from now on."""
        seen, write = [], torch.save

        def save(state, file):
            seen.append(Path(file.name))
            write(state, file)

        monkeypatch.setattr(torch, "save", save)
        return seen

    def test_its_name_is_another_each_time_and_in_the_same_folder(self, saved, written):
        for frame in (2, 3):
            save_checkpoint(state_of(frame), saved)
        assert written[0].name != written[1].name and {path.parent for path in written} == {saved.parent}
        assert names(saved.parent) == ["run.pt"]

    @pytest.mark.parametrize("plant", ["a file", "a link"])
    def test_whatever_has_its_name_is_not_written_to(self, saved, written, monkeypatch, plant):
        """It cannot be guessed; should somebody do so, all the same."""
        monkeypatch.setattr(drafts.secrets, "token_hex", lambda size: "0" * 16)
        essay = saved.parent / "essay.txt"
        essay.write_text("mine")
        save_checkpoint(state_of(2), saved)
        monkeypatch.setattr(checkpoint, "delete_orphans", lambda folder: None)
        written[0].symlink_to(essay) if plant == "a link" else written[0].write_text("mine")
        with pytest.raises(CheckpointError, match="File exists.*before is still in"):
            save_checkpoint(state_of(3), saved)
        assert essay.read_text() == written[0].read_text() == "mine" and load_checkpoint(saved)["frames"] == 2

    def test_files_of_the_user_with_like_names_stay(self, saved):
        for name in ("run.pt.draft", "run.draft", "run.pt.tmp", "course.draft", "course-1.draft"):
            (saved.parent / name).write_text("mine")
        before = names(saved.parent)
        save_checkpoint(state_of(2), saved)
        assert names(saved.parent) == before

    def test_that_of_a_killed_process_goes_with_the_next_checkpoint(self, saved):
        code = (
            "import os, signal, sys, torch; from course_utils import save_checkpoint;"
            "torch.save = lambda _, file: (file.write(b'half'), file.flush(), os.kill(os.getpid(), signal.SIGKILL));"
            "save_checkpoint({'frames': 2}, sys.argv[1])"
        )
        done = subprocess.run([sys.executable, "-c", code, saved])
        assert done.returncode == -signal.SIGKILL and len(names(saved.parent)) == 2
        save_checkpoint(state_of(3), saved)
        assert names(saved.parent) == ["run.pt"]

    def test_that_of_another_process_that_still_writes_stays(self, saved):
        with drafts.draft_in(saved.parent, None) as file:
            save_checkpoint(state_of(2), saved)
            assert os.path.exists(file.name)

    def test_one_that_is_deleted_before_it_is_locked_is_made_anew(self, saved, monkeypatch):
        def lock(file, how, turns=[0]):  # noqa: B006
            turns[0] += 1
            if turns[0] == 1:
                os.unlink(file.name)

        monkeypatch.setattr(drafts, "flock", lock)
        save_checkpoint(state_of(2), saved)
        assert load_checkpoint(saved)["frames"] == 2

    def test_several_that_save_to_one_path_leave_a_whole_one_at_any_moment(self, saved):
        stop, raised = threading.Event(), []

        def write(who: int) -> None:
            while not stop.is_set():
                try:
                    save_checkpoint({"who": who, "weight": torch.full((300, 300 + 50 * who), float(who))}, saved)
                except CheckpointError as error:
                    raised.append(error)

        save_checkpoint({"who": 0, "weight": torch.zeros(2)}, saved)
        writers = [threading.Thread(target=write, args=[who]) for who in (1, 2, 3)]
        for writer in writers:
            writer.start()
        try:
            seen = [load_checkpoint(saved) for _ in range(100)]
        finally:
            stop.set()
            for writer in writers:
                writer.join()
        assert all((state["weight"] == state["who"]).all() for state in seen) and not raised
        assert len({state["who"] for state in seen}) > 1, "nobody else saved meanwhile"
        assert names(saved.parent) == ["run.pt"]


class TestPlaceOfTheCheckpoint:
    def test_where_a_link_leads_is_replaced_and_the_link_stays(self, tmp_path):
        for folder in ("runs", "latest"):
            (tmp_path / folder).mkdir()
        link, target = tmp_path / "latest" / "run.pt", tmp_path / "runs" / "run.pt"
        link.symlink_to("../runs/run.pt")
        for frame in (1, 2):  # into the void, then in place of the first
            save_checkpoint(state_of(frame), link)
            assert link.is_symlink() and load_checkpoint(target)["frames"] == load_checkpoint(link)["frames"] == frame
        assert names(link.parent) == names(target.parent) == ["run.pt"]

    @pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
    def test_it_keeps_its_permissions_at_every_moment(self, saved, monkeypatch, mode):
        saved.chmod(mode)
        write, meanwhile = torch.save, []

        def save(state, file):
            meanwhile.append(os.fstat(file.fileno()).st_mode & 0o777)
            write(state, file)

        monkeypatch.setattr(torch, "save", save)
        save_checkpoint(state_of(2), saved)
        assert meanwhile == [mode] and stat.S_IMODE(saved.stat().st_mode) == mode

    @pytest.mark.parametrize("umask", [0o022, 0o077])
    def test_a_new_one_gets_those_of_any_new_file(self, tmp_path, umask):
        before = os.umask(umask)
        try:
            save_checkpoint(state_of(1), tmp_path / "run.pt")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "run.pt").stat().st_mode) == 0o666 & ~umask

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
    def test_it_stays_with_its_owner_when_root_saves(self, saved):
        os.chown(saved, 1234, 5678)
        save_checkpoint(state_of(2), saved)
        assert (saved.stat().st_uid, saved.stat().st_gid) == (1234, 5678)

    def test_file_and_then_folder_are_on_the_disk_before_it_says_so(self, saved, monkeypatch):
        order, sync, replace = [], os.fsync, os.replace

        def note_sync(descriptor):
            order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
            sync(descriptor)

        def note_replace(*paths):
            order.append("swap")
            replace(*paths)

        monkeypatch.setattr(os, "fsync", note_sync)
        monkeypatch.setattr(os, "replace", note_replace)
        save_checkpoint(state_of(2), saved)
        assert order == ["file", "swap", "folder"]
