// An OpenID provider on loopback. Its configuration is one JSON line on its input, and it ends when its input does.
//   {port, jwks: {keys: [private JWK …]}, client_id, redirect_uri,
//    resources: {<indicator>: {audience, seconds}}}    access tokens for these are JWTs, signed with the first key
// It prints "ready" once it listens. Anybody may sign in, with any password.
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

// The provider is written for Node 22.
URL.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null);

const SCOPES = "chats:read chats:write";

async function serve({ port, jwks, client_id, redirect_uri, resources }) {
    const provider = new Provider(`http://127.0.0.1:${port}`, {
        jwks,
        cookies: { keys: ["of a test, on loopback"] },
        clients: [
            {
                client_id,
                application_type: "native",
                redirect_uris: [redirect_uri],
                token_endpoint_auth_method: "none",
                id_token_signed_response_alg: jwks.keys[0].alg,
            },
        ],
        features: {
            devInteractions: { enabled: true },
            resourceIndicators: {
                enabled: true,
                defaultResource: () => [],
                useGrantedResource: () => true,
                getResourceServerInfo: (_context, indicator) => ({
                    scope: SCOPES,
                    audience: resources[indicator].audience,
                    accessTokenTTL: resources[indicator].seconds,
                    accessTokenFormat: "jwt",
                    jwt: { sign: { alg: jwks.keys[0].alg } },
                }),
            },
        },
        findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    });
    provider.listen(port, "127.0.0.1", () => console.log("ready"));
}

const lines = createInterface({ input: process.stdin });
lines.once("line", (line) => serve(JSON.parse(line)));
lines.once("close", () => process.exit());
