"""Preprocessing: single fields are replaced, and wrong ones refused."""

from __future__ import annotations

from dataclasses import replace

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


def test_sizes_that_are_not_square_and_other_channels() -> None:
    found = Preprocess().override("resize=256:320,crop=224:300,fit=squash,channels=bgr")
    assert (found.resize, found.crop, found.size, found.shape) == (
        (256, 320),
        (224, 300),
        (224, 300),
        (3, 224, 300),
    )
    assert found.scale == (found.mean[::-1], found.std[::-1])
    grey = found.override("channels=grey")
    assert grey.shape == (1, 224, 300)
    assert grey.mean == pytest.approx([sum(found.mean) / 3])
    assert grey.override("channels=rgb").mean == grey.mean * 3
    assert Preprocess().override("channels=grey,mean=0.5,std=0.25").scale == ((0.5,), (0.25,))
    padded = Preprocess().override("fit=pad,resize=200,crop=224,fill=0:128:255")
    assert padded.colour == (0, 128, 255) and replace(padded, fill=None).colour == (124, 116, 104)


def test_facts_of_what_there_was_from_the_start_stay_the_same() -> None:
    names = ("resize", "crop", "mean", "std", "interpolation")
    square = Preprocess(resize=(232, 232), crop=[224, 224], interpolation="bicubic")  # type: ignore[arg-type]
    assert square.facts() == {name: getattr(square, name) for name in names}
    assert (square.resize, square.crop) == (232, 224)
    assert Preprocess(fit="squash", crop=(100, 200)).facts() == {
        **{name: getattr(Preprocess(), name) for name in names},
        "crop": (100, 200),
        "fit": "squash",
    }


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("", "RGB, shorter side resized to 256 (bilinear), 224 x 224 cut from the centre, minus"),
        ("resize=9:8,crop=7:6", "cover 9 x 8 (height x width) (bilinear), 7 x 6 (height x width)"),
        ("fit=squash,resize=224", "both sides resized to 224 x 224 (bilinear), minus"),
        ("fit=squash", "both sides resized to 256 x 256 (bilinear), 224 x 224 cut"),
        ("fit=pad,resize=224", "to fit into 224 x 224 (bilinear), padded to 224 x 224 around"),
        ("channels=grey", "grey, one channel, shorter side"),
        ("channels=bgr", "BGR, "),
    ],
)
def test_it_is_said_in_words(fields: str, said: str) -> None:
    assert said in Preprocess().override(fields).in_words()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("resise=224", "nearest is resize"),
        ("resize", "FIELD=VALUE"),
        ("resize=2.5", "whole numbers"),
        ("crop=224,crop=200", "twice"),
        ("crop=300", "crop <= resize"),
        ("crop=0", "crop <= resize"),
        ("mean=0.5", "3 finite numbers"),
        ("mean=0.5:x:0.5", "0.5:0.5:0.5"),
        ("mean=0.5:nan:0.5", "3 finite numbers"),
        ("std=0.5:0:0.5", "above 0"),
        ("interpolation=spline", "bilinear, bicubic, nearest"),
        ("crop=224:x", "whole numbers of pixels, as in 256, or HEIGHT:WIDTH"),
        ("crop=1:2:3", "whole numbers"),
        ("crop=100:300", "crop=100:300 with resize=256; expected 1 <= crop <= resize"),
        ("resize=0,fit=pad", "1 <= resize"),
        ("fit=stretch", "crop, squash, pad"),
        ("channels=rgba", "rgb, bgr, grey"),
        ("channels=grey,mean=0.5:0.5:0.5", "1 finite number"),
        ("fill=0:0:256", "levels from 0 to 255"),
        ("fill=red", "numbers, as in 0:0:0"),
    ],
)
def test_override_refuses(fields: str, said: str) -> None:
    with pytest.raises(RequestError, match="preprocess") as caught:
        Preprocess().override(fields)
    assert said in str(caught.value)
