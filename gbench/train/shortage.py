"""What to do when memory or a disk is full, in place of a stack trace."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from gbench.errors import UserError

# also a limit on the size of files or on a user's share, and a disk that went read-only
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@contextmanager
def advised(folder: Path) -> Iterator[None]:
    """Raise a UserError that says what helps where the block runs out of memory or disk."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"out of memory on the GPU ({str(error).splitlines()[0]}): try a smaller "
            "optim.batch_size or model.hidden_dim, or trainer.precision=bf16-mixed"
        ) from error
    except (MemoryError, OSError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):  # torch's words
            raise UserError(
                f"out of memory ({str(error).strip().splitlines()[-1] or 'no more words'}): try a "
                "smaller optim.batch_size or model.hidden_dim"
            ) from error
        number = _disk_error(error)
        if number is None:
            raise
        raise UserError(
            f"cannot write to {folder}: {os.strerror(number)}. The files there are whole: make "
            "room, and the same command goes on"
        ) from error


def _disk_error(error: BaseException | None) -> int | None:
    """The disk's error below another: torch.save raises a RuntimeError while handling it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _DISK:
            return error.errno
        error = error.__cause__ or error.__context__
    return None
