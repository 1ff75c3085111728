"""Metrics of many images at once against a plain loop over images, areas and metrics."""

import importlib.util
import math

import pytest
import torch
from scipy.stats import spearmanr

import pipeline
from inr_core import MicroBatch, PerturbationConfig, Scene, baselines, gaussian_blur, metrics
from pipeline.classifiers import load_classifier
from pipeline.errors import RequestError
from pipeline.evaluation import available, evaluations
from pipeline.evaluation.inpainting import inpainted
from pipeline.images import load_image, truth_on_input
from pipeline.shapes import load_shapes, write_dataset
from pipeline.tables import pixels_of
from tests.analyses import analyse, explain

UNSEEN = (0.03, 0.07, 0.15, 0.3)
INR = {"method": "inr", "restarts": 2, "rounds": 2, "round_score": 0.0, "steps": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run, one with another seed, and one that has neither networks nor ground truth."""
    folder = tmp_path_factory.mktemp("runs")
    manifest = write_dataset(folder / "data", 5, 0)
    explain(manifest, folder / "ours", **INR, shard_size=5)
    explain(manifest, folder / "again", **INR, seed=3, limit=4)
    rows = [",".join(line.split(",")[:2]) for line in manifest.read_text().splitlines()]
    (folder / "data" / "plain.csv").write_text("\n".join(rows) + "\n")
    explain(folder / "data" / "plain.csv", folder / "disc")
    return folder


def measured(folder, name, **more):
    run = pipeline.read(str(folder / name))
    tables = []
    for kind in evaluations(run, **more):
        analyse(folder / name, kind, overwrite=True)
        (table,) = kind.tables
        tables += run.derived(table).to_table().to_pylist()
    return {(r["id"], r["metric"], r["area"]): r["value"] for r in tables}


def test_a_batch_of_images_has_the_values_of_a_loop(folder):
    again = pipeline.read(str(folder / "again"))
    found = measured(folder, "ours", judge=model(), repeats=[again])
    wanted = loop(pipeline.read(str(folder / "ours")), again, judged=True)
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert found[key] == pytest.approx(value, abs=1e-5), key
    assert {"seed_iou", "restart_iou", "kept_judge", "context", "path_ratio_unseen"} <= {
        metric for _, metric, _ in found
    }


def test_without_networks_ground_truth_and_further_runs(folder):
    found, wanted = measured(folder, "disc"), loop(pipeline.read(str(folder / "disc")))
    assert found.keys() == wanted.keys()
    assert all(found[key] == pytest.approx(wanted[key], abs=1e-5) for key in wanted)
    assert not {"precision", "area_error_unseen"} & {metric for _, metric, _ in found}


def test_baselines_that_no_method_saw(folder):
    names = available()
    assert ("telea" in names) == (importlib.util.find_spec("cv2") is not None)
    found, reader = measured(folder, "disc", baselines=names), pipeline.read(str(folder / "disc"))
    classifier, areas = load_classifier("builtin:shapes"), reader.config.areas
    for id_ in reader.ids(99):
        row = reader.image(id_)
        image = load_image(row["image"], classifier.preprocess).pixels
        for area, hard in zip(areas, top(masks(reader, id_), areas), strict=True):
            shown = gaussian_blur(hard[None, None].float(), 2 * 128 / 224)[0, 0]
            for side, known, mask in (("kept", hard, shown), ("removed", ~hard, 1 - shown)):
                for name in names:
                    rest = filling(name, image, known, classifier.preprocess)
                    logits = classifier.classify((mask * image + (1 - mask) * rest)[None])
                    wanted = logits.softmax(1)[0, row["target"]].item()
                    key = id_, f"{side}_{name}", area
                    assert found[key] == pytest.approx(wanted, abs=1e-4), key


def filling(name, image, known, preprocess):
    if name == "weak_blur":
        return gaussian_blur(image[None], 0.03 * 128)[0]
    return inpainted(image[None], known[None, None], preprocess)[0, 0]


def test_a_fine_tuned_copy_is_asked_like_the_classifier(folder, tmp_path, monkeypatch):
    code = "from pipeline.shapes import *\ndef make():\n    module = load_shapes()\n"
    code += "    module.preprocess = Preprocess(resize=SIZE, crop=SIZE, mean=MEAN, std=STD)\n"
    code += "    module.classes = CLASSES\n    return module\n"
    (tmp_path / "own_shapes.py").write_text("from pipeline.images import Preprocess\n" + code)
    monkeypatch.syspath_prepend(str(tmp_path))
    state = load_shapes().state_dict()
    torch.save(state, tmp_path / "own.pth")
    torch.save({k: 0.9 * v for k, v in state.items()}, tmp_path / "tuned.pth")
    given = {"model": "python:own_shapes:make", "weights": str(tmp_path / "own.pth"), "limit": 3}
    explain(folder / "data" / "manifest.csv", tmp_path / "out", **given)
    found = measured(tmp_path, "out", copy=str(tmp_path / "tuned.pth"))
    explain(
        folder / "data" / "manifest.csv",
        tmp_path / "as_own",
        **{**given, "weights": str(tmp_path / "tuned.pth")},
    )
    wanted = measured(tmp_path, "as_own")
    copied = {key for key in found if key[1].endswith("_copy")}
    assert {metric for _, metric, _ in copied} == {
        "kept_copy",
        "removed_copy",
        "single_deletion_copy",
    }
    for id_, metric, area in copied:
        own = metric.removesuffix("_copy")
        assert found[id_, metric, area] == pytest.approx(wanted[id_, own, area], abs=1e-6)
    assert any(found[i, m, a] != found[i, m.removesuffix("_copy"), a] for i, m, a in copied)
    run = pipeline.read(str(tmp_path / "out"))
    with pytest.raises(RequestError, match="are the weights that the run explained"):
        evaluations(run, copy=str(tmp_path / "own.pth"))
    with pytest.raises(RequestError, match="--copy-weights: .*gone"):
        evaluations(run, copy=str(tmp_path / "gone.pth"))


def model():
    from pipeline.results import Model

    return Model("builtin:shapes")


def loop(reader, again=None, judged=False):
    """Every image, metric and area by itself."""
    rows = {}
    for id_ in reader.ids(99):
        row, areas = reader.image(id_), reader.config.areas
        values = scores(row, masks(reader, id_), areas, judged, ranking(reader, id_))
        values |= behaviour(reader, id_, areas) | several(reader, id_, areas)
        values |= located(row, masks(reader, id_), areas)
        if again is not None and id_ in again.ids(99):
            hard = [top(masks(run, id_), areas) for run in (reader, again)]
            values["seed_iou"] = metrics.pairwise_iou(torch.stack(hard))
        for name, value in values.items():
            places = [None] if value.ndim == 0 else areas
            for area, number in zip(places, value.reshape(-1).tolist(), strict=False):
                if math.isfinite(number):
                    rows[id_, name, area] = number
    return rows


def ranking(reader, id_):
    """The stored order of the pixels, None for methods that have masks alone."""
    stored = reader.explained(id_).best()["ranking"]
    assert (stored is None) == (reader.fingerprint["method"] == "inr")
    return None if stored is None else torch.from_numpy(pixels_of(stored)).float() / 255


def masks(reader, id_, restart=None, round_=0):
    restart = reader.explained(id_).best()["restart"] if restart is None else restart
    rows = [m for m in reader.rows("masks", id_) if (m["restart"], m["round"]) == (restart, round_)]
    stored = [reader.stored_mask(id_, m["area"], restart=restart, round=round_) for m in rows]
    return torch.stack([torch.from_numpy(mask).float() / 255 for mask in stored])


def top(soft, areas):
    return metrics.top_area(soft, areas)


@torch.no_grad()
def scores(row, soft, areas, judged, map_):
    classifier, microbatch = load_classifier("builtin:shapes"), MicroBatch(1)
    classify = classifier.classify
    image = load_image(row["image"], classifier.preprocess).pixels[None]
    target, full = torch.tensor([row["target"]]), torch.tensor([row["score"]])
    blurred, coloured = (
        Scene(
            image_NCHW=image,
            baseline_NLCHW=baselines(image, config),
            target_N=target,
            pyramid=False,
        )
        for config in (PerturbationConfig(), PerturbationConfig(kind="mean"))
    )
    hard = metrics.hard_masks(soft[None], areas)
    found = metrics.score_masks(hard, blurred, classify, microbatch)
    values = {
        "kept": found.kept,
        "removed": found.removed,
        "kept_ratio": metrics.score_ratio(found.kept, full),
        "removed_ratio": metrics.score_ratio(found.removed, full),
        "drop": metrics.drop_percent(found.kept, full),
        "increase": metrics.increase_percent(found.kept, full),
        "gain": metrics.gain(found.kept, full),
        "monotone": metrics.monotone_share(found.kept),
        "minimal_area": metrics.minimal_areas(areas, found.kept, full),
        "top1_kept": metrics.top1_kept(
            found.top1, torch.tensor([row["predicted"] == row["target"]])
        ),
    }
    shown = {"soft": (soft[None], blurred), "mean_colour": (hard, coloured)}
    for suffix, (mask, scene) in {
        **shown,
        **({"judge": (hard, blurred)} if judged else {}),
    }.items():
        found = metrics.score_masks(mask, scene, classify, microbatch)
        values |= {f"kept_{suffix}": found.kept, f"removed_{suffix}": found.removed}
    for name in ("insertion", "deletion"):
        curve = getattr(metrics, f"{name}_curve")
        order = metrics.area_ranking(soft[None]) if map_ is None else map_[None]
        values[name] = metrics.curve_auc(curve(image, order, target, classify, microbatch))
    order = metrics.area_ranking(soft[None])[0] if map_ is None else map_
    values["single_deletion"] = torch.tensor([by_patches(image, order, row["target"], classify)])
    return {name: value[0] for name, value in values.items()}


def by_patches(image, order, target, classify):
    """Rank correlation of what 16 patches sum up to with how the logit falls without each."""
    whole, sums, falls = classify(image)[0, target], [], []
    for place in range(16):
        patch = [slice(32 * n, 32 * n + 32) for n in divmod(place, 4)]
        without = image.clone()
        without[0, :, patch[0], patch[1]] = 0
        sums.append(order[patch[0], patch[1]].double().sum().item())
        falls.append((whole - classify(without)[0, target]).item())
    return spearmanr(sums, falls).statistic


def behaviour(reader, id_, areas):
    soft = masks(reader, id_)[None]
    values = of_areas(soft, areas)
    values["binariness_gap"] = metrics.binariness_gap(soft)[0]
    values["perimeter"] = metrics.disc_ratio(top(soft, areas))[0]
    values["components"] = metrics.count_components(top(soft, areas))[1][0]
    if reader.networks:
        grid = sorted({*areas, *UNSEEN})
        every = [torch.from_numpy(reader.render(id_, area)).float() / 255 for area in grid]
        unseen = of_areas(torch.stack(every)[None], grid)
        unseen["area_error"] = unseen["area_error"].max()
        values |= {f"{name}_unseen": value for name, value in unseen.items()}
    return values


def of_areas(soft, areas):
    return {
        "area_error": metrics.area_error(soft, areas)[0],
        "nestedness": metrics.nestedness(soft)[0],
        "path_ratio": metrics.path_ratio(soft)[0],
    }


def several(reader, id_, areas):
    rows = reader.rows("explanations", id_)
    best = reader.explained(id_).best()["restart"]
    restarts = sorted(e["restart"] for e in rows if e["round"] == 0)
    rounds = sorted(e["round"] for e in rows if e["restart"] == best)
    values = {}
    if len(restarts) > 1:
        hard = [top(masks(reader, id_, restart), areas) for restart in restarts]
        values["restart_iou"] = metrics.pairwise_iou(torch.stack(hard))
    if len(rounds) > 1:
        chain = [masks(reader, id_, best, round_) for round_ in rounds]
        soft = torch.stack([mask[: len(chain[-1])] for mask in chain])
        values["round_overlap"] = metrics.mask_overlap(soft)
        values["round_coverage"] = metrics.union_coverage(soft)
    return values


def located(row, soft, areas):
    truth = truth_on_input(row, load_classifier("builtin:shapes").preprocess)
    if truth is None:
        return {}
    true, counted = torch.from_numpy(truth.object)[None], torch.from_numpy(~truth.ignore)
    soft, hard = (soft * counted)[None], (top(soft, areas) & counted)[None]
    values = {
        "precision": metrics.hard_precision(hard, true),
        "precision_soft": metrics.soft_precision(soft, true),
        "ceiling": metrics.ceiling(true, areas),
        "recall": metrics.recall(hard, true),
        "iou": metrics.object_iou(hard, true),
        "context": metrics.context_reliance(soft, true),
        "rank_accuracy": metrics.relevance_rank_accuracy(soft, true),
        "pointing": metrics.pointing_hit(soft, true),
        "chance": metrics.chance(true),
    }
    return {name: value[0] for name, value in values.items()}
