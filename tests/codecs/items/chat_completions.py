"""Messages of Chat Completions."""

from hypothesis import strategies as st

from tests.callers import Json
from tests.codecs.items.values import IDS, JSON, NAMES, OBJECT, PDF, PNG, TEXT, URLS, one, with_more

TEXT_PART = one("text", text=TEXT) | with_more({"type": st.just("text"), "text": TEXT}, cache_control=OBJECT)
REFUSAL_PART = one("refusal", refusal=TEXT)
IMAGE = st.fixed_dictionaries(
    {"url": URLS | st.just(PNG) | TEXT}, optional={"detail": st.sampled_from(["auto", "low", "high", "huge"])}
)
FILE = st.fixed_dictionaries(
    {}, optional={"file_id": TEXT, "file_data": st.just(PDF) | TEXT, "filename": TEXT, "x-unknown": JSON}
)
AUDIO = st.fixed_dictionaries({"data": st.just("UklGRg=="), "format": st.sampled_from(["wav", "mp3", "ogg"])})
USER_PART = st.one_of(
    TEXT_PART,
    one("image_url", image_url=IMAGE),
    one("input_audio", input_audio=AUDIO),
    one("file", file=FILE),
    one("video_url", video_url=OBJECT),
)
FUNCTION = st.fixed_dictionaries({"name": NAMES, "arguments": TEXT | st.just('{"city": "Oslo"}')})
CALL = st.one_of(
    one("function", id=IDS, function=FUNCTION),
    one("custom", id=IDS, custom=st.fixed_dictionaries({"name": NAMES, "input": TEXT})),
    one("function", id=IDS, function=FUNCTION, extra_content=OBJECT),
)
ITEMS: st.SearchStrategy[Json] = st.one_of(
    with_more(
        {"role": st.just("user"), "content": st.none() | TEXT | st.lists(USER_PART, max_size=3)}, name=NAMES | st.none()
    ),
    with_more(
        {"role": st.sampled_from(["system", "developer"]), "content": TEXT | st.lists(TEXT_PART, max_size=3)},
        name=NAMES,
    ),
    with_more(
        {"role": st.just("assistant")},
        content=st.none() | TEXT | st.lists(TEXT_PART | REFUSAL_PART, max_size=3),
        name=NAMES,
        tool_calls=st.none() | st.lists(CALL, max_size=3),
        refusal=st.none() | TEXT,
        audio=st.none() | st.fixed_dictionaries({"id": TEXT}),
        function_call=st.none() | FUNCTION,
        reasoning_content=st.none() | TEXT,
        annotations=st.lists(OBJECT, max_size=2),
    ),
    with_more(
        {"role": st.just("tool"), "content": st.none() | TEXT | st.lists(TEXT_PART, max_size=3)},
        tool_call_id=IDS,
        name=NAMES,
    ),
    with_more({"role": st.just("function"), "content": st.none() | TEXT}, name=NAMES),
)
EXAMPLES: list[Json] = [
    {"role": "system", "content": "You help in the kitchen."},
    {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
    {"role": "user", "content": "How do I boil an egg?", "name": "Ann"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Is it done?"},
            {"type": "image_url", "image_url": {"url": "https://example.com/egg.png", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": PNG}},
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "file", "file": {"file_data": PDF, "filename": "egg.pdf"}},
        ],
    },
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "timer", "arguments": '{"minutes": 8}'}},
            {"id": "call_2", "type": "custom", "custom": {"name": "shell", "input": "ls"}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "It rang."},
    {"role": "tool", "tool_call_id": "call_2", "content": ""},
    {"role": "assistant", "content": "", "refusal": None, "annotations": [], "audio": None, "function_call": None},
    {"role": "assistant", "content": None, "refusal": "I can't help with that."},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    {"role": "assistant", "content": "Eight minutes.", "reasoning_content": "Eggs take eight minutes."},
    {"role": "assistant", "audio": {"id": "audio_1"}},
    {"role": "assistant", "content": None, "function_call": {"name": "timer", "arguments": "{}"}},
    {"role": "function", "name": "timer", "content": "It rang."},
]
