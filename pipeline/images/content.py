"""The bytes of an image: those of a file, or of a part of one that holds many."""

from __future__ import annotations

from pipeline.images.packed import read_packed
from pipeline.images.reading import MAX_IMAGE_BYTES, read_file
from pipeline.members import Member


def read_bytes(uri: str, max_bytes: int = MAX_IMAGE_BYTES) -> bytes:
    """The content of an image at any path, URL, or place in a file (`pipeline.members`).

    Raises OSError, whose `strerror` says what is wrong, and whatever the store's library raises.
    """
    member = Member.of(uri)
    if member is None or not member.placed:
        return read_file(uri, max_bytes)
    return read_packed(member, max_bytes)
