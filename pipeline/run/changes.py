"""Rows that have changed since they were explained: found, named, and decided about."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from itertools import islice

from pipeline.errors import ImageError, RequestError
from pipeline.images import digest_of, file_state, image_bytes
from pipeline.manifest import ImageRef, ManifestSummary, pair
from pipeline.members import Member
from pipeline.store import Committed

SHOWN = 10
THREADS = 32  # that ask stores about files, which mostly wait
CLOCKS_S = 60.0  # that the clocks of this machine, the workers' and the store's may differ

Content = tuple[int, str]  # bytes and digest of a file
State = tuple[int | None, float | None]


def changed_rows(found: ManifestSummary, committed: Committed, retry: bool) -> set[str]:
    """Ids that stood for another image or target when they were worked on.

    retry  leave out what failed: it is tried again anyway, as it is now
    """
    known = committed.explained if retry else {**committed.failed, **committed.explained}
    ids, stood = list(known), list(known.values())
    there = found.ids.holds(map(hash, ids))
    same = found.pairs.holds(map(pair, ids, stood))
    return {
        id_
        for id_, stands, here, equal in zip(ids, stood, there, same, strict=True)
        if stands and here and not equal
    }


def refuse_changes(uri: str, out: str, refs: Iterable[ImageRef], changed: Collection[str]) -> None:
    """RequestError that names changed rows and the option that decides about them."""
    rows = (
        f"  {ref.id}: {ref.image}, {'no target' if ref.target is None else f'target {ref.target}'}"
        for ref in refs
        if ref.id in changed
    )
    lines = list(islice(rows, SHOWN))
    if len(changed) > len(lines):
        lines.append(f"  and {len(changed) - len(lines)} more")
    raise RequestError(
        f"{uri}: {_stand(len(changed))} for another image or target than when {out} was made; "
        "now:\n"
        + "\n".join(lines)
        + "\ngive --changed explain to explain these anew, --changed keep to leave their rows as "
        "they are, or new ids"
    )


def _stand(count: int) -> str:
    return "1 id stands" if count == 1 else f"{count} ids stand"


def changed_files(
    refs: Iterable[ImageRef], explained: Callable[[str], Content | None], since: float
) -> set[str]:
    """Ids of explained images whose file has another content now, as far as that can be told.

    explained  size and digest of the file that was explained
    since      when the first of them was read; only files changed later are read again
    """
    state = lru_cache(maxsize=1024)(file_state)  # one request for all images of an archive
    with ThreadPoolExecutor(THREADS) as pool:
        seen = ((ref, known) for ref in refs if (known := explained(ref.id)) is not None)
        looked = _in_batches(pool, partial(_differs, since=since, state=state), seen)
        return {id_ for id_, differs in looked if differs}


def _in_batches(
    pool: ThreadPoolExecutor,
    look: Callable[[tuple[ImageRef, Content]], tuple[str, bool]],
    seen: Iterator[tuple[ImageRef, Content]],
) -> Iterator[tuple[str, bool]]:
    """So that a long manifest is not in memory as a whole."""
    while batch := list(islice(seen, 64 * THREADS)):
        yield from pool.map(look, batch)


def _differs(
    seen: tuple[ImageRef, Content], since: float, state: Callable[[str], State]
) -> tuple[str, bool]:
    ref, (size, digest) = seen
    member = Member.of(ref.image)
    now, modified = state(ref.image if member is None else member.file)
    if member is not None:
        now = member.size
    if now is not None and now != size:
        return ref.id, True
    if modified is None or modified < since - CLOCKS_S:
        return ref.id, False
    try:
        return ref.id, digest_of(image_bytes(ref.image)) != digest
    except ImageError:  # it is gone; what was explained stays
        return ref.id, False
