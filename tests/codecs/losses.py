"""What is lost from each codec to each other. `python -m tests.codecs.losses` writes docs/codec-losses.md.

What another codec makes of a feature is read again from what it wrote.
"""

from collections.abc import Iterator
from pathlib import Path

from app.codecs import CODECS, Codec, decode_item
from app.codecs.canonical import canonical_message
from tests.callers import Json
from tests.codecs.features import FEATURES, KEPT, Feature

PAGE = Path(__file__).parents[2] / "docs" / "codec-losses.md"
BEGIN, END = "<!-- losses: begin -->\n", "<!-- losses: end -->\n"


def stored(codec: Codec, items: list[Json]) -> list[Json]:
    """Items as the messages that they are answered as, once they are stored."""
    made = {"message_id": "01932c07-209c-7000-8000-1234567890ab", "seq": 1, "created_at": "2026-01-31T12:00:00.000000Z"}
    return [{**made, "type": "message", **decode_item(codec, item)[0]} for item in items]


def written(codec: Codec, messages: list[Json]) -> list[Json]:
    """Messages as items."""
    return [item for message in messages for item in codec.encode(canonical_message(message))]


def outcome(feature: Feature, codec: Codec, items: list[Json]) -> str:
    """What is left of a feature in items."""
    return feature.outcome([canonical_message(message) for message in stored(codec, items)], items)


def rows(source: Codec) -> Iterator[tuple[str, list[str]]]:
    """What a codec can say, and what becomes of it in each of the others, in their order."""
    for feature in FEATURES:
        items = feature.items.get(source.name)
        if items is None and feature.message is not None:
            message = {**feature.message, "type": "message", "seq": 1, "message_id": "1"}
            items = written(source, [message | {"created_at": "2026-01-31T12:00:00.000000Z"}])
            if outcome(feature, source, items) != KEPT:
                continue
        if items:
            messages = stored(source, items)
            others = [target for target in CODECS.values() if target is not source]
            yield feature.name, [outcome(feature, target, written(target, messages)) for target in others]


def table() -> str:
    """A table for each codec."""
    lines = []
    for source in CODECS.values():
        others = [name for name in CODECS if name != source.name]
        lines += [
            f"### Written in `{source.name}`",
            "",
            f"| what is said | {' | '.join(f'`{one}`' for one in others)} |",
        ]
        lines.append("|---|" + "---|" * len(others))
        lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in rows(source)]
        lines.append("")
    return "\n".join(lines)


def page() -> str:
    """The page as it must be."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
