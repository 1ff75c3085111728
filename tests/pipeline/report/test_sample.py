"""The sample of a large run: what is wanted, the ends of the ranking, every class by its share."""

from collections import Counter

import pyarrow as pa
import pytest

from pipeline.report.sample import sample
from pipeline.report.totals import RANKED


def ranking(total, classes=4):
    rows = [
        {
            "id": f"{n:04d}",
            "target": n % classes,
            "target_name": f"c{n % classes}",
            "kept": n / total,
        }
        for n in range(total)
    ]
    return pa.Table.from_pylist(rows, schema=RANKED)


@pytest.mark.parametrize("total", [0, 1, 7, 12])
def test_a_run_that_fits_is_shown_whole(total):
    chosen = sample(ranking(total), 12)
    assert chosen.total == total and set(chosen.why.values()) <= {"all"}
    assert [id_ for id_, _ in chosen.why] == [f"{n:04d}" for n in range(total)]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 12, 40])
@pytest.mark.parametrize("total", [41, 200])
def test_the_ends_and_every_class_by_its_share(total, count):
    chosen = sample(ranking(total), count)
    assert len(chosen.why) == count and chosen.total == total
    by = {
        name: [id_ for id_, n in chosen.why if chosen.why[id_, n] == name]
        for name in ("lowest", "highest", "spread")
    }
    few = count // 4
    assert by["lowest"] == [f"{n:04d}" for n in range(few)]
    assert by["highest"] == [f"{total - 1 - n:04d}" for n in range(few)]
    shares = Counter(int(id_) % 4 for id_ in by["spread"])
    assert max(shares.values(), default=0) - min(shares.values(), default=0) <= 2
    for of_class in range(4):  # low and high scores of each class
        own = [int(id_) for id_ in by["spread"] if int(id_) % 4 == of_class]
        if len(own) > 3:
            assert min(own) < total / 2 < max(own)


def test_wanted_images_come_first_and_take_half_at_the_most():
    wanted = [(f"{n:04d}", n % 4) for n in (50, 60, 51, 50)] + [("unknown", 0), ("0052", 3)]
    chosen = sample(ranking(100), 20, wanted)
    assert [key for key, why in chosen.why.items() if why == "pattern"] == wanted[:3]
    assert len(chosen.why) == 20
    many = [(f"{n:04d}", n % 4) for n in range(40, 80)]
    assert list(sample(ranking(100), 20, many).why.values()).count("pattern") == 10
