"""What is asked of certificates."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateConfig:
    """radius  further patches that are revealed, at the most
    patches    of the classifier's input, along each side
    error      the share certified lies this close to the true one, ...
    doubt      ... but for this probability, of every single mask
    seed       of the samples
    """

    radius: int = 20
    patches: int = 14
    error: float = 0.1
    doubt: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.radius <= self.patches**2:
            raise RequestError(
                f"radius {self.radius}: expected 1 to {self.patches**2} patches, as many as an "
                f"image of {self.patches} x {self.patches} has"
            )
        for name in ("error", "doubt"):
            if not 0 < getattr(self, name) < 1:
                raise RequestError(f"{name} {getattr(self, name)}: expected a number in (0, 1)")
