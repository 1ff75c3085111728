"""Rules that say which classes of an image are explained."""

import pytest

from pipeline.classifiers import TargetRule

SCORES = [0.1, 0.5, 0.3, 0.1]
ORDER = [1, 2, 0, 3]


@pytest.mark.parametrize(
    ("text", "given", "chosen"),
    [
        (None, None, [1]),
        (None, 3, [3]),
        ("label", 3, [3]),
        ("top1", 3, [1]),
        ("top3", None, [1, 2, 0]),
        ("all>.2", None, [1, 2]),
        ("all > 0.1", 0, [1, 2]),
        ("all>0.05", None, [1, 2, 0, 3]),
        ("all>.5", 1, []),
    ],
)
def test_classes_are_chosen_by_their_order_and_scores(text, given, chosen):
    assert TargetRule.parse(text).choose({k: SCORES[k] for k in ORDER}, given) == chosen


def test_equal_rules_are_written_alike():
    for texts in (("all>.2", "all>0.2", " all > 0.20"), ("top3", "top03")):
        assert len({str(TargetRule.parse(text)) for text in texts}) == 1
    for text in ("label", "top3", "all>0.2"):
        assert str(TargetRule.parse(text)) == text
        assert TargetRule.parse(text).in_words()


@pytest.mark.parametrize(
    "text", ["top0", "top", "top-1", "first", "all", "all>", "all>1", "all>x", "all<.2", ""]
)
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(ValueError, match="expected"):
        TargetRule.parse(text)
