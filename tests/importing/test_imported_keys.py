"""Keys of messages in files: what a chat has twice stays with the first."""

import httpx2
import pytest

from tests.callers import every_item, ok
from tests.importing.files import CHAT_ID, a_chat, imported, lines


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_key_that_is_there_twice_stays_with_the_first(me: httpx2.AsyncClient, dry_run: bool) -> None:
    twice, once = a_chat(1, "a", "b", "c", "d", "e"), a_chat(2, "a")
    for record, key in zip(twice[1:], ("x", "y", "x", "x", "y"), strict=True):
        record["key"] = key
    once[1]["key"] = "x"
    report = await imported(me, lines(*twice, *once), keep_ids=True, dry_run=dry_run)
    assert (report["chats"]["imported"], report["chats"]["failed"], report["messages"]["imported"]) == (2, 0, 6)
    (error,) = report["errors"]
    assert error["place"] == "file body, line 2"
    assert error["reason"].startswith("key: left out of message 3 and 2 others")
    if not dry_run:
        first = f"/chats/{CHAT_ID.format(1)}/messages"
        assert [one.get("key") for one in await every_item(me, first)] == ["x", "y", None, None, None]
        assert ok(await me.get(f"/chats/{CHAT_ID.format(2)}/messages/key:x"))["content"] == "a"
        ok(await me.post(first, json={"role": "user", "content": "f", "key": "z"}))
        assert len((await imported(me, lines(*twice), keep_ids=True))["errors"]) == 0
