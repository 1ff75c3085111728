"""Shows a classifier each mask with further patches revealed, over and over.

As in `evaluate`, masks are hard, with feathered edges, and what they hide is blurred.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inr_core import Scene, metrics
from pipeline.analysis import Given
from pipeline.evaluation import BLUR, Asked, ImageMasks, decode
from pipeline.results import Model
from pipeline.tables import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """radius, patches, seed  see `CertificateConfig`; samples: of every mask"""

    radius: int
    patches: int
    samples: int
    seed: int


class Certifier:
    """Certifies images of one run with its own classifier (`pipeline.analysis.Analyst`)."""

    def __init__(self, model: Model, sampling: Sampling, device: str) -> None:
        self.asked, self.sampling = Asked(model, device), sampling
        self.classifier = self.asked.classifier
        self.preprocess = self.classifier.preprocess

    def prepare(self, given: Given) -> ImageMasks:
        """Its masks."""
        return decode(given.one)

    @torch.no_grad()
    def __call__(self, batch: Sequence[Given]) -> Mapping[str, Sequence[Row]]:
        """A row for each round and area of the best restart."""
        return {"certificates": [row for given in batch for row in self._rows(given)]}

    def _rows(self, given: Given) -> list[Row]:
        assert given.loaded is not None
        one, device = given.one, self.classifier.device
        target = torch.tensor([one.row["target"]], device=device)
        scene = self.asked.scene(given.loaded.pixels[None].to(device), target, BLUR)
        rows = []
        for round_, masks in enumerate(given.prepared.chain):
            hard_AHW = metrics.top_area(masks.soft, masks.areas)
            for area, hard_HW in zip(masks.areas, hard_AHW, strict=True):
                place = {"restart": one.best()["restart"], "round": round_, "area": area}
                key = {"id": one.id, "target": one.row["target"], **place}
                rows.append(key | self._certificate(hard_HW, scene, self.generator(key)))
        return rows

    def _certificate(self, hard_HW: Tensor, scene: Scene, generator: torch.Generator) -> Row:
        how = self.sampling
        number_HW = metrics.patch_numbers(how.patches, (hard_HW.shape[0], hard_HW.shape[1]))
        hidden = metrics.hidden_patches(hard_HW, number_HW)
        chosen = metrics.further_reveals(len(hidden), how.radius, how.samples, generator)
        shown = torch.cat([hard_HW[None], metrics.revealed(hard_HW, number_HW, hidden, chosen)])
        predicted = self._predicted(shown, scene)
        first = int(predicted[0])
        return {
            "predicted": first,
            "predicted_name": self.classifier.classes[first],
            "certified": (predicted[1:] == first).double().mean().item(),
            "radius": how.radius,
            "samples": how.samples,
        }

    def _predicted(self, hard_MHW: Tensor, scene: Scene) -> Tensor:
        """First class of the image behind each mask, (M,)."""

        strongest = scene.baseline_NLCHW.shape[1] - 1

        def part(chosen: slice) -> Tensor:
            mask = metrics.feathered(hard_MHW[chosen, None].to(scene.image_NCHW))
            level = torch.full(mask.shape[:2], strongest, device=mask.device)
            shown = scene.of([0] * len(mask)).shown(mask, level)
            return self.asked(shown).argmax(1)

        return torch.cat(list(self.asked.microbatch.run(part, len(hard_MHW), 1)))

    def generator(self, key: Row) -> torch.Generator:
        """Of this mask alone, so that its samples do not hang on what else is certified."""
        text = repr((self.sampling.seed, *key.values()))
        seed = hashlib.blake2b(text.encode(), digest_size=7).digest()
        return torch.Generator().manual_seed(int.from_bytes(seed, "big"))
