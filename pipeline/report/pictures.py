"""The gallery: a card for each image, a row of overlays for each round."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.report.examples import Example, Tile, Unreadable
from pipeline.report.markup import Markup, element, percent
from pipeline.report.totals import Totals

LABELS = {"lowest": "lowest score kept", "middle": "in the middle", "highest": "highest score kept"}


def gallery(shown: Sequence[Example | Unreadable], totals: Totals) -> Markup:
    """Cards of what could be drawn, then a list of what could not."""
    cards = [_card(e) for e in shown if isinstance(e, Example)]
    lost = [e for e in shown if isinstance(e, Unreadable)]
    if not shown:
        return Markup("")
    note = (
        f"{len(cards)} of {totals.images} images: those whose score kept at "
        f"{percent(totals.middle)} of the image is the lowest, in the middle and the highest. "
        "What is kept is in colour, the rest grey; the contour is orange in round 0 and blue in "
        "round 1; boxes of the manifest are white."
    )
    return element(
        "section",
        element("h2", "Gallery"),
        element("p", note),
        *cards,
        *([_missing(lost)] if lost else []),
    )


def _card(example: Example) -> Markup:
    row = example.row
    text = f"{row['target_name']} {row['score']:.2f}"
    if row["predicted"] != row["target"]:
        text += f", predicted {row['predicted_name']} {row['predicted_score']:.2f}"
    heading = element(
        "h3",
        element("span", LABELS[example.label], class_=f"label {example.label}"),
        element("span", text, class_="what"),
        element("small", row["id"]),
    )
    image = _figure(example.picture, example.size, f"{row['id']}, the image", "image")
    strips = []
    for number, tiles in enumerate(example.rounds):
        first = image if number == 0 else element("p", f"round {number}", class_="round")
        drawn = [_tile(tile, row["id"], number) for tile in tiles]
        columns = f"--tiles: {1 + len(example.rounds[0])}"
        strips.append(element("div", first, *drawn, class_="strip", style=columns))
    return element("article", heading, *strips)


def _tile(tile: Tile, id_: str, number: int) -> Markup:
    share = percent(tile.area)
    scores = f"kept {tile.kept:.2f}, removed {tile.removed:.2f}"
    said = f"{id_}, mask of {share}, round {number}: {scores}"
    return _figure(tile.picture, tile.size, said, share, scores)


def _figure(source: str, size: tuple[int, int], said: str, *captions: str) -> Markup:
    lines = [element("span", caption) for caption in captions]
    picture = element("img", src=source, alt=said, width=size[0], height=size[1])
    return element("figure", picture, element("figcaption", *lines))


def _missing(lost: Sequence[Unreadable]) -> Markup:
    items = [element("li", element("strong", e.id), f": {e.reason}") for e in lost]
    note = element("p", f"{len(lost)} of the chosen images cannot be drawn any more:")
    return element("div", note, element("ul", *items), class_="missing")
