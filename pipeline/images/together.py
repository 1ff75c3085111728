"""Reading the images of a shard: those that lie side by side in one file together."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby

from pipeline.images.decoding import image_bytes
from pipeline.images.packed import HEADER, Column, member_bytes, row_bytes
from pipeline.images.reading import MAX_IMAGE_BYTES, read_range
from pipeline.members import Member

GAP = 1 << 18  # bytes nobody asked for that are read rather than asking twice
MOST = 8 << 20  # bytes that are read at once

Found = Iterator[tuple[str, bytes | None]]  # None: to be read alone, which says why not


class Together:
    """Reads images by their URI, from several threads, about in the order given.

    uris  each as often as it will be read
    Of a tar archive neighbours come with one request, of Parquet each row group is read once.
    """

    def __init__(self, uris: Sequence[str], max_bytes: int = MAX_IMAGE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._streams: dict[str, _Stream] = {}
        times = Counter(uris)
        members = [(uri, member) for uri in uris if (member := Member.of(uri)) and member.placed]
        for (kind, _), same in groupby(members, lambda one: (one[1].kind, one[1].file)):
            wanted = list(dict.fromkeys(same))
            if kind == "tar":
                wanted = [one for one in wanted if (one[1].size or 0) <= max_bytes]
            if len(wanted) > 1:
                read = _from_tar if kind == "tar" else _from_parquet
                stream = _Stream(partial(read, wanted, max_bytes), times)
                self._streams.update((uri, stream) for uri, _ in wanted)

    def __call__(self, uri: str) -> bytes:
        """Content of an image; ImageError("read") where it cannot be read."""
        stream = self._streams.get(uri)
        data = None if stream is None else stream.take(uri)
        return image_bytes(uri, self._max_bytes) if data is None else data


class _Stream:
    """What comes in order, for those who ask in about this order, each so many times."""

    def __init__(self, make: Callable[[], Found], times: Mapping[str, int]) -> None:
        self._make, self._left = make, dict(times)
        self._coming: Found | None = None
        self._lock = threading.Lock()
        self._here: dict[str, bytes | None] = {}

    def take(self, uri: str) -> bytes | None:
        """None where it does not come."""
        with self._lock:
            if not self._left[uri]:  # it was not kept
                return None
            self._left[uri] -= 1
            try:
                self._coming = self._coming or self._make()
                while uri not in self._here:
                    name, data = next(self._coming)
                    self._here[name] = data
            except Exception:  # every store raises its own; StopIteration at the end
                return None
            return self._here[uri] if self._left[uri] else self._here.pop(uri)


def _from_tar(wanted: Sequence[tuple[str, Member]], max_bytes: int) -> Found:
    for run in _runs(wanted):
        start = _span(run[0][1])[0]
        data = memoryview(read_range(run[0][1].file, start, _span(run[-1][1])[1]))
        for uri, member in run:
            first, last = _span(member)
            yield uri, member_bytes(member, data[first - start : last - start])


def _runs(wanted: Sequence[tuple[str, Member]]) -> Iterator[list[tuple[str, Member]]]:
    """Neighbours, to be read at once."""
    run: list[tuple[str, Member]] = []
    for one in wanted:
        start, end = _span(one[1])
        if run:
            first, last = _span(run[0][1])[0], _span(run[-1][1])[1]
            if not last <= start <= last + GAP or end - first > MOST:
                yield run
                run = []
        run.append(one)
    if run:
        yield run


def _span(member: Member) -> tuple[int, int]:
    """Bytes of a member with its header."""
    assert member.start is not None and member.size is not None
    return member.start - HEADER, member.start + member.size


def _from_parquet(wanted: Sequence[tuple[str, Member]], max_bytes: int) -> Found:
    columns: dict[str, Column] = {}
    for uri, member in wanted:
        name = member.row[0]
        if name not in columns:
            columns[name] = Column(member.file, name)
        try:
            yield uri, row_bytes(columns[name], member, max_bytes)
        except OSError:
            yield uri, None
