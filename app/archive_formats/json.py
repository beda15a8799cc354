"""JSON, lossless: `{"conversation": {…}, "messages": […]}`, and a list of these for several chats, each on a line."""

from collections.abc import Iterable, Iterator

from app.archive_formats.json_scanner import Broken, Span
from app.archive_formats.records import Record, dumps
from app.archive_formats.schemas import Damaged
from app.archive_formats.source import Damage, Found, Item, Source, check_whole, parsed

# A chat beyond this is read message by message.
_LARGE = 4 * 1024 * 1024

_LISTS = {"message": "messages", "revision": "revisions", "feedback": "feedback"}


class Json:
    """See ExportFormat."""

    name = "json"
    media_type = "application/json"
    extension = "json"
    lossless = True

    def write(self, records: Iterable[Record], *, many: bool) -> Iterator[bytes]:
        if many:
            yield b"[\n"
        chats = 0
        inside = ""
        for record in records:
            kind = record.pop("record")
            if kind == "chat":
                if chats:
                    yield b"]},\n" if many else b"]}\n"
                chats += 1
                yield b'{"conversation":%b,"messages":[' % dumps(record)
                inside = "message"
                separator = b""
            elif kind in _LISTS:
                if kind != inside:
                    yield b'],"%b":[' % _LISTS[kind].encode()
                    inside, separator = kind, b""
                yield separator + dumps(record)
                separator = b","
        if chats:
            yield b"]}\n"
        if many:
            yield b"]\n"


EXPORT = Json()


class JsonIn:
    """See ImportFormat."""

    name = "json"
    native = True

    def recognise(self, source: Source) -> bool:
        names = source.names()
        return (names == {} and source.is_empty_list()) or {"conversation", "messages"} <= names.keys()

    def check(self, source: Source) -> None:
        check_whole(source)

    def read(self, source: Source) -> Iterator[Found | Damage]:
        for item in source.items():
            begun = False
            try:
                for found in _whole(source, item) if item.span.end - item.span.start < _LARGE else _large(source, item):
                    begun = True
                    yield found
            except (Damaged, Broken) as error:
                yield Damage(item.place, str(error), own=not begun)


def _whole(source: Source, item: Item) -> Iterator[Found]:
    value, clean = parsed(source.raw(item.span))
    if not isinstance(value, dict) or not isinstance(value.get("conversation"), dict):
        raise Damaged("no chat")
    unknown = value.keys() - {"conversation", *_LISTS.values()}
    if unknown:
        raise Damaged("it has members of other names")
    yield Found(item.place, {**value["conversation"], "record": "chat"})
    for kind, name in _LISTS.items():
        some = value.get(name, [])
        if not isinstance(some, list):
            raise Damaged(f"{name}: no list")
        for number, one in enumerate(some, 1):
            if not isinstance(one, dict):
                raise Damaged(f"{name}, {number}: no object")
            one["record"] = kind
            yield Found(item.place, one, clean)


def _large(source: Source, item: Item) -> Iterator[Found]:
    if item.span.opening != b"{":
        raise Damaged("no chat")
    members: dict[bytes, Span] = {}
    for written, span in source.members(item.span):
        if written in members:
            raise Damaged("An object has the same key twice.")
        members[written] = span
    unknown = members.keys() - {b'"conversation"', *(b'"%b"' % name.encode() for name in _LISTS.values())}
    if unknown or b'"conversation"' not in members:
        raise Damaged("no chat")
    yield _found(source, item, members[b'"conversation"'], "chat")
    for kind, name in _LISTS.items():
        some = members.get(b'"%b"' % name.encode())
        if some is not None and some.opening != b"[":
            raise Damaged(f"{name}: no list")
        for span in source.elements(some) if some is not None else ():
            yield _found(source, item, span, kind)


def _found(source: Source, item: Item, span: Span, kind: str) -> Found:
    record, clean = parsed(source.raw(span))
    if not isinstance(record, dict):
        raise Damaged("no object")
    record["record"] = kind
    return Found(item.place, record, clean)


IMPORT = JsonIn()
