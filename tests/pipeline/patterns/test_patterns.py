"""Patterns: clusters where they are known, figures re-derived, labels that everybody reads."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import adjusted_rand_score

import pipeline
from pipeline import RequestError
from pipeline.analysis import Kind
from pipeline.patterns import PatternsConfig, clustered, divided, find_patterns
from pipeline.patterns import clusters as clusters_module
from pipeline.regions import regions_of
from pipeline.shapes import write_dataset
from pipeline.store import RunFolder
from tests.analyses import analyse, explain, rows
from tests.planted_cues import check, look_for_cues

WAYS = np.eye(8)  # directions of features


def around(*counts, spread=0.08, seed=0):
    """Features around so many directions, and their cluster."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(counts)), counts)
    return WAYS[truth] + spread * rng.standard_normal((len(truth), 8)), truth


def test_clusters_are_found_and_so_is_their_number():
    for counts in ((30, 12), (40, 20, 9), (10, 5)):
        features, truth = around(*counts)
        labels = clustered(features)
        assert adjusted_rand_score(truth, labels) > 0.9, counts
        sizes = np.bincount(labels[labels >= 0])
        assert len(sizes) == len(counts) and list(sizes) == sorted(sizes, reverse=True)


def test_what_is_like_nothing_else_is_of_no_cluster():
    features, _ = around(30, 20)
    strange = np.concatenate([features, [[0, 0, 1, 1, 1, 0, 0, 0]], [[0, 0, 0, 0, 0, -1, 1, 0]]])
    assert list(clustered(strange)[-2:]) == [-1, -1]


def test_few_regions_and_regions_all_alike_are_one_cluster():
    assert list(clustered(around(2, 2)[0])) == [0, 0, 0, 0]
    assert set(clustered(np.ones((20, 8)))) == {0}
    assert clustered(np.zeros((1, 8))).tolist() == [0]


def test_lengths_of_features_do_not_matter_and_neither_does_the_order():
    features, _ = around(30, 12)
    labels = clustered(features)
    lengths = np.random.default_rng(1).uniform(1, 9, (len(features), 1))
    assert (clustered(features * lengths) == labels).all()
    order = np.random.default_rng(2).permutation(len(features))
    assert adjusted_rand_score(clustered(features[order]), labels[order]) == 1


def test_no_cluster_lies_on_the_object_and_beside_it():
    features, truth = around(20, 8)
    beside = np.arange(28) % 7 == 0  # like the others to the classifier
    labels = divided(features, beside)
    for label in range(labels.max() + 1):
        assert len(set(beside[labels == label])) == 1
    assert adjusted_rand_score(2 * truth + beside, labels) > 0.85
    assert divided(features, np.arange(28) == 3)[3] == -1  # alone
    assert divided(features[:3], np.arange(3) == 1).tolist() == [0, 1, 0]


def test_of_very_many_regions_a_sample_is_clustered_and_any_seed_finds_the_same(monkeypatch):
    monkeypatch.setattr(clusters_module, "MOST", 240)
    features, truth = around(300, 150, 60)
    found = [clustered(features, seed) for seed in range(4)]
    assert (clustered(features, 3) == found[3]).all()
    for labels in found:
        assert (labels < 0).mean() < 0.1 and adjusted_rand_score(truth, labels) > 0.9


class Painter:
    """Writes regions whose features are known: those of round 0 of every third image differ."""

    classifier = preprocess = None

    def __init__(self, device):
        pass

    def prepare(self, given):
        return None

    def __call__(self, batch):
        found = [painted(given.one) for given in batch]
        return {"regions": [r for own, _ in found for r in own], "context": [c for _, c in found]}


def painted(one):
    number, target = int(one.id.removeprefix("shapes-")), one.row["target"]
    key = {"id": one.id, "target": target}
    rng = np.random.default_rng(number)
    regions = []
    for round_, way in enumerate((number // 10 % 3 == 0, 2)):
        place = dict.fromkeys(("x0", "y0", "cx", "cy"), 0.0) | {"x1": 1.0, "y1": 1.0}
        scores = {"score_kept": 0.9 - number / 1000, "score_removed": 0.1}
        scores |= {"outside": way / 2, "score_outside": way / 4 + number / 1000}
        features = (WAYS[int(way)] + 0.05 * rng.standard_normal(8)).astype(np.float16)
        regions.append(
            {**key, **place, **scores, "restart": 0, "round": round_, "area": 0.2}
            | {"becomes": 0, "becomes_name": "", "becomes_score": 0.5, "features": features}
        )
    return regions, {**key, "target_name": "", "score": 1.0, "score_nothing": 0.01}


PAINT = {"name": "regions", "settings": {"layer": None}, "make": Painter, "pixels": False}


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """A run of 60 images, six of each class, in shards of 20."""
    folder = tmp_path_factory.mktemp("painted")
    manifest = write_dataset(folder / "data", 60, 0)
    explain(manifest, folder / "out", shard_size=20, areas=[0.2])
    return folder


@pytest.fixture
def out(explained, tmp_path):
    shutil.copytree(explained / "out", tmp_path / "out")
    analyse(tmp_path / "out", paint(tmp_path / "out"))
    return tmp_path / "out"


def paint(out):
    return Kind(tables=regions_of(pipeline.read(str(out))).tables, **PAINT)


def find(out, **config):
    return find_patterns(pipeline.read(str(out)), PatternsConfig(**config))


def test_every_reader_sees_the_labels_and_nothing_else_has_changed(out):
    before = rows(out, "regions")
    assert {row["pattern"] for row in before} == {None}
    found = find(out)
    assert (found.regions, found.lacking) == (120, 0)
    after = pq.read_table(out / "regions").to_pylist()
    assert sorted(map(key, rows(out, "regions"))) == sorted(map(key, after))
    labels = {key(row): row.pop("pattern") for row in after}
    for row in after:
        wanted = None if labels[key(row)] is None else row["target"]
        assert row.pop("pattern_target") == wanted
    for row in before:
        assert row.pop("pattern") is None and row.pop("pattern_target") is None
    assert sorted(before, key=key) == sorted(after, key=key)
    for target in range(10):  # 4, 2 and 6 regions of each class around one direction each
        own = {place: label for place, label in labels.items() if place[1] == target}
        truth = [1 if place[2] else 2 * (number(place) // 10 % 3 == 0) for place in own]
        assert adjusted_rand_score(truth, list(own.values())) > 0.6
    assert analyse(out, paint(out)).explained == 0  # nothing to be done again


def key(row):
    return row["id"], row["target"], row["round"]


def number(place):
    return int(place[0].removeprefix("shapes-"))


def test_every_figure_follows_from_the_labelled_regions(out):
    find(out)
    reader = pipeline.read(str(out))
    images = {row["id"]: row for row in reader.images.to_table().to_pylist()}
    regions = rows(out, "regions")
    table = reader.derived("patterns").to_table().to_pylist()
    assert {(row["target"], row["pattern"]) for row in table} == {
        (row["target"], row["pattern"]) for row in regions if row["pattern"] is not None
    }
    for row in table:
        whole = [r for r in regions if r["target"] == row["target"]]
        own = [r for r in whole if r["pattern"] == row["pattern"]]
        ids = {r["id"] for r in own}
        assert (row["regions"], row["images"], row["share"]) == (len(own), len(ids), len(ids) / 6)
        assert row["target_name"] == images[own[0]["id"]]["target_name"]
        for name in ("score_kept", "outside"):
            assert row[name] == pytest.approx(np.mean([r[name] for r in own]))
        held = {r["id"]: 0.0 for r in own}
        for r in own:
            held[r["id"]] = max(held[r["id"]], r["score_outside"] - 0.01)
        assert row["reliance"] == pytest.approx(sum(held.values()) / 6)
        right = {r["id"]: images[r["id"]]["predicted"] == r["target"] for r in whole}
        with_, without = ([right[i] for i in right if (i in ids) == has] for has in (True, False))
        assert row["accuracy_with"] == np.mean(with_)
        assert row["accuracy_without"] == (np.mean(without) if without else None)
        assert set(row["examples"]) == ids and len(row["examples"]) == len(ids)
        features = np.array([r["features"] for r in own], np.float32)
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        nearest = own[int((features @ features.mean(0)).argmax())]
        assert row["examples"][0] == nearest["id"]
    assert [r["reliance"] for r in table] == sorted((r["reliance"] for r in table), reverse=True)


def test_patterns_of_a_run_that_has_grown(explained, tmp_path):
    out = tmp_path / "out"
    explain(explained / "data" / "manifest.csv", out, shard_size=20, areas=[0.2], limit=40)
    analyse(out, paint(out))
    find(out)
    explain(explained / "data" / "manifest.csv", out, shard_size=20, areas=[0.2])
    assert find(out).lacking == 20
    assert analyse(out, paint(out)).explained == 20
    labelled = [row["pattern"] is not None for row in rows(out, "regions")]
    assert len(labelled) == 120 and 60 < sum(labelled) <= 80
    found = find(out)
    assert (found.regions, found.lacking) == (120, 0) and found.alone < 20
    assert len(rows(out, "regions")) == pq.read_table(out / "regions").num_rows == 120


def test_a_crash_while_labelling_loses_no_region(out, monkeypatch):
    find(out)
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "begin", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            find(out)
    assert pipeline.read(str(out)).derived("patterns") is None
    assert len(rows(out, "regions")) == 120
    assert analyse(out, paint(out)).explained == 0
    assert len(find(out).rows) > 10
    assert pq.read_table(out / "regions").num_rows == 120


def test_by_the_class_predicted_and_the_errors_alone(out, xaipipe):
    images = pipeline.read(str(out)).images.to_table().to_pylist()
    predicted = {row["id"]: row["predicted"] for row in images}
    wrong = {row["id"] for row in images if row["predicted"] != row["target"]}
    find(out, by="predicted")
    for row in rows(out, "regions"):
        assert row["pattern"] is None or row["pattern_target"] == predicted[row["id"]]
    if wrong:
        assert find(out, wrong_only=True).regions == 2 * len(wrong)
    else:
        with pytest.raises(RequestError, match="wrong about"):
            find(out, wrong_only=True)


def test_the_command_asks_for_regions_then_prints_the_cue_list(explained, out, xaipipe):
    code, text = xaipipe("patterns", explained / "out")
    assert code == 2 and "has no regions yet" in text and "xaipipe regions" in text
    code, text = xaipipe("patterns", out)
    assert code == 0 and "patterns in 120 regions" in text, text
    first = pipeline.read(str(out)).derived("patterns").to_table().to_pylist()[0]
    assert text.index(f" {first['target_name']} {first['pattern']} ") < text.index("images: of")
    assert "bold: a reliance of at least 0.1" in text
    assert xaipipe("report", out)[0] == 0
    where = f"target = {first['target']} AND predicted >= 0"  # beside a table of lists of floats
    code, text = xaipipe("show", out, "--where", where, "--top", 2, "--to", out.parent / "shown")
    assert code == 0 and list((out.parent / "shown").glob("*.png")), text


@pytest.mark.long
def test_planted_cues_come_first_and_nothing_else_is_suspected(tmp_path):
    manifest = write_dataset(tmp_path / "data", 40, 5)
    found = check(look_for_cues(manifest, tmp_path / "out"), manifest)
    assert found.first == found.planted == found.cues, found
    assert found.suspected == found.suspects, found
    assert found.most < 0.1 < found.least, found
