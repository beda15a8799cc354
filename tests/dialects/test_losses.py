"""What is lost between dialects is what docs/dialects.md says."""

import pytest

from app.codecs import DIALECTS, Dialect
from tests.dialects.features import FEATURES, KEPT
from tests.dialects.losses import PAGE, outcome, page, rows


def test_the_page_has_the_losses_that_there_are() -> None:
    told = "docs/dialects.md is out of date: python -m tests.dialects.losses writes its tables"
    assert PAGE.read_text("utf-8") == page(), told


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_what_a_dialect_says_itself_is_tried(dialect: Dialect) -> None:
    for feature in FEATURES:
        items = feature.items.get(dialect.name)
        if items is not None:
            assert outcome(feature, dialect, items) == KEPT, feature.name
    said = {name for name, _ in rows(dialect)}
    assert {"text", "image by URL", "call of a tool", "calls at once", "result of a tool"} <= said


def test_what_every_dialect_says_is_never_lost() -> None:
    for dialect in DIALECTS.values():
        for name, cells in rows(dialect):
            if name in {"text", "several texts", "call of a tool", "calls at once", "result of a tool", "image by URL"}:
                assert "lost" not in cells, (dialect.name, name)
