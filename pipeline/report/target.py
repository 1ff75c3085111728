"""Where a report goes: a local file or a URL."""

from __future__ import annotations

import fsspec

from pipeline.errors import RequestError
from pipeline.paths import plain_path, unwritable


class Target:
    """A file to be written; RequestError as soon as it is plain that it cannot be.

    uri  of the file; by default that of the run with `.html`, or `report.html` here if the run is
         behind a URL
    """

    def __init__(self, uri: str | None, run: str) -> None:
        default = "report.html" if "://" in run else f"{run}.html"
        self.uri = plain_path(uri or default)
        if "://" not in self.uri and (found := unwritable(self.uri)):
            raise self._refusal(found)

    def write(self, page: str) -> None:
        """The whole page at once."""
        data = page.encode("utf-8", "replace")  # a path may hold bytes that are no text
        try:
            with fsspec.open(self.uri, "wb") as stream:
                stream.write(data)
        except Exception as error:  # libraries of object stores raise errors of their own
            raise self._refusal(f"{type(error).__name__}: {error}") from error

    def _refusal(self, found: str) -> RequestError:
        return RequestError(
            f"--to {self.uri}: cannot be written ({found}); expected a file such as report.html in "
            "a folder, or at a URL, that you may write to"
        )
