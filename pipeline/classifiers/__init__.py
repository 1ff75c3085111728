"""Classifiers: by name, from libraries and files; frozen, folded, converted and compiled."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.classifiers.checked import Checked, check_classifier
    from pipeline.classifiers.classifier import (
        Classifier,
        load_classifier,
        load_module,
        save_weights,
    )
    from pipeline.classifiers.features import Features
    from pipeline.classifiers.frozen import PRECISION, Frozen, Precision
    from pipeline.classifiers.kinds import FILE_KINDS, KINDS, Kind
    from pipeline.classifiers.labels import read_labels
    from pipeline.classifiers.speed import seconds_of_a_pass
    from pipeline.classifiers.targets import TargetRule
    from pipeline.classifiers.threads import cpus_of_a_gpu, helpers, one_thread
    from pipeline.classifiers.weights import (
        check_weights,
        load_state,
        read_state_dict,
        safetensors_library,
        weights_digest,
    )
else:
    __getattr__, __dir__ = lazy(__name__)
