"""For tests of the report: tables of regions and patterns beside a run."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import pipeline

TEXT, INT, FLOAT = pa.string(), pa.int32(), pa.float64()
REGIONS = pa.schema(
    [("id", TEXT), ("target", pa.int64()), ("restart", INT), ("round", INT)]
    + [(name, FLOAT) for name in ("area", "x0", "y0", "x1", "y1", "cx", "cy", "outside")]
    + [(name, FLOAT) for name in ("score_kept", "score_removed", "becomes_score")]
    + [("becomes", pa.int64()), ("becomes_name", TEXT), ("pattern", INT)]
)
PATTERNS = pa.schema(
    [("target", pa.int64()), ("target_name", TEXT), ("pattern", INT)]
    + [("regions", INT), ("images", INT), ("share", FLOAT), ("round", INT)]
    + [(n, FLOAT) for n in ("score_kept", "outside", "accuracy_with", "accuracy_without")]
    + [("reliance", FLOAT), ("examples", pa.list_(TEXT))]
)


def write_patterns(out):
    """Every best region at its smallest stored area; its pattern is its round."""
    reader, regions = pipeline.read(str(out)), []
    images = reader.images.to_table().to_pylist()
    for image in images:
        for e in reader.rows("explanations", image["id"]):
            if e["best"] and e.get("target", image["target"]) == image["target"]:
                regions.append(region(reader, image, e))
    rows = patterns(regions, {i["target"]: i["target_name"] for i in images})
    for name, found, schema in (("regions", regions, REGIONS), ("patterns", rows, PATTERNS)):
        (out / name).mkdir()
        pq.write_table(pa.Table.from_pylist(found, schema), out / name / "a.parquet")
    return regions, rows


def region(reader, image, e):
    place = {"restart": e["restart"], "round": e["round"]}
    masks = reader.rows("masks", image["id"])
    mask = next(m for m in masks if place.items() <= m.items())
    hard = reader.stored_mask(image["id"], mask["area"], **place) > 127
    (y0, y1), (x0, x1) = ((n.min(), n.max() + 1) for n in np.nonzero(hard))
    crop, (height, width) = image["crop"], hard.shape
    across, down = (crop["x1"] - crop["x0"]) / width, (crop["y1"] - crop["y0"]) / height
    row = {"id": image["id"], "target": image["target"], **place, "pattern": e["round"]}
    row |= {"x0": crop["x0"] + x0 * across, "x1": crop["x0"] + x1 * across}
    row |= {"y0": crop["y0"] + y0 * down, "y1": crop["y0"] + y1 * down, "area": mask["area"]}
    row |= {"outside": (image["target"] % 3 + e["round"]) / 4, "becomes_name": "nothing <b>"}
    return row | {name: mask[name] for name in ("score_kept", "score_removed")}


def patterns(regions, names):
    rows = []
    for target, pattern in sorted({(r["target"], r["pattern"]) for r in regions}):
        own = [r for r in regions if (r["target"], r["pattern"]) == (target, pattern)]
        outside, kept = (sum(r[n] for r in own) / len(own) for n in ("outside", "score_kept"))
        images = len({r["id"] for r in own})
        whole = len({r["id"] for r in regions if r["target"] == target})
        row = {"target": target, "target_name": names[target], "pattern": pattern}
        row |= {"regions": len(own), "images": images, "share": images / whole, "round": pattern}
        row |= {"score_kept": kept, "outside": outside, "reliance": kept * outside}
        row |= {"accuracy_with": 0.5, "examples": [r["id"] for r in own]}
        rows.append(row)
    return rows
