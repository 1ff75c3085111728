"""The tables of a run: their schemas, the rows of a shard, and reading all of it back."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.tables.cutting import cut
    from pipeline.tables.explained import ExplainedImage, MaskArray, RunSettings, whole_box
    from pipeline.tables.reader import RunReader, read
    from pipeline.tables.records import Row, explanation_row, failure_row, image_row, mask_rows, png
    from pipeline.tables.reviews import THING, VERDICTS, WITHDRAWN, write_reviews
    from pipeline.tables.run_tables import RunTables
    from pipeline.tables.schemas import IMAGES, SCHEMA_VERSION, check_version, decode, encode
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
