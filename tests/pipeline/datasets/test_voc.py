"""The classes of PASCAL VOC as sets of classes of ImageNet."""

import pytest

from pipeline.datasets.voc import CLASSES, IMAGENET, expand


def test_sets_of_class_indices():
    assert expand("7-9 80") == {7, 8, 9, 80}
    assert expand(532) == expand("532") == {532}  # a column of these is one of integers
    for broken in ("", "7-", "7 -9", "a", " 7", "7  8"):
        with pytest.raises(ValueError, match="no list of class indices"):
            expand(broken)


def test_the_sets_of_voc_are_disjoint_and_named_like_their_class():
    from torchvision.models._meta import _IMAGENET_CATEGORIES as NAMES

    sets = {name: expand(ranges) for name, ranges in IMAGENET.items()}
    assert len(CLASSES) == 20 and list(CLASSES) == sorted(CLASSES)
    every = [n for indices in sets.values() for n in indices]
    assert len(every) == len(set(every)) and max(every) < 1000
    assert {name: len(indices) for name, indices in sets.items()}["dog"] == 118
    assert len(sets["bird"]) == 59 and len(sets["cat"]) == 5
    ends = {  # of the ranges, and their neighbours outside
        "bird": [
            "cock",
            "great grey owl",
            "black grouse",
            "black swan",
            "white stork",
            "albatross",
        ],
        "dog": ["Chihuahua", "Mexican hairless"],
        "cat": ["tabby", "Egyptian cat"],
    }
    outside = ["stingray", "European fire salamander", "centipede", "tusker", "isopod"]
    outside += ["grey whale", "sea lion", "timber wolf", "grey fox", "cougar", "zebra", "ibex"]
    for name, members in ends.items():
        assert {NAMES.index(member) for member in members} <= sets[name]
    assert not {NAMES.index(name) for name in outside} & set(every)
    small = {name: {NAMES[n] for n in sets[name]} for name in sets if len(sets[name]) < 6}
    assert small["aeroplane"] == {"airliner", "warplane"}
    assert small["bottle"] == {
        "beer bottle", "pill bottle", "pop bottle", "water bottle", "wine bottle",
    }  # fmt: skip
    assert small["bus"] == {"minibus", "school bus", "trolleybus"}
    assert small["chair"] == {"barber chair", "folding chair", "rocking chair", "throne"}
    assert small["motorbike"] == {"moped", "motor scooter"}
    assert small["sheep"] == {"ram", "bighorn"} and small["cow"] == {"ox"}
    assert small["tvmonitor"] == {"monitor", "screen", "television"}
    assert small["train"] == {
        "bullet train", "electric locomotive", "freight car", "passenger car", "steam locomotive",
    }  # fmt: skip
    assert {NAMES[n] for n in sets["boat"]} == {
        "aircraft carrier", "canoe", "catamaran", "container ship", "fireboat", "gondola",
        "lifeboat", "liner", "pirate", "schooner", "speedboat", "trimaran", "yawl",
    }  # fmt: skip
    assert {NAMES[n] for n in sets["car"]} == {
        "beach wagon", "cab", "convertible", "jeep", "limousine", "minivan", "Model T", "racer",
        "sports car",
    }  # fmt: skip
