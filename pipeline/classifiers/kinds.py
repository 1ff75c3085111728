"""The kinds of classifiers, as `--model KIND:NAME` names them. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind.

    example  of what is given to --model
    what     it is, in words
    library  that it needs besides torch; None: none
    extra    of this package that brings the library
    is_file  whether the name is that of a file, a path or URL
    """

    name: str
    example: str
    what: str
    library: str | None = None
    extra: str | None = None
    is_file: bool = False

    def installed(self) -> str | None:
        """Version of the library (of torch, where it needs no other); None: it is not there."""
        try:
            return version(self.library or "torch")
        except PackageNotFoundError:
            return None


KINDS = (
    Kind(
        "torchvision",
        "torchvision:resnet50",
        "a model of torchvision, with --weights FILE or torchvision's own weights",
        "torchvision",
    ),
    Kind("timm", "timm:vit_small_patch16_224", "likewise a model of timm", "timm", "timm"),
    Kind(
        "hf",
        "hf:google/vit-base-patch16-224",
        "an image classifier of transformers: a repository on the hub, or a folder hf:./FOLDER",
        "transformers",
        "hf",
    ),
    Kind("torchscript", "torchscript:model.pt", "a scripted or traced module", is_file=True),
    Kind("export", "export:model.pt2", "a program saved by torch.export.save", is_file=True),
    Kind("python", "python:my_models:build", "build() of my_models.py returns an nn.Module"),
    Kind("builtin", "builtin:shapes", "the small classifier of the demo"),
)
FILE_KINDS = tuple(kind.name for kind in KINDS if kind.is_file)
