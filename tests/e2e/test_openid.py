"""Users of a real OpenID provider: they sign in there, and come with the access tokens that they get."""

import time
from collections.abc import Iterator

import httpx2
import pytest

from tests.e2e.provider import AUDIENCE, CHATKEEP_BRIEFLY, SOMETHING_ELSE, Provider, signing_key
from tests.servers.service import ServiceProcess

# A fetch of the provider's keys for a key id that is not known comes at most this often, and takes its time too.
UNKNOWN_KEY_SECONDS = 30 + 5


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider with one key."""
    with Provider(signing_key()) as started:
        yield started


@pytest.fixture
def service(provider: Provider) -> Iterator[ServiceProcess]:
    """Chatkeep, set up with what the provider says of itself."""
    metadata = provider.discover()
    with ServiceProcess(
        admin_key=None, jwks_url=metadata["jwks_uri"], jwt_issuer=metadata["issuer"], jwt_audience=AUDIENCE
    ) as started:
        yield started


@pytest.fixture
def call(service: ServiceProcess) -> Iterator[httpx2.Client]:
    """A client of it that has no token yet."""
    with httpx2.Client(base_url=service.base_url, trust_env=False) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    """The headers of a caller with this token."""
    return {"Authorization": f"Bearer {token}"}


def test_users_have_their_own_chats(provider: Provider, call: httpx2.Client) -> None:
    ann, ben = (bearer(provider.sign_in(user)["access_token"]) for user in ("ann", "ben"))
    for whom, text in ((ann, "Ann's"), (ben, "Ben's")):
        answer = call.post("/chats/key:mine/messages", headers=whom, json={"role": "user", "content": text})
        assert answer.status_code == 201, answer.text

    chats = {}
    for name, whom, text in (("ann", ann, "Ann's"), ("ben", ben, "Ben's")):
        (chat,) = call.get("/chats", headers=whom).json()["items"]
        assert (chat["user_id"], chat["message_count"]) == (name, 1)
        (message,) = call.get("/chats/key:mine/messages", headers=whom).json()["items"]
        assert message["content"] == text
        chats[name] = chat["chat_id"]

    absent = "01932c07-1f3e-7000-8000-abcdef012345"
    for path in ("/chats/{}", "/chats/{}/messages", "/chats/{}/messages/1"):
        others = call.get(path.format(chats["ann"]), headers=ben)
        nobodys = call.get(path.format(absent), headers=ben)
        assert (others.status_code, others.content) == (nobodys.status_code, nobodys.content)
        assert others.status_code == 404
    assert call.delete(f"/chats/{chats['ann']}?hard=true", headers=ben).status_code == 404
    assert call.get(f"/chats/{chats['ann']}", headers=ann).status_code == 200

    # They are users, and cannot act for anybody else.
    assert call.get("/chats", headers={**ben, "X-User-Id": "ann"}).status_code == 403
    assert call.get("/admin/api-keys", headers=ann).status_code == 403


def test_what_a_user_agreed_to_is_what_the_token_may_do(provider: Provider, call: httpx2.Client) -> None:
    reader = bearer(provider.sign_in("ann", scope="openid chats:read")["access_token"])
    assert call.get("/chats", headers=reader).status_code == 200
    assert call.post("/chats", headers=reader, json={}).status_code == 403


def test_only_tokens_for_chatkeep_are_taken(provider: Provider, call: httpx2.Client) -> None:
    tokens = provider.sign_in("ann")
    assert call.get("/chats", headers=bearer(tokens["access_token"])).status_code == 200
    refused = {
        "another audience": provider.sign_in("ann", SOMETHING_ELSE)["access_token"],
        "an id token": tokens["id_token"],
        "an opaque token": provider.sign_in("ann", None)["access_token"],
        "a changed token": tokens["access_token"].replace(".", ".e30", 1),
    }
    for what, token in refused.items():
        answer = call.get("/chats", headers=bearer(token))
        assert answer.status_code == 401, what
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_of_another_provider_is_refused(call: httpx2.Client) -> None:
    with Provider(signing_key()) as other:
        assert call.get("/chats", headers=bearer(other.sign_in("ann")["access_token"])).status_code == 401


def test_a_token_ends_when_it_says(provider: Provider, call: httpx2.Client) -> None:
    whom = bearer(provider.sign_in("ann", CHATKEEP_BRIEFLY)["access_token"])
    assert call.get("/chats", headers=whom).status_code == 200
    time.sleep(4)
    assert call.get("/chats", headers=whom).status_code == 401


def test_keys_are_rotated_without_a_restart(provider: Provider, call: httpx2.Client) -> None:
    def sign_in() -> dict[str, str]:
        return bearer(provider.sign_in("ann")["access_token"])

    first, second, third = provider.keys[0], signing_key("ES256"), signing_key()
    used, held_back, held_back_longer = sign_in(), sign_in(), sign_in()
    assert call.post("/chats", headers=used, json={"key": "kept"}).status_code == 201

    # The new key signs, the old one is still published: both are good.
    provider.rotate(second, first)
    new, new_held_back = sign_in(), sign_in()
    wait_until_taken(call, new)
    assert call.get("/chats", headers=held_back).status_code == 200
    assert [chat["key"] for chat in call.get("/chats", headers=new).json()["items"]] == ["kept"]

    # Only a third key is left: what the others signed, and was not seen a moment ago, is refused.
    provider.rotate(third)
    newest, newest_held_back = sign_in(), sign_in()
    wait_until_taken(call, newest)
    for withdrawn in (held_back_longer, new_held_back):
        assert call.get("/chats", headers=withdrawn).status_code == 401

    # And while the provider is away, its users go on.
    provider.stop()
    assert call.get("/chats/key:kept", headers=newest_held_back).status_code == 200


def wait_until_taken(call: httpx2.Client, whom: dict[str, str]) -> None:
    """Waits until Chatkeep knows the key of this caller's token."""
    deadline = time.monotonic() + UNKNOWN_KEY_SECONDS
    while (answer := call.get("/chats", headers=whom)).status_code == 401 and time.monotonic() < deadline:
        time.sleep(1)
    assert answer.status_code == 200, answer.text
