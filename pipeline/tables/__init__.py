"""The tables of a run: their schemas, the rows of a shard, and reading all of it back."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.tables.card import EMPTY, first_files
    from pipeline.tables.cutting import cut
    from pipeline.tables.damage import damaged_table
    from pipeline.tables.explained import (
        ExplainedImage,
        MaskArray,
        RunSettings,
        placed,
        rendered,
        whole_box,
    )
    from pipeline.tables.index import FileIndex
    from pipeline.tables.labels import labels_file, stored_labels
    from pipeline.tables.partitions import Partitions
    from pipeline.tables.reader import RunReader, read
    from pipeline.tables.records import (
        Row,
        explanation_row,
        failure_row,
        image_row,
        mask_rows,
        pixels_of,
        png,
    )
    from pipeline.tables.reviews import THING, VERDICTS, WITHDRAWN, write_reviews
    from pipeline.tables.run_tables import RunTables, most_frequent
    from pipeline.tables.schemas import (
        CONTRAST,
        FAILURES,
        IMAGES,
        SCHEMA_VERSION,
        check_version,
        decode,
        encode,
        encode_table,
    )
    from pipeline.tables.shard import Rows, Shard, ShardResult, encoded, failed_result, shard_result
else:
    __getattr__, __dir__ = lazy(__name__)
