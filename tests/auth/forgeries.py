"""Ways to forge a token. Each takes a genuine provider and gives a token that no service may take."""

import json
import secrets
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwe
from joserfc.jwk import ECKey, RSAKey

from tests.servers.identity import (
    AUDIENCE,
    IdentityProvider,
    Json,
    base64url,
    compact,
    secret,
    signer,
    swapped,
    weak_rsa,
)

SHARED_SECRET = "shared-secret-for-tests-of-at-least-32-bytes"
ATTACKER = RSAKey.generate_key(2048, {"kid": "rsa"})
ATTACKER_EC = ECKey.generate_key("P-256", {"kid": "ec"})
LEAKED = RSAKey.generate_key(2048, {"kid": "leaked"})
ENCRYPTING = RSAKey.generate_key(2048, {"kid": "encrypting", "key_ops": ["encrypt"]})
WEAK = weak_rsa()

Forge = Callable[[IdentityProvider], str]
FORGERIES: dict[str, Forge] = {}


def forgery(name: str) -> Callable[[Forge], Forge]:
    """Names a way to forge."""

    def add(forge: Forge) -> Forge:
        FORGERIES[name] = forge
        return forge

    return add


def _with_claims(name: str, **claims: object) -> None:
    FORGERIES[name] = lambda provider: provider.token(claims=claims)


def _with_header(name: str, **header: object) -> None:
    FORGERIES[name] = lambda provider: provider.token(header=header)


def _late(seconds: float) -> float:
    return time.time() + seconds


# The algorithm is the token's choice.
for none in ("none", "None", "NONE", "nOnE"):
    FORGERIES[f"alg {none}, unsigned"] = lambda provider, none=none: compact(  # type: ignore[misc]
        {"alg": none, "typ": "JWT"}, provider.claims(), lambda _: b""
    )
FORGERIES["alg none, signed"] = lambda p: p.token(header={"alg": "none"})
FORGERIES["alg none, kid of a key"] = lambda p: compact({"alg": "none", "kid": "rsa"}, p.claims(), lambda _: b"")
FORGERIES["alg missing"] = lambda p: p.token(header={"alg": None})
FORGERIES["alg empty"] = lambda p: p.token(header={"alg": ""})
FORGERIES["alg a number"] = lambda p: p.token(header={"alg": 256})
FORGERIES["alg a list"] = lambda p: p.token(header={"alg": ["RS256"]})
FORGERIES["alg an object"] = lambda p: p.token(header={"alg": {"RS256": 1}})
FORGERIES["alg in lower case"] = lambda p: p.token(header={"alg": "rs256"})
FORGERIES["alg RS512, not in the list"] = lambda p: p.token("rsa-any", "RS512")
FORGERIES["alg PS256, not in the list"] = lambda p: p.token("rsa-any", "PS256")
FORGERIES["alg ES384, not in the list"] = lambda p: p.token("ec-384", "ES384")
FORGERIES["alg Ed25519, not in the list"] = lambda p: p.token("ed", "Ed25519")


# A public key is taken for a shared secret.
def _hmac(provider: IdentityProvider, key: bytes, alg: str = "HS256", kid: str = "rsa") -> str:
    return provider.token(kid, alg, key=secret(key))


def _public(provider: IdentityProvider) -> RSAKey:
    key = provider.keys["rsa"]
    assert isinstance(key, RSAKey)
    return key


FORGERIES["HS256 with the public key's PEM"] = lambda p: _hmac(p, _public(p).as_pem(private=False))
FORGERIES["HS256 with the PEM, no last newline"] = lambda p: _hmac(p, _public(p).as_pem(private=False).rstrip())
FORGERIES["HS256 with the public key's DER"] = lambda p: _hmac(p, _public(p).as_der(private=False))
FORGERIES["HS256 with the public key's JWK"] = lambda p: _hmac(p, json.dumps(p.published[0]).encode())
FORGERIES["HS256 with the public key's modulus"] = lambda p: _hmac(p, str(p.published[0]["n"]).encode())
FORGERIES["HS256 with no secret"] = lambda p: _hmac(p, b"\0")
FORGERIES["HS256 with a guessed secret"] = lambda p: _hmac(p, b"secret")
FORGERIES["HS256 with the JWKS's address"] = lambda p: _hmac(p, p.url.encode())
FORGERIES["HS512 with the shared secret"] = lambda p: _hmac(p, SHARED_SECRET.encode(), "HS512")


@forgery("HS256 with a symmetric key from the JWKS")
def _(provider: IdentityProvider) -> str:
    key = b"published by mistake, 32 bytes!!"
    provider.published.append({"kty": "oct", "kid": "oct", "k": base64url(key)})
    return _hmac(provider, key, kid="oct")


# The token brings its own key.
FORGERIES["key of another provider, kid of ours"] = lambda p: p.token(key=ATTACKER)
FORGERIES["key of another provider, its kid"] = lambda p: p.token(header={"kid": "theirs"}, key=ATTACKER)
FORGERIES["embedded jwk"] = lambda p: p.token(
    header={"jwk": dict(ATTACKER.as_dict(private=False)), "kid": None}, key=ATTACKER
)
FORGERIES["embedded jwk, kid of ours"] = lambda p: p.token(
    header={"jwk": dict(ATTACKER.as_dict(private=False))}, key=ATTACKER
)
FORGERIES["jku of an attacker"] = lambda p: p.token(header={"jku": "https://attacker.test/jwks"}, key=ATTACKER)
FORGERIES["jku on this machine"] = lambda p: p.token(
    header={"jku": "http://127.0.0.1:1/jwks", "kid": "x"}, key=ATTACKER
)
FORGERIES["x5u of an attacker"] = lambda p: p.token(header={"x5u": "https://attacker.test/x.pem"}, key=ATTACKER)
FORGERIES["x5c of an attacker"] = lambda p: p.token(header={"x5c": ["MIIB"]}, key=ATTACKER)
FORGERIES["x5t of an attacker"] = lambda p: p.token(header={"x5t": "AAAA", "kid": None}, key=ATTACKER)

# A key is used for what it is not for.
FORGERIES["encryption key"] = lambda p: p.token("enc")
FORGERIES["ES256 key for RS256"] = lambda p: p.token("ec", "ES256", header={"alg": "RS256"})
FORGERIES["RS256 key for ES256"] = lambda p: p.token("rsa", "RS256", header={"alg": "ES256"})
FORGERIES["ES256 on a P-384 key"] = lambda p: p.token("ec-384", "ES256")
FORGERIES["no kid, several keys fit"] = lambda p: p.token(header={"kid": None})


@forgery("key that is published with its private part")
def _(provider: IdentityProvider) -> str:
    provider.published.append(dict(LEAKED.as_dict(private=True)))
    return provider.token("leaked", key=LEAKED)


@forgery("RSA key of 1024 bits")
def _(provider: IdentityProvider) -> str:
    provider.publish("weak", WEAK)
    return provider.token("weak")


@forgery("key whose key_ops are for encryption")
def _(provider: IdentityProvider) -> str:
    provider.published.append(dict(ENCRYPTING.as_dict(private=False)))
    return provider.token("encrypting", key=RSAKey(ENCRYPTING.raw_value, None))


# The signature is not one.
FORGERIES["empty signature"] = lambda p: p.token().rpartition(".")[0] + "."
FORGERIES["truncated"] = lambda p: p.token()[:-20]
FORGERIES["truncated in its claims"] = lambda p: p.token()[:120]
FORGERIES["signature of another token"] = lambda p: (
    f"{p.token().rpartition('.')[0]}.{p.token(claims={'sub': 'bob'}).rpartition('.')[2]}"
)
FORGERIES["signature twice"] = lambda p: p.token() + p.token().rpartition(".")[2]
FORGERIES["payload swapped"] = lambda p: swapped(p.token(), sub="bob")
FORGERIES["payload swapped for admin"] = lambda p: swapped(p.token(), scope="admin")
FORGERIES["ECDSA of zeros"] = lambda p: compact({"alg": "ES256", "kid": "ec"}, p.claims(), lambda _: bytes(64))
FORGERIES["ECDSA by another key"] = lambda p: p.token("ec", "ES256", key=ATTACKER_EC)


@forgery("ECDSA in DER")
def _(provider: IdentityProvider) -> str:
    key = provider.keys["ec"]
    assert isinstance(key, ECKey)
    private = key.private_key
    assert private is not None
    return compact({"alg": "ES256", "kid": "ec"}, provider.claims(), lambda m: private.sign(m, ECDSA(SHA256())))


@forgery("last character of the signature written otherwise")
def _(provider: IdentityProvider) -> str:
    # 256 bytes end in two unused bits per character: A, B, C and D would mean the same to a lenient decoder.
    token = provider.token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


# The claims are for somebody else, or for another time.
_with_claims("wrong aud", aud="billing")
_with_claims("missing aud", aud=None)
_with_claims("aud that begins like ours", aud=f"{AUDIENCE}-staging")
_with_claims("aud list without ours", aud=["billing", "mail"])
_with_claims("aud an object", aud={AUDIENCE: True})
_with_claims("aud in a list in a list", aud=[[AUDIENCE]])
_with_claims("wrong iss", iss="https://attacker.test")
_with_claims("missing iss", iss=None)
_with_claims("iss a list", iss=["https://attacker.test"])
FORGERIES["iss with a slash"] = lambda p: p.token(claims={"iss": p.issuer + "/"})
FORGERIES["expired"] = lambda p: p.token(claims={"exp": int(_late(-3600))})
FORGERIES["expired a second ago"] = lambda p: p.token(claims={"exp": _late(-1)})
_with_claims("no exp", exp=None)
_with_claims("exp zero", exp=0)
_with_claims("exp true", exp=True)
_with_claims("exp a list", exp=[9999999999])
FORGERIES["exp a text"] = lambda p: p.token(claims={"exp": str(int(_late(600)))})
FORGERIES["exp null"] = lambda p: compact(
    {"alg": "RS256", "kid": "rsa"}, {**p.claims(), "exp": None}, signer("RS256", p.keys["rsa"])
)
for value in ("NaN", "Infinity", "1e400"):
    FORGERIES[f"exp {value}"] = lambda p, value=value: compact(  # type: ignore[misc]
        {"alg": "RS256", "kid": "rsa"},
        json.dumps({**p.claims(), "exp": 1}).replace('"exp": 1', f'"exp": {value}'),
        signer("RS256", p.keys["rsa"]),
    )
FORGERIES["not yet valid"] = lambda p: p.token(claims={"nbf": _late(3600)})
FORGERIES["not yet valid for a minute"] = lambda p: p.token(claims={"nbf": _late(60)})
FORGERIES["nbf a text"] = lambda p: p.token(claims={"nbf": "0"})
FORGERIES["iat in the future"] = lambda p: p.token(claims={"iat": _late(3600)})
_with_claims("iat true", iat=True)
FORGERIES["iat a text"] = lambda p: p.token(claims={"iat": "yesterday"})
_with_claims("missing sub", sub=None)
_with_claims("sub a number", sub=42)
_with_claims("sub a list", sub=["ann"])
_with_claims("sub true", sub=True)
_with_claims("sub empty", sub="")
_with_claims("sub with NUL", sub="ann\0")
_with_claims("sub with a line feed", sub="ann\nbob")
_with_claims("sub with a lone surrogate", sub="\ud800")
_with_claims("sub of 256 characters", sub="a" * 256)

# The header asks for what we do not do.
_with_header("typ of a logout token", typ="logout+jwt")
_with_header("typ of a DPoP proof", typ="dpop+jwt")
_with_header("typ empty", typ="")
_with_header("typ a number", typ=1)
_with_header("typ a list", typ=["JWT"])
_with_header("unknown crit", crit=["policy"], policy="anything")
_with_header("unknown crit that is absent", crit=["policy"])
_with_header("crit of a known header", crit=["kid"])
_with_header("crit empty", crit=[])
_with_header("crit a text", crit="b64")
_with_header("b64 false", b64=False)
_with_header("b64 false and crit", b64=False, crit=["b64"])
_with_header("kid a path", kid="../../../../../../etc/passwd")
_with_header("kid /dev/null", kid="/dev/null")
_with_header("kid SQL", kid="rsa' OR '1'='1")
_with_header("kid a command", kid="rsa|id")
_with_header("kid an address", kid="http://127.0.0.1:1/key")
_with_header("kid a number", kid=1)
_with_header("kid a list", kid=["rsa"])
_with_header("kid an object", kid={"kid": "rsa"})
_with_header("kid empty", kid="")
_with_header("kid with NUL", kid="rsa\0")
FORGERIES["kid a path, signed with an empty file"] = lambda p: p.token(
    "rsa", "HS256", header={"kid": "/dev/null"}, key=secret(b"\0")
)


@forgery("b64 false, payload not encoded")
def _(provider: IdentityProvider) -> str:
    head = base64url({"alg": "RS256", "kid": "rsa", "b64": False, "crit": ["b64"]})
    payload = json.dumps(provider.claims(iss="x", sub="ann")).replace(".", "")
    return f"{head}.{payload}.{base64url(signer('RS256', provider.keys['rsa'])(f'{head}.{payload}'.encode()))}"


# It is no JWT.
def _raw(provider: IdentityProvider, header: str | bytes | Json | list[object], payload: object) -> str:
    return compact(header, payload, signer("RS256", provider.keys["rsa"]))  # type: ignore[arg-type]


HEADER: Json = {"alg": "RS256", "kid": "rsa"}
FORGERIES["duplicate header"] = lambda p: _raw(p, '{"alg":"none","alg":"RS256","kid":"rsa"}', p.claims())
FORGERIES["duplicate claim"] = lambda p: _raw(p, HEADER, json.dumps(p.claims())[:-1] + ',"sub":"bob"}')
FORGERIES["header a list"] = lambda p: _raw(p, [HEADER], p.claims())
FORGERIES["header no JSON"] = lambda p: _raw(p, b"{'alg': 'RS256'}", p.claims())
FORGERIES["payload a list"] = lambda p: _raw(p, HEADER, [p.claims()])
FORGERIES["payload a text"] = lambda p: _raw(p, HEADER, b'"ann"')
FORGERIES["payload no JSON"] = lambda p: _raw(p, HEADER, b"ann")
FORGERIES["payload UTF-16"] = lambda p: _raw(p, HEADER, json.dumps(p.claims()).encode("utf-16"))
FORGERIES["payload a genuine token"] = lambda p: _raw(p, {**HEADER, "cty": "JWT"}, p.token())
FORGERIES["payload nested too deeply"] = lambda p: _raw(
    p, HEADER, json.dumps(p.claims())[:-1] + ',"x":' + "[" * 2000 + "]" * 2000 + "}"
)
FORGERIES["detached, nothing signed"] = lambda p: _raw(p, HEADER, b"")
FORGERIES["detached"] = lambda p: "{0}..{2}".format(*p.token().split("."))
FORGERIES["too large"] = lambda p: p.token(claims={"padding": "x" * 10_000})
FORGERIES["not base64"] = lambda p: p.token().replace(".", ".%", 1)
FORGERIES["padded base64"] = lambda p: "{}.{}.{}==".format(*p.token().split("."))
FORGERIES["base64 of the other alphabet"] = lambda p: p.token().rpartition(".")[0] + "." + "+/" * 171
FORGERIES["with a space"] = lambda p: p.token().replace(".", ". ", 1)
FORGERIES["four parts"] = lambda p: p.token() + "." + p.token().rpartition(".")[2]
FORGERIES["two parts"] = lambda p: p.token().rpartition(".")[0]
FORGERIES["one part"] = lambda _: base64url({"sub": "ann"})
FORGERIES["two dots"] = lambda _: ".."
FORGERIES["random bytes"] = lambda _: ".".join(secrets.token_urlsafe(40) for _ in range(3))
FORGERIES["JWS as JSON"] = lambda p: json.dumps(
    dict(zip(("protected", "payload", "signature"), p.token().split("."), strict=True))
)


@forgery("encrypted for the provider (JWE)")
def _(provider: IdentityProvider) -> str:
    return jwe.encrypt_compact(
        {"alg": "RSA-OAEP", "enc": "A128GCM", "kid": "enc"}, json.dumps(provider.claims()), provider.keys["enc"]
    )


@forgery("encrypted with the shared secret (JWE)")
def _(provider: IdentityProvider) -> str:
    key = secret(SHARED_SECRET.encode()[:32])
    return jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, json.dumps(provider.claims()), key)
