"""Storage: whole files in a folder or bucket, the lock on a run, and its commits."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.store.commits import Commit, hash_of, name_of, shard_name
    from pipeline.store.committed import Committed
    from pipeline.store.contents import Contents
    from pipeline.store.folder import RunFolder
    from pipeline.store.layout import RUN, TABLES, Layout, derived
    from pipeline.store.lock import Holder, RunLock
    from pipeline.store.process import age, private_memory
    from pipeline.store.store import Store
else:
    __getattr__, __dir__ = lazy(__name__)
