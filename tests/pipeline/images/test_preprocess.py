"""Preprocessing: single fields are replaced, and wrong ones refused."""

from __future__ import annotations

import pytest

from pipeline.errors import RequestError
from pipeline.images import Preprocess


def test_override_replaces_single_fields() -> None:
    base = Preprocess()
    assert base.override("") == base
    assert base.override("resize=224, crop=200") == Preprocess(resize=224, crop=200)
    assert base.override("interpolation=bicubic,mean=0.5:0.25:0,std=1:1:2") == Preprocess(
        interpolation="bicubic", mean=(0.5, 0.25, 0.0), std=(1.0, 1.0, 2.0)
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("resise=224", "nearest is resize"),
        ("resize", "FIELD=VALUE"),
        ("resize=2.5", "whole number"),
        ("crop=224,crop=200", "twice"),
        ("crop=300", "crop <= resize"),
        ("crop=0", "crop <= resize"),
        ("mean=0.5", "3 finite numbers"),
        ("mean=0.5:x:0.5", "0.5:0.5:0.5"),
        ("mean=0.5:nan:0.5", "3 finite numbers"),
        ("std=0.5:0:0.5", "above 0"),
        ("interpolation=lanczos", "bilinear, bicubic, nearest"),
    ],
)
def test_override_refuses(fields: str, said: str) -> None:
    with pytest.raises(RequestError, match="preprocess") as caught:
        Preprocess().override(fields)
    assert said in str(caught.value)
