"""Learned starts: the files that `xaipipe learn-start` writes and `--start` takes."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.starts.file import check_start, read_start, save_start, start_digest
else:
    __getattr__, __dir__ = lazy(__name__)
