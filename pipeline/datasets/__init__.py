"""Manifests made from folders of images and from known datasets' layouts."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.datasets.folders import folder_source
    from pipeline.datasets.imagenet import WNID, class_index
    from pipeline.datasets.imagenet_s import imagenet_s_source
    from pipeline.datasets.mosaics import Part, mosaics_source
    from pipeline.datasets.voc import expand, voc_source
    from pipeline.datasets.writer import Counts, Source, check_target, write_manifest
else:
    __getattr__, __dir__ = lazy(__name__)
