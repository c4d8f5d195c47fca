// The certified provider as the tests need it. Listens on a free port and prints it; reads one line
// of JSON ({"clients": […], "accessTokenTtl": s}) from standard input; then serves until that ends.

import { createServer } from "node:http";
import { createInterface } from "node:readline";

// It warns, rightly, about everything that makes it fit for tests; what goes wrong comes by console.error.
console.warn = console.info = () => {};
const { default: Provider } = await import("oidc-provider");

const server = createServer((_, response) => response.writeHead(503).end());
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));

const lines = createInterface({ input: process.stdin });
lines.once("line", (line) => {
  const { clients, accessTokenTtl = 3600 } = JSON.parse(line);
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients,
    claims: { openid: ["sub", "sid"], profile: ["name"], email: ["email", "email_verified"] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: `User ${id}`, email: `${id}@example.com`, email_verified: true }),
    }),
    features: {
      backchannelLogout: { enabled: true },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true },
    },
    // A refresh token is good once: a second use takes the whole grant back.
    rotateRefreshToken: true,
    ttl: { AccessToken: accessTokenTtl },
    // It refuses to call services on this machine unless told so.
    fetch: (url, options) => fetch(url, { ...options, dispatcher: undefined }),
    cookies: { keys: ["only for tests"] },
    pkce: { required: () => true },
  });
  provider.on("server_error", (_, error) => console.error(error));
  provider.on("backchannel.error", (_, error) => console.error(error));
  server.removeAllListeners("request");
  server.on("request", provider.callback());
  console.log(JSON.stringify({ ready: true }));
});
// The test is gone, however it went.
lines.on("close", () => process.exit(0));
