"""Items of Responses: one at least of every type that the `openai` package knows, and one that it does not know.

A test holds the examples against the package's types, so that none is missed.
"""

from typing import Any

from hypothesis import strategies as st

from tests.callers import Json
from tests.codecs.items.values import IDS, JSON, NAMES, OBJECT, PDF, PNG, SOME_TEXT, TEXT, URLS, one, with_more

INPUT_PART = st.one_of(
    one("input_text", text=TEXT),
    one("input_image", image_url=URLS | st.just(PNG) | TEXT, detail=st.sampled_from(["auto", "low", "original", "x"])),
    one("input_image", file_id=TEXT),
    one("input_file", file_id=TEXT),
    one("input_file", file_data=st.just(PDF) | TEXT, filename=TEXT),
    one("input_file", file_url=URLS),
    one("input_video", video=OBJECT),
)
OUTPUT_PART = st.one_of(
    one("output_text", text=TEXT, annotations=st.lists(OBJECT, max_size=2)),
    one("output_text", text=TEXT, annotations=st.just([]), logprobs=st.just([])),
    one("refusal", refusal=TEXT),
)
STATUS = st.sampled_from(["in_progress", "completed", "incomplete"])
KNOWN = st.one_of(
    with_more({"role": st.sampled_from(["user", "system", "developer"]), "content": st.lists(INPUT_PART, max_size=3)}),
    with_more({"role": st.sampled_from(["user", "assistant", "system", "developer"]), "content": TEXT}),
    with_more(
        {"type": st.just("message"), "role": st.just("user"), "content": TEXT | st.lists(INPUT_PART, max_size=3)},
        status=STATUS,
        id=SOME_TEXT,
    ),
    with_more(
        {"type": st.just("message"), "role": st.just("assistant"), "content": st.lists(OUTPUT_PART, max_size=3)},
        status=STATUS,
        id=SOME_TEXT,
        phase=st.sampled_from(["commentary", "final_answer"]),
    ),
    with_more(
        {"type": st.just("function_call"), "call_id": IDS, "name": NAMES, "arguments": TEXT | st.just('{"a": 1}')},
        id=TEXT,
        status=STATUS,
    ),
    with_more({"type": st.just("custom_tool_call"), "call_id": IDS, "name": NAMES, "input": TEXT}, id=TEXT),
    with_more(
        {
            "type": st.sampled_from(["function_call_output", "custom_tool_call_output"]),
            "output": TEXT | st.lists(INPUT_PART, max_size=3),
        },
        call_id=IDS | st.none(),
        id=TEXT,
        status=STATUS,
    ),
    with_more(
        {"type": st.just("reasoning"), "summary": st.lists(one("summary_text", text=TEXT), max_size=2)},
        id=SOME_TEXT,
        content=st.none() | st.lists(one("reasoning_text", text=TEXT), max_size=2),
        encrypted_content=st.none() | TEXT,
    ),
)
UNKNOWN = st.builds(
    lambda more, kind: {**more, "type": kind},
    st.dictionaries(TEXT.filter(lambda name: name != "role"), JSON, max_size=3),
    st.sampled_from(["web_search_call", "computer_call_output", "not_heard_of", "x" * 100]),
)
ITEMS: st.SearchStrategy[Json] = KNOWN | UNKNOWN

ACTION: Json = {"type": "exec", "command": ["ls"], "env": {}}
TEXT_OUT: Json = {"type": "output_text", "text": "Eight minutes.", "annotations": []}
CITATION: Json = {"type": "url_citation", "url": "https://e.com", "title": "E", "start_index": 0, "end_index": 5}
INPUT: list[Any] = [
    {"type": "input_text", "text": "Is it done?"},
    {"type": "input_image", "image_url": "https://example.com/egg.png", "detail": "low"},
    {"type": "input_image", "file_id": "file-1", "detail": "auto"},
    {"type": "input_file", "file_id": "file-2"},
    {"type": "input_file", "file_data": PDF, "filename": "egg.pdf"},
    {"type": "input_file", "file_url": "https://example.com/egg.pdf"},
]
EXAMPLES: list[Json] = [
    {"role": "user", "content": "How do I boil an egg?"},
    {"role": "assistant", "content": "Eight minutes.", "type": "message", "phase": "final_answer"},
    {"role": "user", "content": ""},
    {"role": "system", "content": [{"type": "input_text", "text": "Be brief."}], "type": "message"},
    {"role": "developer", "content": "Be kind."},
    {"type": "message", "role": "user", "content": INPUT, "status": "completed"},
    {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [
            {**TEXT_OUT, "annotations": [CITATION], "logprobs": []},
            {"type": "refusal", "refusal": "No more."},
        ],
    },
    {"type": "message", "id": "msg_2", "role": "assistant", "status": "incomplete", "content": []},
    {"type": "file_search_call", "id": "fs_1", "queries": ["egg"], "status": "completed", "results": None},
    {
        "type": "computer_call",
        "id": "cu_1",
        "call_id": "call_c",
        "status": "completed",
        "pending_safety_checks": [],
        "action": {"type": "screenshot"},
    },
    {
        "type": "computer_call_output",
        "call_id": "call_c",
        "output": {"type": "computer_screenshot", "image_url": PNG},
        "acknowledged_safety_checks": [{"id": "sc_1"}],
    },
    {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "egg", "queries": ["egg"]},
    },
    {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "timer",
        "arguments": '{"minutes":8}',
        "status": "completed",
    },
    {"type": "function_call", "call_id": "call_2", "name": "timer", "arguments": ""},
    {"type": "function_call_output", "call_id": "call_1", "output": "It rang.", "id": "fco_1", "status": "completed"},
    {"type": "function_call_output", "call_id": "call_2", "output": INPUT},
    {"type": "tool_search_call", "arguments": {"query": "egg"}, "execution": "client", "call_id": "call_t", "id": None},
    {"type": "tool_search_output", "tools": [], "call_id": "call_t", "execution": "client", "status": "completed"},
    {"type": "additional_tools", "role": "developer", "tools": []},
    {"type": "configuration_update"},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"},
    {
        "type": "reasoning",
        "id": "rs_2",
        "summary": [{"type": "summary_text", "text": "Eggs."}],
        "content": [{"type": "reasoning_text", "text": "Eggs take eight minutes."}],
        "status": "completed",
    },
    {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAA"},
    {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "iVBORw0KGgo="},
    {
        "type": "code_interpreter_call",
        "id": "ci_1",
        "status": "completed",
        "code": "1+1",
        "container_id": "cntr_1",
        "outputs": [{"type": "logs", "logs": "2"}],
    },
    {"type": "local_shell_call", "id": "lsh_1", "call_id": "call_l", "status": "completed", "action": ACTION},
    {"type": "local_shell_call_output", "id": "lsh_1", "output": "{}", "status": "completed"},
    {"type": "shell_call", "call_id": "call_s", "action": {"commands": ["ls"], "timeout_ms": 1000}},
    {
        "type": "shell_call_output",
        "call_id": "call_s",
        "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
    },
    {
        "type": "apply_patch_call",
        "call_id": "call_p",
        "status": "completed",
        "operation": {"type": "delete_file", "path": "a"},
    },
    {"type": "apply_patch_call_output", "call_id": "call_p", "status": "failed", "output": "no such file"},
    {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "eggs", "tools": []},
    {"type": "mcp_approval_request", "id": "mcpr_1", "arguments": "{}", "name": "boil", "server_label": "eggs"},
    {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
    {"type": "mcp_call", "id": "mcp_1", "arguments": "{}", "name": "boil", "server_label": "eggs", "output": "done"},
    {"type": "custom_tool_call", "call_id": "call_3", "name": "shell", "input": "ls", "id": "ctc_1"},
    {"type": "custom_tool_call_output", "call_id": "call_3", "output": "a.txt"},
    {"type": "compaction_trigger"},
    {"type": "item_reference", "id": "msg_1"},
    {"id": "msg_1"},
    {"type": "program", "id": "pr_1", "call_id": "call_g", "code": "1", "fingerprint": "f"},
    {"type": "program_output", "id": "po_1", "call_id": "call_g", "result": "1", "status": "completed"},
    {"type": "telepathy_call", "id": "tp_1", "thoughts": [{"about": "eggs"}], "strength": 1.0, "sent": None},
]
