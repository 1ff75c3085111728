"""Problems: all are found in one pass, and ten of them are named."""

from __future__ import annotations

from pathlib import Path

from tests.manifests import (
    numbers,
    refusal,
    written,
)


def test_a_problem_is_one_line_and_many_are_cut_at_ten(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", "image,n\n" + "a.jpg,1\n" + ",1\n")
    assert refusal(uri) == f"{uri}: line 3: `image` is empty; expected a path or URL"
    message = refusal(written(tmp_path / "m.csv", "image,n\n" + ",1\n" * 13))
    assert numbers(message) == list(range(2, 12))
    assert message.splitlines()[-1].strip() == "and 3 more"
    message = refusal(written(tmp_path / "m.csv", "image,n\n" + ",1\n" * 10))
    assert "more" not in message


def test_all_kinds_of_problems_are_found_in_one_pass(tmp_path: Path) -> None:
    lines = [
        "id,image,target,bbox",
        "a,1.jpg,0,",
        "b,   ,0,",
        ",3.jpg,0,",
        "d,4.jpg,9,",
        "e,5.jpg,x,",
        "a,6.jpg,0,",
        "g,7.jpg,0",
        'h,8.jpg,0,"1,2,3"',
        'i,9.jpg,0,"0,0,1,1"',
    ]
    uri = written(tmp_path / "m.csv", "\n".join(lines) + "\n")
    assert numbers(refusal(uri, classes=5)) == [3, 4, 5, 6, 7, 8, 9]
