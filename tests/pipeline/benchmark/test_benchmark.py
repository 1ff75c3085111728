"""`xaipipe benchmark`: what is counted, in which order, and that the figures belong together."""

import copy
import dataclasses
import functools
import json
import statistics
import weakref

import pytest
import torch
from PIL import Image

import pipeline
from inr_core import METHODS
from pipeline import Request, load_job
from pipeline.benchmark import measure, turn
from pipeline.benchmark import whole_run as whole
from pipeline.benchmark.images import generate_images, repeat_images
from pipeline.benchmark.loop import Loop, prepared
from pipeline.benchmark.passes import BarePasses, Calls, PassCounter
from pipeline.benchmark.step_profile import StepParts, profile_step
from pipeline.benchmark.whole_run import rate_of_a_worker
from pipeline.errors import RunError
from pipeline.manifest.manifest import Manifest
from pipeline.run.worker import ShardWorker
from pipeline.shapes import CLASSES, write_dataset
from pipeline.store.commits import Commit
from pipeline.store.process import age

SMALL = ["--model", "builtin:shapes", "--steps", 3, "--areas", ".1,.3"]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return str(write_dataset(tmp_path_factory.mktemp("shapes"), 3, 0))


@pytest.fixture
def benchmark(xaipipe):
    """Run the command; returns its exit code and what it printed."""
    return functools.partial(xaipipe, "benchmark")


def loop_of(manifest, **given):
    job = load_job(None, {"manifest": manifest, "model": "builtin:shapes", "workers": 0, **given})
    worker = ShardWorker(Request(job).worker_spec())
    batches = prepared(worker, list(Manifest(manifest, classes=CLASSES)))
    return Loop(worker, PassCounter(worker.classifier.module), job.method, job.config), batches


def test_the_figures_belong_together(benchmark, tmp_path):
    file = tmp_path / "new" / "b.json"
    own = ["--images", 2, "--repeats", 2, "--against", "gradcam", "--json", file]
    code, text = benchmark(*SMALL, "--workers", 0, *own)
    assert code == 0
    found = json.loads(file.read_text())
    for name in (
        "bare_passes_per_s",
        "loop_passes_per_s",
        "loop_ratio",
        "loop_ratio_cpu",
        "end_to_end_images_per_s",
        "end_to_end_ratio",
        "passes_per_image",
        "peak_memory_bytes",
        "startup_seconds",
        "against_images_per_s",
        "against_ratio",
    ):
        assert found[name] > 0, name
    assert (found["model"], found["method"], found["against"]) == (
        "builtin:shapes",
        "inr",
        "gradcam",
    )
    assert (found["images"], found["repeats"], found["workers"]) == (2, 2, 0)
    samples = found["samples"]
    of_runs = {"end_to_end_images_per_s", "end_to_end_ratio", "startup_seconds"}
    for name, values in samples.items():
        assert len(values) == (2 if name in of_runs else 2 * 2)  # repeats, or turns
        assert found[name] == statistics.median(values)
    for n in range(4):
        one = {name: values[n] for name, values in samples.items() if name not in of_runs}
        ratio = one["loop_passes_per_s"] / one["bare_passes_per_s"]
        assert one["loop_ratio"] == pytest.approx(ratio)
        images = one["loop_passes_per_s"] / found["passes_per_image"]
        assert images == pytest.approx(one["loop_images_per_s"])
        assert one["against_ratio"] == pytest.approx(images / one["against_images_per_s"])
    for n in range(2):
        passes = samples["end_to_end_images_per_s"][n] * found["passes_per_image"]
        loop = statistics.harmonic_mean(samples["loop_passes_per_s"][2 * n : 2 * n + 2])
        assert samples["end_to_end_ratio"][n] == pytest.approx(passes / loop)
    config = load_job(None, {"manifest": "m", "model": "m", "steps": 3}).config
    assert found["passes_per_image"] == METHODS["inr"].passes(config)
    # two areas, kept and removed, soft and hard; then four halvings where an area keeps enough
    assert 8 <= found["forward_only_per_image"] <= 12
    step = dict(found["step_seconds"])
    whole = step.pop("step")
    assert sum(step.values()) == pytest.approx(whole)
    assert all(seconds > 0 for part, seconds in step.items() if part != "other")
    for shown in ("bare classifier", "inr over gradcam", "classifier backward", "images/s"):
        assert shown in text


@pytest.mark.long
def test_workers_on_ray_and_tables_that_stay(benchmark, manifest, tmp_path):
    file, out = tmp_path / "b.json", tmp_path / "out"
    given = [manifest, "--model", "builtin:shapes", "--method", "gradcam", "--areas", ".1,.3"]
    given += ["--workers", 2, "--out", out, "--images", 3, "--repeats", 1]
    code, text = benchmark(*given, "--json", file)
    assert code == 0 and "workers 2" in text and "where the time" not in text
    found = json.loads(file.read_text())
    loop = statistics.harmonic_mean(found["samples"]["loop_images_per_s"])
    whole = found["end_to_end_images_per_s"]
    assert found["end_to_end_ratio"] == pytest.approx(whole / (2 * loop))
    assert found["step_seconds"] == {} and found["against"] is None
    run = pipeline.read(str(out / "benchmark" / "1"))
    rows = run.images.to_table().to_pylist()
    assert len(rows) == 2 * (1 + 2)  # for each worker: one to warm up, and its share of three
    expected = {ref.image: ref.target for ref in Manifest(manifest, classes=CLASSES)}
    assert {row["image"]: row["target"] for row in rows} == expected
    code, text = benchmark(*given)
    assert code == 2 and "holds a run" in text and "--overwrite" in text


@pytest.mark.parametrize(
    ("method", "given", "gradient"),
    [
        ("inr", {"steps": 3, "rounds": 2, "restarts": 2, "round_score": 0.0}, True),
        ("pixels", {"steps": 3}, True),
        ("gradcam", {}, True),
        ("rise", {"samples": 9}, False),
    ],
)
def test_passes_are_counted_as_the_classifier_sees_them(manifest, method, given, gradient):
    loop, batches = loop_of(manifest, method=method, areas=[0.1, 0.3], **given)
    loop(batches[0])  # the classifier's feature map is looked for once
    loop.counter.take()
    seen, back = [], []

    def see(module, inputs):
        seen.append((len(inputs[0]), torch.is_grad_enabled() and inputs[0].requires_grad))

    def see_back(module, inputs, outputs):
        if outputs.requires_grad:
            outputs.register_hook(lambda grad: back.append(len(grad)))

    loop.worker.classifier.module.register_forward_pre_hook(see)
    loop.worker.classifier.module.register_forward_hook(see_back)
    loop(batches[0])
    calls = loop.counter.take()
    assert list(calls.with_gradient) == [n for n, wanted in seen if wanted] == back
    assert list(calls.forward_only) == [n for n, wanted in seen if not wanted]
    scores = sum(calls.of_passes) - METHODS[method].passes(loop.config)
    # soft and hard masks of two areas, kept and removed; four halvings where an area keeps enough
    assert scores in ((0,) if gradient else (8, 12))
    assert bool(calls.with_gradient) == gradient
    assert loop.counter.take() == Calls((), ())

    seen.clear(), back.clear()
    BarePasses(loop.worker.classifier.module, calls, batches[0].image_BCHW)()
    assert seen == [(n, gradient) for n in calls.of_passes]
    assert back == list(calls.with_gradient)


def test_everything_is_measured_in_turn(manifest, tmp_path, monkeypatch):
    doing = []

    def timed(work, device):
        doing.append("bare" if isinstance(work, BarePasses) else work.func.method)
        return real(work, device)

    def whole_run(*given):
        doing.append("whole")
        return real_run(*given)

    real, real_run = turn.timed, measure.whole_run
    monkeypatch.setattr(turn, "timed", timed)
    monkeypatch.setattr(measure, "whole_run", whole_run)
    given = {"manifest": manifest, "model": "builtin:shapes", "workers": 0, "method": "centre"}
    job = load_job(None, given)
    found = measure.benchmark(job, tmp_path, images=2, repeats=2, against="random")
    assert doing == 2 * [*2 * ["centre", "bare", "random"], "whole"]
    assert found.counts["images"] == 2


def test_a_gpu_has_one_user_at_a_time_and_its_whole_runs_belong_to_their_loops(
    manifest, tmp_path, monkeypatch
):
    doing, workers, kept = [], [], []

    class Noted(ShardWorker):
        def __init__(self, *given):
            super().__init__(*given)
            workers.append(weakref.ref(self))

    def whole_run(*given):
        doing.append(("whole", [worker() for worker in workers]))
        return whole.WholeRun(images_per_s=10.0 * len(doing), startup_seconds=1.0)

    def take_turn(*given):
        doing.append(("turn", None))
        return real(*given)

    real = turn.take_turn
    monkeypatch.setattr(measure, "has_one_user", lambda device: True)
    monkeypatch.setattr(measure, "ShardWorker", Noted)
    monkeypatch.setattr(measure, "whole_run", whole_run)
    monkeypatch.setattr(measure, "take_turn", take_turn)
    given = {"manifest": manifest, "model": "builtin:shapes", "workers": 0, "steps": 2}
    job = load_job(None, {**given, "areas": [0.1]})
    found = measure.benchmark(
        job, tmp_path, images=1, repeats=2, keep=lambda b: kept.append(copy.deepcopy(b))
    )
    assert [what for what, _ in doing] == ["turn", "turn", "whole", "whole"]
    assert len(workers) == 1 and all(alive == [None] for what, alive in doing if what == "whole")
    alone = found.samples["loop_images_per_s"]
    ratios = [30.0 / alone[0], 40.0 / alone[1]]
    assert found.samples["end_to_end_ratio"] == pytest.approx(ratios)
    # after each repeat of loops, the step, and each whole run
    assert [len(b.samples.get("loop_ratio", ())) for b in kept] == [1, 2, 2, 2, 2]
    assert [len(b.samples.get("end_to_end_ratio", ())) for b in kept] == [0, 0, 0, 1, 2]
    assert [bool(b.step) for b in kept] == [False, False, True, True, True]


@pytest.mark.parametrize("stage", ["step", "whole"])
def test_what_was_measured_before_memory_ran_out_stays(
    benchmark, manifest, tmp_path, monkeypatch, stage
):
    def exhausted(*given):
        if stage == "whole":
            raise RunError("3 workers in a row did not start: out of memory")
        raise torch.OutOfMemoryError("CUDA out of memory\nsecond line")

    monkeypatch.setattr(measure, "profile_step" if stage == "step" else "whole_run", exhausted)
    file = tmp_path / "b.json"
    given = [manifest, *SMALL, "--workers", 0, "--images", 1, "--repeats", 1, "--json", file]
    code, text = benchmark(*given)
    found = json.loads(file.read_text())
    assert found["loop_ratio"] > 0 and "loop, images in memory" in text
    if stage == "step":
        assert code == 0 and found["end_to_end_ratio"] > 0 and found["step_seconds"] == {}
        (note,) = found["notes"]
        assert note == "the parts of a step are not known: OutOfMemoryError: CUDA out of memory"
        assert note in text
    else:
        assert code == 1 and "end_to_end_ratio" not in found


def test_the_profile_records_graphs_only_where_the_loop_does(manifest, monkeypatch):
    recorded = []
    for module in ("pipeline.benchmark.step_profile", "inr_core.optimisation.slots"):
        monkeypatch.setattr(f"{module}.replayed", lambda work, device: recorded.append(1) or work)
    for compile_ in (False, True):
        loop, batches = loop_of(manifest, steps=3, areas=[0.1], compile=False)
        loop.worker.microbatch.record = compile_
        profile_step(loop, batches[0])
        assert bool(recorded) == compile_


@pytest.mark.parametrize(("weight", "together"), [(0.0, 2), (1.0, 1)])
def test_parts_of_a_step_have_the_shapes_of_the_loop(manifest, weight, together):
    """Of two restarts, together where they are independent."""
    given = {"steps": 3, "restarts": 2, "areas": [0.1, 0.3], "start.kind": "random"}
    given["objective.repel_weight"] = weight
    loop, batches = loop_of(manifest, microbatch=64, **given)
    calls = loop.calls(batches[0]).with_gradient
    parts = StepParts(loop, batches[0])
    areas = (parts.slots.canvas.weight_P * parts.mask_NAP).sum(-1)
    torch.testing.assert_close(areas, parts.area_NA, atol=1e-4, rtol=0)
    assert len(parts.slots) == together
    # the images of each of three steps, again for a restart that waits
    assert calls == (len(parts.shown),) * 3 * (2 // together)
    for work in parts.works().values():
        work()


def test_the_slots_of_the_profile_go_to_the_end_of_the_schedule(manifest):
    loop, batches = loop_of(manifest, steps=20)
    slots = StepParts(loop, batches[0]).slots
    begin = slots.held.theta_NK.clone()
    slots.advance()
    assert slots.finished([0]) == [0]
    assert not torch.equal(slots.held.theta_NK, begin)


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_the_profile_of_a_step_covers_rounds_and_presets(manifest, preset):
    loop, batches = loop_of(manifest, preset=preset, rounds=2, areas=[0.1, 0.3])
    step = profile_step(loop, batches[0])
    whole = step["step"]
    parts = {name: s for name, s in step.items() if name not in ("step", "other")}
    assert len(parts) == 6 and min(parts.values()) > 0
    assert sum(parts.values()) + step["other"] == pytest.approx(whole)
    assert loop.config.rounds == 2


def test_a_worker_counts_after_its_first_shard():
    def commit(worker, finished, images):
        ids = tuple(f"{worker}{finished}{n}" for n in range(images))
        return Commit(
            shard="s",
            explained=ids,
            failed=(),
            rows={},
            bytes={},
            seconds=1.0,
            finished=finished,
            worker=worker,
        )

    commits = [commit("b", 30.0, 3), commit("a", 10.0, 8), commit("a", 14.0, 2)]
    commits += [commit("b", 24.0, 9), commit("c", 11.0, 5)]
    assert rate_of_a_worker(commits) == (2 + 3) / (4.0 + 6.0)


def test_generated_images_and_manifests_that_go_round(tmp_path):
    path = generate_images(tmp_path / "images", 3)
    refs = list(Manifest(str(path), classes=CLASSES))
    pictures = [Image.open(ref.image) for ref in refs]
    assert {(p.format, p.size, p.mode) for p in pictures} == {("JPEG", (500, 375), "RGB")}
    assert len({p.tobytes() for p in pictures}) == 3
    refs[1] = dataclasses.replace(refs[1], target=2)
    again = list(Manifest(str(repeat_images(tmp_path / "m.csv", refs, 7)), classes=CLASSES))
    assert [(r.image, r.target) for r in again] == [
        (r.image, r.target) for r in (2 * refs + refs)[:7]
    ]
    assert len({r.id for r in again}) == 7


def test_a_job_file_names_the_manifest_or_images_are_generated(tmp_path):
    (tmp_path / "job.yaml").write_text("manifest: mine.csv\nmodel: builtin:shapes\n")
    otherwise = {"manifest": "generated:"}
    assert load_job(str(tmp_path / "job.yaml"), {}, otherwise=otherwise).manifest == "mine.csv"
    given = {"model": "builtin:shapes"}
    assert load_job(None, given, otherwise=otherwise).manifest == "generated:"
    assert load_job(None, {**given, "manifest": "m"}, otherwise=otherwise).manifest == "m"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "inr"], "--against inr: expected a method other than --method inr: ep"),
        (["--against", "nobody"], "--against nobody: expected a method"),
        (["--images", 0], "--images"),
        (["--repeats", 0], "--repeats"),
        (["--json", "MANIFEST/b.json"], "cannot be written"),
        (["MANIFEST", "--select", "id=x"], "at least one image"),
        (["BROKEN"], "broken.jpg"),
    ],
)
def test_a_wrong_request_is_refused(benchmark, manifest, tmp_path, arguments, message):
    (tmp_path / "broken.jpg").write_text("words")
    (tmp_path / "broken.csv").write_text("image\nbroken.jpg\n")
    fill = {"BROKEN": str(tmp_path / "broken.csv")}
    filled = [fill.get(a, str(a).replace("MANIFEST", manifest)) for a in arguments]
    code, text = benchmark(*SMALL, "--workers", 0, *filled)
    assert code == 2 and message in text and "Traceback" not in text


def test_a_peer_that_cannot_look_into_the_classifier_is_refused(manifest, tmp_path, monkeypatch):
    (tmp_path / "flat_classifier.py").write_text(
        "import torch\n\ndef make():\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(1), torch.nn.Linear(192, 4))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    given = {"manifest": "generated:", "model": "python:flat_classifier:make", "workers": 0}
    job = load_job(None, {**given, "preprocess": "resize=8,crop=8"})
    with pytest.raises(pipeline.RequestError, match="--against gradcam: .*no layer"):
        measure.benchmark(job, tmp_path, images=1, repeats=1, against="gradcam")


def test_the_age_of_this_process_grows():
    first = age()
    assert first > 0 and age() >= first
