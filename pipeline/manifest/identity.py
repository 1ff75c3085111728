"""What a row is known by: its default id, and a digest of what its id stands for."""

from __future__ import annotations

from hashlib import blake2b


def default_id(name: str, target: str) -> str:
    """Id of an image for a target as it is given: 16 hexadecimal digits.

    name  see `pipeline.paths.namer`
    """
    return blake2b(f"{name}|{target}".encode()).hexdigest()[:16]


def standing(name: str, target: int | None) -> int:
    """Digest of an image and its target, by which a changed row is known: 64 bits."""
    return int.from_bytes(blake2b(f"{name}|{target}".encode(), digest_size=8).digest())
