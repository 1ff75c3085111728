"""What is checked and sent, without a cluster."""

import fsspec
import pytest
import yaml

from pipeline import RequestError, load_job
from pipeline.run.cluster import code_of
from pipeline.shapes import load_shapes, write_dataset
from pipeline.submission import check_here, package, packed


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a manifest of local images, and weights; it is the current one."""
    import torch

    manifest = write_dataset(tmp_path / "data", 2, 0)
    lines = [",".join(line.split(",")[:2]) for line in manifest.read_text().splitlines()]
    manifest.write_text("\n".join(lines) + "\n")  # id, image
    torch.save(load_shapes().state_dict(), tmp_path / "w.pth")
    monkeypatch.chdir(tmp_path)
    return tmp_path


MINE = {"model": "python:pipeline.shapes:ShapesNetwork", "weights": "w.pth"}


def job(**changes):
    given = {"manifest": "data/manifest.csv", "out": "s3://bucket/out", "model": "builtin:shapes"}
    return load_job(None, {**given, "address": "head:8265", "restarts": 3, **changes})


def sent(job):
    """The job file, the names of the other files, and the notes."""
    with packed(job, check_here(job)) as found:
        data = yaml.safe_load((found.folder / "job.yaml").read_text())
        files = {p.relative_to(found.folder).as_posix() for p in found.folder.rglob("*")}
        return data, {f for f in files if (found.folder / f).is_file()} - {"job.yaml"}, found.notes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"manifest": "gone.csv"}, "--manifest gone.csv: there is no such file on this machine"),
        ({"weights": "gone.pth"}, "--weights gone.pth: there is no such file"),
        ({"start_file": "gone.pth"}, "--start gone.pth: there is no such file"),
        ({"start_file": "w.pth"}, "--start w.pth: does not fit a learned start"),
        ({"root": "gone"}, "--root gone: there is no such file"),
        ({"model": "export:gone.pt2"}, "--model gone.pt2: there is no such file"),
        ({"model": "hf:./gone"}, "--model gone: there is no such file"),
        ({"model": "export:w.pth", "weights": "w.pth"}, "brings its own weights"),
        ({"model": "torchvision:resnet18", "weights": "w.pth"}, "does not fit"),
        ({"model": "python:pipeline.shapes:NOTHING"}, "python:pipeline.shapes:NOTHING"),
        ({"out": None}, "nowhere to write"),
        ({"out": "https://me:SECRET@host/out"}, "credentials would be sent"),
        ({"manifest": "https://host/m.csv?X-Amz-Signature=SECRET"}, "credentials would be sent"),
    ],
)
def test_a_wrong_request_is_refused_here(here, changes, message):
    with pytest.raises(RequestError, match=message) as found:
        check_here(job(**changes))
    assert "SECRET" not in str(found.value)


def test_a_manifest_with_mistakes_is_refused_here(here):
    (here / "data" / "manifest.csv").write_text("id,image\na,x.png\na,y.png\n")
    with pytest.raises(RequestError, match="line 3"):
        check_here(job())


def test_what_only_the_cluster_has_is_not_looked_at(here):
    (here / "data" / "manifest.csv").write_text("image,target\nx.png,the class of another\n")
    assert check_here(job(model="torchvision:resnet50")) is None
    check_here(job(manifest="s3://bucket/m.csv", model="torchvision:resnet50"))
    check_here(job(model="python:only_there:build"))


def test_small_files_travel_under_their_own_names(here):
    data, files, notes = sent(job(**MINE, manifest=str(here / "data/manifest.csv")))
    assert files == {"w.pth", "files/manifest/manifest.csv"}
    assert (data["weights"], data["manifest"]) == ("w.pth", "files/manifest/manifest.csv")
    assert data["root"] == str(here / "data")  # images are where they were
    assert (data["address"], data["out"], data["restarts"]) == ("auto", "s3://bucket/out", 3)
    assert any("every node must be able to read the images" in note for note in notes)
    assert any("AWS's credentials" in note for note in notes)
    assert load_job(None, data).config == job().config


def test_large_files_folders_and_outputs_stay_and_it_is_said(here, monkeypatch):
    monkeypatch.setattr(package, "MOST_BYTES", 1000)
    data, files, notes = sent(job(**MINE, manifest="data/images", out="out"))
    assert files == set()
    assert data["weights"] == str(here / "w.pth")
    assert data["manifest"] == str(here / "data" / "images")
    assert data["out"] == str(here / "out")
    for path in ("w.pth", "data/images", "out"):
        assert any(str(here / path) in note for note in notes), path


def test_urls_are_left_as_they_are(here, s3_url):
    weights = f"{s3_url}/w.pth"
    with fsspec.open(weights, "wb") as file:
        file.write((here / "w.pth").read_bytes())
    data, files, notes = sent(job(manifest="gs://bucket/m.csv", weights=weights))
    assert (files, data["manifest"], data["weights"]) == (set(), "gs://bucket/m.csv", weights)
    assert any("Google's credentials" in note for note in notes)


def test_the_code_of_a_classifier_is_its_module_and_what_it_imports_beside_it(here):
    (here / "alone_module.py").write_text("import beside_package.part\nimport yaml\n")
    (here / "unrelated_module.py").write_text("")
    (here / "beside_package").mkdir()
    (here / "beside_package" / "__init__.py").write_text("")
    (here / "beside_package" / "part.py").write_text("")
    folder, parts = code_of("alone_module:build")
    assert folder == here and [p.name for p in parts] == ["alone_module.py", "beside_package"]
    with packed(job(model="python:alone_module:build"), None) as found:
        files = {p.relative_to(found.folder).as_posix() for p in found.folder.rglob("*.py")}
    assert files == {
        "alone_module.py",
        "beside_package/__init__.py",
        "beside_package/part.py",
    }
    assert code_of("yaml:load")[1] == code_of("pipeline.shapes:ShapesNetwork")[1] == []


def test_code_that_is_installed_or_elsewhere_must_be_there(here):
    _, _, notes = sent(job(model="python:torchvision.models:resnet18"))
    assert any("must be installed there" in note for note in notes)
    _, _, notes = sent(job(model="python:only_there:build"))
    assert any("is not on this machine" in note for note in notes)
