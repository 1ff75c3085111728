"""Examples: the lowest, the middle and the highest, a third each."""

import pyarrow as pa
import pytest

from pipeline.report.examples import choose


@pytest.mark.parametrize("total", [0, 1, 2, 5, 12, 30])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 12])
def test_a_third_each_of_lowest_middle_and_highest(total, count):
    names = [f"{n:02d}" for n in range(total)]
    chosen = choose(pa.table({"id": pa.array(names, pa.string())}), count)
    every = [id_ for ids in chosen.values() for id_ in ids]
    assert len(set(every)) == len(every) == min(count, total)
    assert every == sorted(every)
    lowest, middle, highest = chosen.values()
    assert lowest == names[: len(lowest)] and highest == names[total - len(highest) :]
    assert len(lowest) - len(middle) in (0, 1) and len(lowest) - len(highest) in (0, 1)
    if middle:  # as many images on either side of them, but for one
        below = names.index(middle[0]) - len(lowest)
        above = total - len(highest) - 1 - names.index(middle[-1])
        assert above - below in (0, 1)
