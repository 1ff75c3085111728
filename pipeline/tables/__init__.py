"""The tables of a run: their schemas, the rows of a shard, and reading all of it back."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.tables.reader import MaskArray, RunReader, read
    from pipeline.tables.records import Row, explanation_row, failure_row, image_row, mask_rows, png
    from pipeline.tables.run_tables import RunTables
    from pipeline.tables.schemas import SCHEMA_VERSION, encode
    from pipeline.tables.shard import Rows, Shard, ShardResult, shard_result
    from pipeline.tables.stored_masks import (
        StoredMasks,
        as_float,
        chain_masks,
        is_repeat,
        restart_masks,
    )
else:
    __getattr__, __dir__ = lazy(__name__)
