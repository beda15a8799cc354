"""Routes that prepare a chat for a model: its context, lint (what a provider would refuse of it), and repair."""

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.responses import Response

from app.auth.dependencies import AuthenticatedRoute, Reader, Writer
from app.chats.dependencies import chat_store
from app.chats.lease import IDEMPOTENT_LEASE_HEADER, check_lease, lease_token_of
from app.chats.serialize import FIELDS
from app.context.branch_reader import BranchReader
from app.context.findings import Finding
from app.context.providers import PROVIDER_FORMATS
from app.context.repair import repair
from app.context.schemas import ContextOut, ContextQuery, LintOut, RepairOut
from app.context.window import ContextWindow, Limits
from app.http.errors import Conflict, NotFound, responses
from app.http.idempotency import StoredResponse, write_once
from app.http.openapi import BODY_ERRORS, READ_ERRORS, documented
from app.http.references import ChatPath, ChatRef
from app.messages.dependencies import message_store
from app.messages.edits import EditStore
from app.models import Message

MAX_FINDINGS = 1000
_SUMMARY = FIELDS.index("summary")
_MESSAGE_COLUMNS = ("message_id", "seq", "role", "type", "content", "tool_calls", "tool_call_id", "name", "status")

router = APIRouter(prefix="/chats/{chat}", tags=["context"], route_class=AuthenticatedRoute)


@router.get(
    "/context",
    summary="Get the context for a model",
    response_class=Response,
    responses={**documented(ContextOut), **responses(NotFound, *READ_ERRORS)},
)
async def read_context(
    request: Request, user: Reader, chat: ChatPath, query: Annotated[ContextQuery, Query()]
) -> Response:
    """The newest part of the active branch that fits, as a provider takes it: instructions and summary first, then
    whole turns, each beginning with the user."""
    ref = ChatRef.parse(chat)
    row = await chat_store(request, user).get(ref)
    store = message_store(request, user)
    window = ContextWindow(Limits(query.max_tokens, query.max_turns))
    instructions = await store.instructions(ref)
    # Tokens are counted on another thread: a large chat must not keep others waiting.
    await asyncio.to_thread(window.add_instructions, instructions, row[_SUMMARY])
    async for page in store.history.pages_backwards(ref):
        await asyncio.to_thread(window.add, page)
        if window.is_final:
            break
    return Response(await asyncio.to_thread(_context_json, window, query.format), media_type="application/json")


def _context_json(window: ContextWindow, format_name: str) -> bytes:
    context = window.build()
    seqs = context.seqs
    summary: dict[str, Any] = {
        "tokens": context.tokens,
        "message_count": len(seqs) + context.instruction_count,
        "truncated": context.truncated,
        "first_seq": seqs[0] if seqs else None,
        "last_seq": seqs[-1] if seqs else None,
    }
    return orjson.dumps({"format": format_name, **PROVIDER_FORMATS[format_name](context), **summary})


@router.get(
    "/lint",
    summary="Find what a provider would refuse",
    response_class=Response,
    responses={**documented(LintOut), **responses(NotFound, *READ_ERRORS)},
)
async def lint_chat(request: Request, user: Reader, chat: ChatPath) -> Response:
    """Orphaned tool calls and results, call ids used twice, empty messages and the like, in the active branch."""
    reader = BranchReader()
    async for page in message_store(request, user).history.pages_backwards(ChatRef.parse(chat)):
        await asyncio.to_thread(reader.read_all, page)
        if len(reader.findings) > MAX_FINDINGS:
            break
    else:
        reader.end()
    findings = reader.findings[:MAX_FINDINGS]
    body = {"ok": not findings, "items": _findings_json(findings), "truncated": len(reader.findings) > MAX_FINDINGS}
    return Response(orjson.dumps(body), media_type="application/json")


@router.post(
    "/repair",
    summary="Mend what a provider would refuse",
    response_class=Response,
    responses={**documented(RepairOut), **responses(NotFound, Conflict, *BODY_ERRORS)},
    openapi_extra=IDEMPOTENT_LEASE_HEADER,
)
async def repair_chat(request: Request, user: Writer, chat: ChatPath) -> Response:
    """Edits messages of the active branch in place, all or none; what they were is kept as revisions.

    Afterwards `lint` finds nothing. Content is kept: what cannot be sent gets a `type` of its own.
    """
    ref = ChatRef.parse(chat)

    async def apply(session: AsyncSession) -> StoredResponse:
        row = await chat_store(request, user).find(session, ref)
        check_lease(row, lease_token_of(request))
        messages = await message_store(request, user).active_branch(session, row)
        findings, repairs = await asyncio.to_thread(repair, [_fields(message) for message in messages])
        by_seq = {message.seq: message for message in messages}
        await EditStore().revise(session, row, [(by_seq[each.seq], each.changes) for each in repairs])
        return StoredResponse(200, orjson.dumps({"repaired": _findings_json(findings)}), chat_id=row.chat_id)

    return await write_once(request, user.user_id, apply)


def _fields(message: Message) -> dict[str, Any]:
    return {name: getattr(message, name) for name in _MESSAGE_COLUMNS}


def _findings_json(findings: list[Finding]) -> list[dict[str, Any]]:
    return [
        {"rule": finding.rule, "message_id": finding.message_id, "seq": finding.seq, "detail": finding.detail}
        for finding in sorted(findings, key=lambda finding: finding.seq)
    ]
