"""What is lost between codecs is what docs/codec-losses.md says."""

import pytest

from app.codecs import CODECS, Codec
from tests.codecs.features import FEATURES, KEPT
from tests.codecs.losses import PAGE, outcome, page, rows


def test_the_page_has_the_losses_that_there_are() -> None:
    told = "docs/codec-losses.md is out of date: python -m tests.codecs.losses writes its tables"
    assert PAGE.read_text("utf-8") == page(), told


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.name)
def test_what_a_codec_says_itself_is_tried(codec: Codec) -> None:
    for feature in FEATURES:
        items = feature.items.get(codec.name)
        if items is not None:
            assert outcome(feature, codec, items) == KEPT, feature.name
    said = {name for name, _ in rows(codec)}
    assert {"text", "image by URL", "call of a tool", "calls at once", "result of a tool"} <= said


def test_what_every_codec_says_is_never_lost() -> None:
    for codec in CODECS.values():
        for name, cells in rows(codec):
            if name in {"text", "several texts", "call of a tool", "calls at once", "result of a tool", "image by URL"}:
                assert "lost" not in cells, (codec.name, name)
