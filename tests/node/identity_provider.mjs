// identity_provider.mjs
//
// An OpenID provider (oidc-provider) on a free port of the loopback interface, for a TLS proxy in
// front of it. People sign in with any name and password and are asked for their consent. PKCE is
// required; refresh tokens rotate, and one that comes a second time ends everything that its sign-in
// gave. The environment:
//
//   RDL_TEST_NODE_MODULES     where the packages lie
//   ISSUER                    the public https:// URL, without a slash at its end
//   CLIENT_ID, CLIENT_SECRET  the client that keeps a secret
//   PUBLIC_CLIENT_ID          one that keeps none; there is none by default
//   REDIRECT_URI, POST_LOGOUT_REDIRECT_URI
//   ACCESS_TOKEN_SECONDS      how long access tokens last
//   ACCESS_TOKEN_FORMAT       `jwt` or `opaque`
//
// For tests, at paths that no provider has:
//
//   GET  /_test/user?token=…  whose access token this is, and for which audience; 404 unless it is
//                             good now
//   GET  /_test/events        how often what happened
//   GET  /_test/secrets       every code and token that was ever given out
//   POST /_test/revoke        no session that began before is renewed any more
//   POST /_test/away          from now on connections break; /_test/back ends that

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const { env } = process;
const packages = createRequire(join(env.RDL_TEST_NODE_MODULES, "from-here.js"));
const { Provider } = await import(pathToFileURL(packages.resolve("oidc-provider")));

const EVENTS = [
  "authorization.success",
  "authorization.error",
  "grant.success",
  "grant.error",
  "grant.revoked",
  "refresh_token.consumed",
  "end_session.success",
  "server_error",
];
// Whose data the access tokens open, if a client does not say.
const AUDIENCE = "urn:test:recordings";
const SCOPES = ["openid", "offline_access", "profile", "email"];

const shared = {
  redirect_uris: [env.REDIRECT_URI],
  post_logout_redirect_uris: [env.POST_LOGOUT_REDIRECT_URI],
  grant_types: ["authorization_code", "refresh_token"],
  response_types: ["code"],
};
const clients = [{ ...shared, client_id: env.CLIENT_ID, client_secret: env.CLIENT_SECRET }];
if (env.PUBLIC_CLIENT_ID) {
  const client_id = env.PUBLIC_CLIENT_ID;
  clients.push({ ...shared, client_id, token_endpoint_auth_method: "none" });
}

const provider = new Provider(env.ISSUER, {
  clients,
  scopes: SCOPES,
  extraParams: ["audience"],
  claims: { openid: ["sub"], profile: ["name"], email: ["email"] },
  findAccount: (_, name) => ({
    accountId: name,
    claims: () => ({ sub: name, name, email: `${name}@example.test` }),
  }),
  pkce: { required: () => true },
  // By the standard only a client that asks for consent each time gets `offline_access`, and
  // oidc-provider strikes it out for others; many providers do not ask for that.
  issueRefreshToken: (_, client) => client.grantTypeAllowed("refresh_token"),
  expiresWithSession: () => false,
  rotateRefreshToken: true,
  features: {
    devInteractions: { enabled: true },
    revocation: { enabled: true },
    introspection: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: ({ oidc }) => oidc.params?.audience ?? AUDIENCE,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, audience) => ({
        audience,
        scope: SCOPES.join(" "),
        accessTokenFormat: env.ACCESS_TOKEN_FORMAT,
        accessTokenTTL: Number(env.ACCESS_TOKEN_SECONDS),
        jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
  cookies: { keys: ["no secret"] },
});
provider.proxy = true;

const events = Object.fromEntries(EVENTS.map((event) => [event, 0]));
for (const event of EVENTS) {
  provider.on(event, () => (events[event] += 1));
}
for (const event of ["authorization.error", "grant.error", "server_error"]) {
  provider.on(event, (_, error) => console.error(event, error));
}

const secrets = [];
const live = new Map();
provider.on("authorization_code.saved", (code) => secrets.push(code.jti));
provider.on("grant.success", ({ body, oidc }) => {
  const { access_token, refresh_token, id_token } = body;
  const { code_verifier } = oidc.params;
  secrets.push(...[access_token, refresh_token, id_token, code_verifier].filter(Boolean));
  const { accountId, aud, exp, grantId, iat, expiration } = oidc.entities.AccessToken;
  const expires = exp ?? (iat ?? Date.now() / 1000) + expiration;
  live.set(access_token, { user: accountId, audience: aud, expires, grantId });
});
provider.on("grant.revoked", (_, ended) => {
  for (const [token, { grantId }] of live) {
    if (grantId === ended) {
      live.delete(token);
    }
  }
});

let away = false;

function owner(token) {
  const { user, audience, expires } = live.get(token) ?? {};
  return Date.now() / 1000 < expires ? { user, audience } : undefined;
}

const HOOKS = {
  "GET /_test/user": ({ query }) => owner(query.token),
  "GET /_test/events": () => events,
  "GET /_test/secrets": () => secrets,
  "POST /_test/revoke": async () => {
    for (const { grantId } of live.values()) await provider.RefreshToken.revokeByGrantId(grantId);
    return {};
  },
  "POST /_test/away": () => ((away = true), {}),
  "POST /_test/back": () => ((away = false), {}),
};
provider.use(async (ctx, next) => {
  const hook = HOOKS[`${ctx.method} ${ctx.path}`];
  if (hook) {
    const answer = await hook(ctx);
    ctx.status = answer ? 200 : 404;
    ctx.body = answer ?? {};
  } else if (away) {
    ctx.respond = false;
    ctx.req.socket.destroy();
  } else {
    await next();
  }
});

const server = provider.listen(0, "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
