"""Several classes of an image, and classes against others, in every command that reads a run."""

import csv
import json
import shutil

import pytest

import pipeline
from tests.reports import Page

GIVEN = ("--model", "builtin:shapes", "--workers", "0", "--areas", ".1,.3", "--steps", "2")
CONTRAST = ("--targets", "top2", "--set", "objective.contrast=striped-disc")


@pytest.fixture(scope="module")
def manifest(shapes_run):
    return shapes_run.parent / "data" / "manifest.csv"


@pytest.fixture(scope="module")
def runs(manifest, tmp_path_factory):
    """Two runs over the same classes: one against all others, one against a single one."""
    from pipeline import Request, load_job

    folder = tmp_path_factory.mktemp("classes")
    given = {"manifest": str(manifest), "model": "builtin:shapes", "workers": 0, "steps": 2}
    for name, more in (("plain", {}), ("contrast", {"objective.contrast": "striped-disc"})):
        job = {**given, "areas": [0.1, 0.3], "targets": "top2", "out": str(folder / name), **more}
        pipeline.run.run(Request(load_job(None, job)), lambda progress: None)
    return folder


@pytest.fixture
def plain(runs, tmp_path):
    return shutil.copytree(runs / "plain", tmp_path / "plain")


@pytest.fixture
def contrast(runs, tmp_path):
    return shutil.copytree(runs / "contrast", tmp_path / "contrast")


def keys(out):
    rows = pipeline.read(str(out)).images.to_table().to_pylist()
    return sorted((row["id"], row["target"]) for row in rows)


def test_run_plan_and_status_say_what_is_explained(manifest, xaipipe, tmp_path):
    out = tmp_path / "out"
    code, text = xaipipe("plan", manifest, *GIVEN, *CONTRAST)
    assert code == 0 and "the 2 highest classes of each image, against striped-disc" in text
    single = xaipipe("plan", manifest, *GIVEN)[1]
    passes = [int(t.split("passes per image ")[1].split()[0]) for t in (single, text)]
    assert passes[1] == 2 * passes[0]
    code, text = xaipipe("run", manifest, *GIVEN, *CONTRAST, "--out", out)
    assert code == 0 and "explained 4 images" in text
    code, text = xaipipe("status", out)
    count = len(keys(out))
    assert "4 explained, 0 failed, 0 to go" in text and f"{count} explained, in all" in text
    code, text = xaipipe("run", manifest, *GIVEN, *CONTRAST, "--out", out)
    assert code == 0 and "explained 0 images" in text and "4 were done before" in text
    code, text = xaipipe("run", manifest, *GIVEN, "--out", out)
    assert code == 2 and 'targets: the run has "top2"' in text


def test_show_draws_all_classes_or_one(plain, contrast, xaipipe, tmp_path):
    id_, target = keys(plain)[-1]
    name = pipeline.read(str(plain)).explained(id_, target).row["target_name"]
    assert xaipipe("show", plain, id_, "--to", tmp_path / "all")[0] == 0
    assert {path.name for path in (tmp_path / "all").iterdir()} == {"contact.png"}
    for given in (name.upper(), target):
        to = tmp_path / f"one {given}"
        assert xaipipe("show", plain, id_, "--target", given, "--to", to)[0] == 0
        assert f"{id_}.png" in {path.name for path in to.iterdir()}
    to = tmp_path / "best"
    arguments = ("--target", target, "--sort", "score", "--top", 1, "--to", to)
    assert xaipipe("show", plain, *arguments)[0] == 0
    best = max(
        (row for row in pipeline.read(str(plain)).images.to_table().to_pylist()),
        key=lambda row: (row["target"] == target, row["score"]),
    )
    assert f"{best['id']}.png" in {path.name for path in to.iterdir()}
    code, text = xaipipe("show", plain, id_, "--target", "nothing", "--to", tmp_path / "none")
    assert code == 2 and "not explained here; explained are" in text
    assert xaipipe("show", contrast, id_, "--to", tmp_path / "against")[0] == 0


def test_metrics_regions_and_patterns_are_of_every_class(plain, xaipipe, here):
    wanted = keys(plain)
    arguments = ("--to", here / "m.parquet", "--plot", here / "f.png")
    code, text = xaipipe("evaluate", plain, *arguments)
    assert code == 0 and f"{len(wanted)} images, mean and 95 % interval" in text
    assert xaipipe("regions", plain)[0] == 0 and xaipipe("patterns", plain)[0] == 0
    run = pipeline.read(str(plain))
    for table in ("metrics", "regions"):
        rows = run.derived(table).to_table(columns=["id", "target"]).to_pylist()
        assert sorted({(row["id"], row["target"]) for row in rows}) == wanted
    code, _ = xaipipe("report", plain, "--metrics", here / "m.parquet", "--to", here / "r.html")
    assert code == 0
    cards = Page((here / "r.html").read_text()).data()["cards"]
    assert sorted((card["id"], card["target"]) for card in cards) == wanted
    assert {card["contrast"] for card in cards} == {None}


def test_two_runs_are_compared_class_by_class(plain, contrast, xaipipe, here):
    both = set(keys(plain)) & set(keys(contrast))
    assert both and both != set(keys(plain))  # the contrast itself is not explained there
    assert xaipipe("compare", plain, "--against", contrast)[0] == 0
    assert xaipipe("diff", plain, contrast)[0] == 0
    rows = pipeline.read(str(plain)).derived(*diffs(plain)).to_table().to_pylist()
    assert {(row["id"], row["target"]) for row in rows} == both


def diffs(out):
    return [f"diff/{path.name}" for path in (out / "diff").iterdir()]


def test_the_contrast_stands_on_the_page_and_in_the_export(contrast, xaipipe, here):
    assert xaipipe("report", contrast, "--to", here / "r.html")[0] == 0
    page = (here / "r.html").read_text()
    assert "against class" in page
    run = pipeline.read(str(contrast))
    for card in Page(page).data()["cards"]:
        one = run.explained(card["id"], card["target"])
        assert card["contrast"] == one.row["contrast_name"] == "striped-disc"
        assert card["contrast_score"] == pytest.approx(one.row["contrast_score"], abs=1e-4)
        for area, kept, removed, other_kept, other_removed in card["shown"][0]["scores"]:
            row = one.mask_row(area, card["shown"][0]["restart"], 0)
            stored = [row[f"{n}_{s}"] for n in ("score", "contrast") for s in ("kept", "removed")]
            assert [kept, removed, other_kept, other_removed] == pytest.approx(stored, abs=1e-4)
    assert xaipipe("export", contrast, "--to", "csv", "--dest", here / "csv")[0] == 0
    with (here / "csv" / "masks.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["contrast_name"] for row in rows} == {"striped-disc"}
    assert all(0 <= float(row["contrast_kept"]) <= 1 for row in rows)
    assert sorted({(row["id"], int(row["target"])) for row in rows}) == keys(contrast)
    assert xaipipe("export", contrast, "--to", "png", "--dest", here / "png")[0] == 0
    assert len(list((here / "png" / "masks").iterdir())) == len(keys(contrast))
    assert xaipipe("export", contrast, "--to", "coco", "--dest", here / "coco")[0] == 0
    results = json.loads((here / "coco" / "results.json").read_text())
    assert len(results) == len(keys(contrast))


def test_labels_name_the_classes_of_the_manifest_and_of_the_tables(manifest, xaipipe, tmp_path):
    (tmp_path / "names.csv").write_text("".join(f"{k},n{k}\n" for k in range(10)))
    (image,) = manifest.parent.glob("images/shapes-00000.png")
    (tmp_path / "m.csv").write_text(f"id,image,target\na,{image},n7\n")
    out = tmp_path / "out"
    arguments = (*GIVEN, "--labels", tmp_path / "names.csv", "--out", out)
    assert xaipipe("run", tmp_path / "m.csv", *arguments)[0] == 0
    assert pipeline.read(str(out)).image("a")["target_name"] == "n7"
    assert xaipipe("regions", out)[0] == 0
    (row,) = pipeline.read(str(out)).derived("regions").to_table().to_pylist()
    assert row["becomes_name"] == f"n{row['becomes']}"
    (tmp_path / "names.csv").write_text("0,n0\n")
    code, text = xaipipe("run", tmp_path / "m.csv", *arguments[:-1], tmp_path / "other")
    assert code == 2 and "1 names for the 10 classes" in text
