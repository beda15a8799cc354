"""`bench.conversations` reads each shape of conversation file without changing what was said."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.conversations import Conversation, NoConversations, files, read

SHAREGPT = [
    {
        "id": "identity_0",
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "  Who are\nyou? "},
            {"from": "gpt", "value": "Nobody."},
        ],
    }
]
KDCONV: list[dict[str, Any]] = [
    {
        "name": "a singer",
        "messages": [
            {"message": "知道这个吗？"},
            {"message": "知道。", "attrs": [{"attrname": "Information", "attrvalue": "…", "name": "x"}]},
        ],
    }
]
TURNS = {
    "id": "turns_0",
    "question": [
        [{"role": "user", "content": "one"}],
        [{"role": "user", "content": "two"}, {"role": "tool", "content": "3"}],
    ],
    "path": ["a.b"],
}


def written(folder: Path, text: str, name: str = "sample.json") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_sharegpt_keeps_content_and_maps_roles(tmp_path: Path) -> None:
    assert read(written(tmp_path, json.dumps(SHAREGPT))) == [
        Conversation(
            "identity_0",
            [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "  Who are\nyou? "},
                {"role": "assistant", "content": "Nobody."},
            ],
        )
    ]


@pytest.mark.parametrize("whole", [KDCONV, {"first": KDCONV[0]}, KDCONV[0]], ids=["array", "object", "one"])
def test_speakers_without_roles_alternate_and_other_fields_become_metadata(tmp_path: Path, whole: Any) -> None:
    (conversation,) = read(written(tmp_path, "\ufeff" + json.dumps(whole, ensure_ascii=False)))
    assert conversation == Conversation(
        "a singer",
        [
            {"role": "user", "content": "知道这个吗？"},
            {"role": "assistant", "content": "知道。", "metadata": {"attrs": KDCONV[0]["messages"][1]["attrs"]}},
        ],
    )


def test_members_of_an_object_are_named_by_their_keys(tmp_path: Path) -> None:
    whole = {"a": {"messages": [{"message": "1"}]}, "b": {"messages": [{"message": "2"}]}}
    assert [conversation.name for conversation in read(written(tmp_path, json.dumps(whole)))] == ["a", "b"]


def test_json_lines_of_turns(tmp_path: Path) -> None:
    lines = "\n".join([json.dumps(TURNS), "", json.dumps({**TURNS, "id": "turns_1"})]) + "\n"
    first, second = read(written(tmp_path, lines))
    assert (first.name, second.name) == ("turns_0", "turns_1")
    assert first.messages == [
        {"role": "user", "content": "one", "metadata": {"turn": 1}},
        {"role": "user", "content": "two", "metadata": {"turn": 2}},
        {"role": "tool", "content": "3", "metadata": {"turn": 2}},
    ]


def test_one_line_is_json_lines_as_well(tmp_path: Path) -> None:
    assert len(read(written(tmp_path, json.dumps(TURNS) + "\n"))) == 1


def test_messages_of_chat_apis_keep_their_tool_calls(tmp_path: Path) -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "ls", "arguments": "{}"}}]
    messages = [
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "content": "a.txt", "tool_call_id": "c1"},
        {"role": "moderator", "content": [{"type": "text", "text": "stop"}], "weight": 1},
    ]
    (conversation,) = read(written(tmp_path, json.dumps({"messages": messages})))
    assert conversation.messages == [
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "content": "a.txt", "tool_call_id": "c1"},
        {
            "role": "user",
            "name": "moderator",
            "content": [{"type": "text", "text": "stop"}],
            "metadata": {"weight": 1},
        },
    ]


@pytest.mark.parametrize("text", ["{}", "[1, 2]", '[{"mapping": {}}]', "not json", ""])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(NoConversations):
        read(written(tmp_path, text))


def test_a_folder_stands_for_its_json_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    inside = [written(tmp_path / "sub", "[]", "b.jsonl"), written(tmp_path, "[]", "a.json")]
    written(tmp_path, "", "LICENSE")
    assert sorted(files([tmp_path])) == sorted(inside)
    assert list(files([tmp_path / "LICENSE"])) == [tmp_path / "LICENSE"]
