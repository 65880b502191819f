"""Checkpoints that a kill, a full disk or a stranger's file cannot harm."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

SAFE_CONTENT = "tensors, numbers, strings, None, and lists, tuples and dictionaries of them"


class CheckpointError(Exception):
    """A checkpoint could not be written or read; the message says why, what is still there, and the fix."""


class Checkpoint(dict):
    """What a checkpoint holds; says so in words when something it should hold is not in it."""

    def __init__(self, state: dict, path: Path) -> None:
        super().__init__(state)
        self.path = path

    def __missing__(self, key: object) -> None:
        raise CheckpointError(
            f"{self.path} has no {key!r}, only {', '.join(map(repr, self)) or 'nothing'}: another program or another "
            "version of this one wrote it. Move it away, or name the file this run wrote."
        )


def save_checkpoint(state: dict[str, Any], path: str | Path) -> None:
    """Write the state of a run, so that at any moment there is a whole checkpoint under `path`.

    It is written beside the old one, read back, and only then put in its place: an interruption, a full disk or
    something that could not be loaded again leaves the previous checkpoint as it was.

    Args:
        state: a dictionary of what `torch.load(weights_only=True)` accepts: tensors, numbers, strings, None, and
            lists, tuples and dictionaries of them, such as any `state_dict()`.
        path: where to write; missing folders are made.

    Raises:
        CheckpointError: it could not be written (full disk, no permission), or could not be loaded again.

    Source: https://docs.pytorch.org/docs/stable/notes/serialization.html
    """
    import torch

    path = Path(path)
    draft = path.with_name(path.name + ".draft")
    kept = (
        f"The checkpoint written before is still in {path}." if os.path.exists(path) else "No checkpoint was written."
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        torch.load(draft, weights_only=True, map_location="cpu")
        draft.replace(path)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} could not be loaded again, because it would hold more than {SAFE_CONTENT}. {kept} "
            f"Save a state_dict() or a plain number in place of the object: {first_line(error)}"
        ) from error
    # torch's writer turns a full disk into a RuntimeError; what cannot be pickled raises one of the last three.
    except (OSError, RuntimeError, AttributeError, TypeError, pickle.PicklingError) as error:
        raise CheckpointError(
            f"{path} could not be written ({first_line(error)}). {kept} "
            "Is the disk full (`df -h`), or the folder not yours to write in? Name another path and save again."
        ) from error
    finally:
        if os.path.isfile(draft):
            draft.unlink()


def load_checkpoint(path: str | Path, map_location: Any = None) -> Checkpoint:
    """Read a checkpoint, refusing files that are damaged or would have to run code to be read.

    Args:
        path: a file that `save_checkpoint` or `torch.save` wrote.
        map_location: the device on which the tensors are wanted; None: where they were.

    Returns:
        The saved dictionary. Asking it for something it does not hold raises CheckpointError.

    Raises:
        CheckpointError: there is no such file; it is no checkpoint, is cut short or damaged; it would run code.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.load.html
    """
    import torch

    path = Path(path)
    check_archive(path)
    try:
        state = torch.load(path, weights_only=True, map_location=map_location)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} was not loaded: it holds more than {SAFE_CONTENT}, and to read that, Python would have to run "
            "code from the file. If you wrote it, save its state_dict() instead; a stranger's, delete it."
        ) from error
    except Exception as error:  # a wrong bit can raise nearly anything
        raise CheckpointError(f"{path} is not a checkpoint of PyTorch ({first_line(error)}).") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds one {type(state).__name__}, not the state of a run.")
    return Checkpoint(state, path)


def check_archive(path: Path) -> None:
    """Is the file whole? torch itself does not compare the checksums that it writes.

    Raises:
        CheckpointError: it is not there or may not be read; it is not an archive as torch writes it, or is cut short,
            or a checksum is wrong.
    """
    fix = "Go on from an earlier checkpoint, or start the run anew; the file is left as it is."
    try:
        with zipfile.ZipFile(path) as archive:
            # One bit (0x10) makes an entry a folder, in whose place torch reads whatever was in memory.
            folders = (entry.filename for entry in archive.infolist() if entry.external_attr & 0x10)
            damaged = archive.testzip() or next(folders, None)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise CheckpointError(
            f"There is no checkpoint {path}. Was it saved, and is this the folder it was saved in?"
        ) from error
    except PermissionError as error:
        raise CheckpointError(f"{path} may not be read: the file or its folder belongs to somebody else.") from error
    except Exception as error:  # a wrong bit can raise nearly anything
        raise CheckpointError(
            f"{path} is cut short, or is no checkpoint at all ({first_line(error)}). {fix}"
        ) from error
    if damaged:
        raise CheckpointError(f"{path} is damaged: {damaged} in it is not what was written. {fix}")


def first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
