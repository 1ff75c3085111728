"""Shards: every pending id in exactly one, whatever the sizes, also after any number of resumes."""

from __future__ import annotations

import uuid
from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.manifest.ids import Ids
from pipeline.run.batches import chunks
from pipeline.store import Committed, shard_name
from pipeline.store.store import Store
from tests.puppets import SmallRequest

few = settings(max_examples=80, deadline=None, derandomize=True)


@few
@given(st.lists(st.integers()), st.integers(1, 12))
def test_chunks_are_the_items_in_their_order(items: list[int], size: int) -> None:
    found = list(chunks(items, size))
    assert [item for chunk in found for item in chunk] == items
    assert [len(chunk) for chunk in found[:-1]] == [size] * (len(found) - 1)
    assert all(0 < len(chunk) <= size for chunk in found)


@few
@given(st.integers(1, 40), st.lists(st.tuples(st.integers(1, 50), st.integers(0, 6)), max_size=5))
def test_every_id_is_in_one_shard_of_one_of_the_resumes(
    images: int, resumes: list[tuple[int, int]]
) -> None:
    """Each resume has shards of another size, of which some are committed: any, not the first."""
    ids = [f"image-{n}" for n in range(images)]
    done: dict[str, int] = {}
    names: list[str] = []
    for size, kept in [*resumes, (7, images)]:
        request = SmallRequest(Store(f"memory://{uuid.uuid4().hex}"), images, shard_size=size)
        committed = Committed(explained=dict(done))
        plan = request.plan(committed)
        shards = [[ref.id for ref in s.refs] for s in request.shards(plan, committed, "")]
        pending = [id_ for id_ in ids if id_ not in done]
        assert [id_ for shard in shards for id_ in shard] == pending
        assert (plan.images, plan.done, plan.pending) == (images, len(done), len(pending))
        assert plan.shards == len(shards)
        for shard in shards[::-1][:kept]:
            assert done.keys().isdisjoint(shard)
            done.update(dict.fromkeys(shard, 7))
            names.append(shard_name(shard))
    assert done.keys() == set(ids)
    assert len(set(names)) == len(names)


@few
@given(st.lists(st.lists(st.text(max_size=6), min_size=1, max_size=4), unique_by=tuple))
def test_shards_of_other_ids_have_other_names(shards: list[list[str]]) -> None:
    names = [shard_name(shard) for shard in shards]
    assert len(set(names)) == len(shards)
    assert names == [shard_name(tuple(shard)) for shard in shards]
    assert set(names).isdisjoint(shard_name(shard, "again") for shard in shards)


@few
@given(st.lists(st.text(max_size=4)), st.lists(st.text(max_size=4)))
def test_ids_are_counted_like_a_set(inside: list[str], asked: list[str]) -> None:
    found = Ids(array("q", map(hash, inside or ["x"])))
    there = set(inside or ["x"])
    assert found.count(asked) == sum(id_ in there for id_ in asked)
    assert bool(found.repeated()) == (len(there) != len(inside or ["x"]))
