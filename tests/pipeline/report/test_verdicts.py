"""`xaipipe review`: verdicts become a table of the run; what is not of the run is refused."""

import shutil

import pytest

import pipeline
from tests.patterns import write_patterns

HEAD = "id,target,target_name,restart,round,pattern,area,verdict,note,reviewed"


@pytest.fixture
def reviewed(runs, tmp_path):
    shutil.copytree(runs / "centre", tmp_path / "out")
    return tmp_path / "out", *write_patterns(tmp_path / "out")


def lines(*rows):
    return "\r\n".join([HEAD, *rows, ""])


def region(row, verdict="object", note="", when="2026-01-01T10:00:00.000Z"):
    quoted = note.replace('"', '""')
    place = f"{row['id']},{row['target']},x,{row['restart']},{row['round']}"
    return f'{place},,0.1,{verdict},"{quoted}",{when}'


def files(out):
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_verdicts_become_a_table_and_the_others_stay(reviewed, xaipipe, tmp_path):
    out, regions, patterns = reviewed
    before, csv = files(out), tmp_path / "verdicts.csv"
    note = 'sky, "again"\nand \N{BICYCLE}'
    on_pattern = (
        f",{patterns[0]['target']},x,,,{patterns[0]['pattern']},,spurious,,2026-01-01T11:00:00Z"
    )
    csv.write_text(lines(region(regions[0], note=note), on_pattern), newline="", encoding="utf-8")
    code, text = xaipipe("review", out, csv)
    assert code == 0 and "1 object, 1 spurious" in text and "/reviews/" in text
    after = files(out)
    assert {k: after[k] for k in before} == before and len(after) == len(before) + 1
    one, other = sorted(
        pipeline.read(str(out)).reviews.to_table().to_pylist(), key=lambda r: r["pattern"] or -1
    )
    assert {k: one[k] for k in ("id", "target", "restart", "round")} == {
        k: regions[0][k] for k in ("id", "target", "restart", "round")
    }
    assert (one["verdict"], one["note"], one["pattern"], one["area"]) == ("object", note, None, 0.1)
    assert one["reviewed"].isoformat() == "2026-01-01T10:00:00+00:00"
    assert (other["id"], other["round"], other["verdict"]) == (None, None, "spurious")
    assert pipeline.read(str(out)).rows("reviews", regions[0]["id"]) == [one]
    assert xaipipe("review", out, csv)[0] == 0 and files(out) == after  # the same file again


def test_of_several_verdicts_the_last_stands_and_one_can_be_taken_back(reviewed, xaipipe, tmp_path):
    out, regions, _ = reviewed
    first, second, third = regions[:3]
    late, later = "2026-01-02T00:00:00+02:00", "2026-01-02T00:00:00Z"
    for n, rows in enumerate(
        [
            [region(first, "context", when=later), region(second, "object")],
            [region(first, "object", when=late), region(second, "none", when=late)],
            [region(third, "spurious")],
        ]
    ):
        (tmp_path / f"{n}.csv").write_text(lines(*rows))
        assert xaipipe("review", out, tmp_path / f"{n}.csv")[0] == 0
    found = pipeline.read(str(out)).reviews.to_table().to_pylist()
    wanted = [(first["id"], "context"), (third["id"], "spurious")]
    assert sorted((row["id"], row["verdict"]) for row in found) == sorted(wanted)


def test_a_run_without_reviews_has_an_empty_table(runs):
    table = pipeline.read(str(runs / "ours")).reviews.to_table()
    assert len(table) == 0 and "verdict" in table.schema.names


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "has no column id"),
        (lambda text: HEAD + "\n", "has no verdict"),
        (lambda text: text.replace(",verdict,", ",judgement,"), "has no column verdict"),
        (lambda text: text.replace(",object,", ",fine,"), "line 2: 'fine' is none of object"),
        (lambda text: text.replace("shapes-", "other-"), "line 2:"),
        (lambda text: text.replace(",0,0,,", ",0,7,,"), "has no id shapes-"),
        (lambda text: text.replace(",0,0,,", ",,,99,"), "pattern 99"),
        (
            lambda text: text.replace(",0,0,,", ",0,0,1,"),
            "either a restart and round, or a pattern",
        ),
        (lambda text: text.replace("2026-01", "2026-17"), "line 2:"),
        (lambda text: text.replace(":00.000Z", ":00"), "no time zone"),
        (lambda text: text.replace(",0.1,", ",wide,"), "line 2:"),
        (lambda text: text.replace(',"",', ',"'), "cannot be read"),
    ],
)
def test_wrong_files_are_refused_whole(reviewed, xaipipe, tmp_path, change, message):
    out, regions, _ = reviewed
    good = lines(region(regions[0]))
    changed = change(good)
    assert changed != good
    (tmp_path / "v.csv").write_text(changed)
    code, text = xaipipe("review", out, tmp_path / "v.csv")
    assert code == 2 and message in text and "verdicts.csv that the page" in text, text
    assert not (out / "reviews").exists()


def test_files_and_runs_that_are_not_there(runs, xaipipe, tmp_path):
    code, text = xaipipe("review", runs / "ours", tmp_path / "none.csv")
    assert code == 2 and "none.csv: cannot be read" in text
    (tmp_path / "v.csv").write_text(HEAD)
    code, text = xaipipe("review", tmp_path / "nothing", tmp_path / "v.csv")
    assert code == 2 and "no run here" in text
