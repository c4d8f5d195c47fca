// Made by `withcreds-harness export`. Run: npx playwright test FILE (after npm install @playwright/test).
// The servers of the case run inside the test, under their real names; openssl makes a certificate.
import { test, expect, chromium } from '@playwright/test';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const page = '{page}';
const cookies = '{cookies}';
const backends = '{backends}';
const steps = '{steps}';
const PLANT = '/__plant';

function answer(request, response, isHttps) {
  const url = new URL(request.url, `${isHttps ? 'https' : 'http'}://${request.headers.host}`);
  const port = Number(url.port || (isHttps ? 443 : 80));
  const is = (place) => place.host === url.hostname && place.port === port && place.https === isHttps;
  request.resume();
  if (url.pathname === PLANT) {
    response.setHeader('set-cookie', cookies.filter((c) => c.host === url.hostname).map((c) => c.set));
    return response.end();
  }
  const backend = backends.find(is);
  const kind = request.method === 'OPTIONS' ? 'preflight' : 'actual';
  const fits = (route) => route.path === url.pathname && (kind === 'preflight' || !route.method || route.method === request.method);
  const found = backend && (backend.routes.find((route) => fits(route) && route[kind])?.[kind] ?? backend[kind]);
  if (!found) {
    const isPage = is(page) && request.method === 'GET';
    response.writeHead(isPage ? 200 : 404, isPage ? { 'content-type': 'text/html' } : {});
    return response.end(isPage ? '<!doctype html>' : '');
  }
  const lines = [];
  for (const [name, value] of found.headers ?? []) {
    const origin = request.headers.origin;
    if (!value.includes('{origin}')) lines.push(name, value);
    else if (origin) lines.push(name, value.replaceAll('{origin}', origin));
  }
  for (const line of found.set_cookie ?? []) lines.push('set-cookie', line);
  if (found.redirect) lines.push('location', found.redirect);
  response.writeHead(found.status ?? (found.redirect ? 302 : 200), lines);
  response.end(found.body ?? '');
}

const listen = (server) => new Promise((done) => server.listen(0, '127.0.0.1', () => done(server.address().port)));

test('{title}', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'case-'));
  const [key, cert] = [join(folder, 'key'), join(folder, 'cert')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=case.test'], { stdio: 'ignore' });
  const plain = http.createServer((request, response) => answer(request, response, false));
  const secure = https.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => answer(request, response, true));
  const ports = { http: await listen(plain), https: await listen(secure) };
  // What is mapped to port 1 refuses the connection.
  const rule = (p) => `MAP ${p.host}:${p.port} 127.0.0.1:${p.refused ? 1 : p.https ? ports.https : ports.http}`;
  const hosts = cookies.map((c) => ({ host: c.host, port: 443, https: true }));
  const rules = [page, ...backends, ...hosts].map(rule);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || undefined,
    args: [`--host-resolver-rules=${[...new Set(rules)].join(',')},MAP * 127.0.0.1:1`, '--disable-features=HttpsUpgrades'],
  });
  try {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const tab = await context.newPage();
    for (const host of new Set(cookies.map((c) => c.host))) await tab.goto(`https://${host}${PLANT}`);
    await tab.goto(page.url);
    await tab.evaluate(`window.make = (() => { ${calls()}; return make; })()`);
    for (const step of steps) {
      const seen = await tab.evaluate((s) => window.make(s), step);
      const { readable, status } = step.expected;
      if (readable !== null) expect.soft(seen.readable, `${step.method} ${step.url}: readable`).toBe(readable);
      if (status !== null) expect.soft(seen.status, `${step.method} ${step.url}: status`).toBe(status);
    }
  } finally {
    await browser.close();
    for (const server of [plain, secure]) server.close(), server.closeAllConnections();
    rmSync(folder, { recursive: true });
  }
});

function calls() {
  return [make, once].map(String).join('\n');
}
'{calls}';
