"""What lies on disks: tables that go or are cut off, full disks, images that are none."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.store import TABLES
from tests.chaos.arena import IMAGES, Arena
from tests.chaos.drivers import Violation


def table_files_deleted(arena: Arena) -> None:
    """Someone deletes tables, or markers, of a finished run: their images are explained again."""
    arena.finish()
    for _ in range(2):
        for file in _some(arena, [*TABLES, "_run/commits"]):
            file.unlink()
            arena.injected += 1
        arena.finish()


def table_files_cut_off(arena: Arena) -> None:
    """A disk loses the end of tables; the fingerprint, the summary and the lock as well."""
    arena.finish()
    folders = [*TABLES, "_run", "_run/lock"]
    for _ in range(2):
        for file in _some(arena, folders):
            os.truncate(file, arena.random.randrange(file.stat().st_size))
            arena.injected += 1
        arena.finish()


def _some(arena: Arena, folders: list[str]) -> list[Path]:
    files = [f for folder in folders for f in (Path(arena.out) / folder).glob("s-*") if f.is_file()]
    return arena.random.sample(sorted(files), min(len(files), arena.random.randint(1, 4)))


def disk_full(arena: Arena) -> None:
    """No space is left in the middle of a run: it says so, and goes on when there is some."""
    for _ in range(2):
        with _small_disk(arena, arena.random.randint(8, 40)) as out:
            driver = arena.start("--out", out, "--shard-size", 1)
            code = driver.wait()
            if code not in (0, 1, 2) or (code and "No space left" not in driver.said()):
                raise Violation(f"a full disk ended it with {code}: {driver.said()[-300:]}")
            arena.injected += code != 0
            shutil.copytree(out, arena.out, dirs_exist_ok=True)  # a larger disk
        if code == 0:
            break
    arena.finish()


@contextmanager
def _small_disk(arena: Arena, kilobytes: int) -> Iterator[str]:
    """A file system of its own that holds what the run has so far, and so much more."""
    place = arena.folder / f"disk-{len(arena.drivers)}"
    place.mkdir()
    used = sum(-(-f.stat().st_size // 4096) * 4 for f in Path(arena.out).rglob("*") if f.is_file())
    size = f"size={used + kilobytes}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)], check=True)
    try:
        if Path(arena.out).exists():
            shutil.copytree(arena.out, place / "out")
        yield str(place / "out")
    finally:
        subprocess.run(["umount", str(place)], check=True)


def can_mount() -> bool:
    """Whether this user may mount a small disk."""
    return os.geteuid() == 0 and shutil.which("mount") is not None


def images_damaged(arena: Arena) -> None:
    """Images that are none become failures, and are explained once they are mended."""
    data = arena.folder / "data"
    shutil.copytree(arena.manifest.parent, data)
    arena.manifest = data / "manifest.csv"
    images = sorted((data / "images").iterdir())
    victims = arena.random.sample(images, arena.random.randint(1, IMAGES // 2))
    contents = {file: file.read_bytes() for file in victims}
    for file in victims:
        arena.random.choice(DAMAGES)(file)
        arena.injected += 1
    driver = arena.start()
    if driver.wait() != 3:
        raise Violation(f"exit code {driver.code} with {len(victims)} images that are none")
    if arena.random.random() < 0.5:
        arena.failed = frozenset(file.stem for file in victims)
        return
    for file, content in contents.items():
        shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
        file.write_bytes(content)
    arena.finish("--retry-failed")


def _cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def replace(file: Path) -> None:
        file.unlink()
        make(file)

    return replace


DAMAGES: tuple[Callable[[Path], object], ...] = (
    _cut,
    Path.unlink,
    lambda file: file.write_bytes(b""),
    lambda file: file.write_text("no picture"),
    lambda file: file.write_bytes(file.read_bytes()[:60] + bytes(2000)),
    _replaced(Path.mkdir),
    _replaced(os.mkfifo),
)
