"""Seeds that depend on what is explained, never on a batch slot, a worker or the order."""

from __future__ import annotations

import hashlib


def stable_seed(run_seed: int, image_id: str, restart: int, round_: int) -> int:
    """A seed in [0, 2**63) for one optimisation; equal on every machine and Python version."""
    text = f"{run_seed}|{restart}|{round_}|{image_id}"
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
