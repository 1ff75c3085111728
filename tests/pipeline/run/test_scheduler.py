"""The scheduler on a real Ray, with workers that compute nothing."""

from contextlib import nullcontext

from pipeline.manifest.manifest import ImageRef
from pipeline.run.scheduler import run_on_ray
from pipeline.run.workers import Workers
from pipeline.tables.shard import Shard


def test_a_death_while_decoding_blames_no_neighbour():
    def make(name):
        """A worker that dies when it begins to decode poison; here, so that it is pickled whole."""
        import os
        import time

        from pipeline.benchmark.sleeper import Sleeper

        class Fragile(Sleeper):
            notes = (f"{name} is here", "so are we all")

            def __call__(self, shard, turn=None):
                if any(ref.id.startswith("poison") for ref in shard.refs):
                    time.sleep(0.1)  # as a neighbour is in its turn
                    os._exit(7)
                with turn or nullcontext():
                    time.sleep(0.2)
                    return super().__call__(shard)

        return Fragile(0.0, name)

    ids = ["a", "poison-1", "b", "c", "poison-2", "d"]
    shards = [Shard((ImageRef(id=i, image=f"{i}.jpg", target=0, extra={}),)) for i in ids]
    said = []
    workers = Workers(make=make, count=1, device="cpu")
    results = [r for r in run_on_ray(iter(shards), workers, None, said.extend) if r is not None]
    assert sorted(i for r in results for i in r.commit.explained) == ["a", "b", "c", "d"]
    assert sorted(i for r in results for i in r.commit.failed) == ["poison-1", "poison-2"]
    assert said[:4] == ["worker-0 is here", "so are we all", "worker-1 is here", "so are we all"]
