"""Which classes a run is asked for: how it reaches workers, is refused, or stays with the run."""

import pickle

import pytest

import pipeline
from pipeline import Request, RequestError, load_job
from pipeline.manifest import Manifest
from pipeline.results import model_of
from pipeline.run.worker import ShardWorker
from pipeline.shapes import CLASSES
from pipeline.tables.shard import Shard
from tests.shards import CENTRE, refs_of, spec_of, tables


def test_what_is_asked_travels_to_other_workers(dataset, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(map(str.upper, CLASSES)))
    given = {"labels": str(tmp_path / "names.txt"), "head": "sigmoid", "targets": "all>.3"}
    spec = pickle.loads(
        pickle.dumps(spec_of(dataset, **given, **{"objective.contrast": CLASSES[3]}))
    )
    worker = ShardWorker(spec)
    assert (worker.classifier.head, worker.classifier.classes[3]) == ("sigmoid", CLASSES[3].upper())
    assert (str(worker.asking.rule), worker.asking.contrast) == ("all>0.3", 3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objective.contrast": "striped-disk"}, "nearest is 'striped-disc'; or give runner-up"),
        ({"objective.contrast": 10}, "objective.contrast: 10 is no class index; expected 0 to 9"),
        ({"method": "ep", "objective.contrast": 1}, "it is a setting of inr, pixels"),
        ({"targets": "top11"}, "the classifier has 10 classes"),
        ({"targets": "all>2"}, "no score is above 2"),
        ({"head": "relu"}, "head: Input should be 'softmax' or 'sigmoid', got 'relu'"),
    ],
)
def test_what_cannot_be_asked_is_said(dataset, changes, said):
    with pytest.raises(RequestError) as error:
        spec_of(dataset, **changes)
    assert said in str(error.value)


def test_with_the_rule_label_every_row_needs_a_target(dataset, tmp_path):
    image = refs_of(dataset)[0].image
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"id,image,target\na,{image},3\nb,{image},\n")
    with pytest.raises(RequestError, match="line 3: no target, which --targets label needs"):
        spec_of(manifest, targets="label")
    assert [ref.target for ref in Manifest(str(manifest), classes=CLASSES)] == [3, None]
    manifest.write_text(f"id,image,target\na,{image},3\n")
    (row,) = tables(
        ShardWorker(spec_of(manifest, targets="label", **CENTRE))(Shard(refs_of(manifest)))
    )["images"]
    assert row["target"] == 3


def explain(manifest, out, **changes):
    job = {"manifest": str(manifest), "out": str(out), "workers": 0, "model": "builtin:shapes"}
    request = Request(load_job(None, {**job, "method": "centre", "areas": [0.1, 0.3], **changes}))
    return pipeline.run.run(request, lambda progress: None)


def test_a_run_with_several_classes_is_resumed_and_grows_by_images(dataset, tmp_path):
    out = tmp_path / "out"
    asked = {"targets": "top2", "shard_size": 2}
    first = explain(dataset, out, limit=2, **asked)
    assert (first.explained, first.images) == (2, 2)
    again = explain(dataset, out, limit=2, **asked)
    assert (again.explained, again.done_before) == (0, 2)
    grown = explain(dataset, out, **asked)
    assert (grown.explained, grown.done_before, grown.failed) == (2, 2, 0)
    run = pipeline.read(str(out))
    assert run.images.count_rows() == 8 and len(run.ids(9)) == 4
    status = pipeline.run.Status.of(run.folder)
    assert (status.explained, status.failed, status.pending) == (4, 0, 0)
    id_ = run.ids(1)[0]
    one, two = run.images_of(id_)
    assert run.explained(id_, two["target"]).row == two and run.explained(id_).row == one
    with pytest.raises(RequestError, match="class 77 is not explained; explained are"):
        run.explained(id_, 77)
    for changes in ({"targets": "top1"}, {}, {"targets": "top2", "head": "sigmoid"}):
        with pytest.raises(RequestError, match="another configuration"):
            explain(dataset, out, **changes)


def test_a_run_of_before_there_was_a_choice_goes_on(dataset, tmp_path):
    import json

    out = tmp_path / "out"
    explain(dataset, out, limit=2, method="inr", steps=2)
    file = out / "_run" / "fingerprint.json"
    known = json.loads(file.read_text())
    for name in ("targets", "head", "labels"):
        assert known.pop(name) is None
    assert known["objective"].pop("contrast") is None
    file.write_text(json.dumps(known))
    assert explain(dataset, out, method="inr", steps=2).explained == 2
    names = pipeline.read(str(out)).images.schema.names
    assert "contrast" not in names and pipeline.read(str(out)).images.count_rows() == 4


def test_class_names_of_a_file_are_kept_with_the_run(dataset, tmp_path):
    names = [f"thing {k}" for k in range(len(CLASSES))]
    file = tmp_path / "names.txt"
    file.write_text("\n".join(names))
    manifest = tmp_path / "m.csv"
    image = refs_of(dataset)[0].image
    manifest.write_text(f"id,image,target\na,{image},Thing 4\n")
    out = tmp_path / "out"
    explain(manifest, out, labels=str(file))
    run = pipeline.read(str(out))
    (row,) = run.images_of("a")
    assert (row["target"], row["target_name"]) == (4, "thing 4")
    file.write_text("\n".join(names[::-1]))
    with pytest.raises(RequestError, match="labels: the run has"):
        explain(manifest, out, labels=str(file))
    file.unlink()
    assert model_of(run).load().classes == tuple(names)
