"use strict";

/*
 * The only file of this page that sends requests. It is a classic script and puts one object on the window:
 *
 *   withcreds.backend            promise of the backend's origin; rejects, with a message for people, if it is no origin
 *   withcreds.ready              promise of { axios: "1.x.y" | null }
 *   withcreds.probe(request)     promise of an observation; never rejects
 *
 * A probe reports what a script can see and judges nothing: what should have happened is for the caller to know.
 */
(() => {
  const BODY_LIMIT = 4096;
  const TIMEOUT_MS = 20_000;
  const CLIENTS = { "fetch": viaFetch, "xhr": viaXhr, "axios-defaults": viaAxiosDefaults, "axios-create": viaAxiosCreate };
  const CREDENTIALS = ["include", "default", "same-origin", "omit"];

  // The scripts run in document order, so axios has been evaluated by now or will never be.
  const axios = window.axios;
  let axiosDefaultsFree = Promise.resolve();

  const backend = findBackend();
  backend.catch(() => {}); // The page shows it; an unhandled rejection in the console would only repeat it.

  window.withcreds = Object.freeze({
    backend,
    ready: Promise.resolve({ axios: axios ? axios.VERSION : null }),
    probe,
  });

  async function probe(request) {
    const started = performance.now();
    let seen;
    try {
      const wanted = {
        ...request,
        credentials: request.credentials ?? "default",
        method: request.method ?? "GET",
        headers: request.headers ?? [],
        body: request.body ?? null,
      };
      seen = await clientFor(wanted)(wanted);
    } catch (error) {
      seen = { error: { name: String(error?.name ?? "Error"), message: String(error?.message ?? error) } };
    }
    return {
      readable: false, status: 0, type: null, redirected: false, headers: [], body: null, error: null,
      ...seen,
      cookie: pageCookie(),
      millis: Math.round(performance.now() - started),
    };
  }

  function clientFor({ client, credentials, mode }) {
    if (!Object.hasOwn(CLIENTS, client)) throw named("TypeError", `unknown client: ${client}`);
    if (!CREDENTIALS.includes(credentials)) throw named("TypeError", `unknown credentials: ${credentials}`);
    if (client !== "fetch" && credentials === "omit") {
      throw named("NotExpressible", "withCredentials is a switch with two positions; only fetch can say omit");
    }
    if (client !== "fetch" && mode) throw named("NotExpressible", `only fetch has a mode, here ${mode}`);
    if (client.startsWith("axios") && !axios) throw named("AxiosMissing", "axios is not installed: run npm ci in frontend-fixture");
    return CLIENTS[client];
  }

  async function viaFetch({ url, method, headers, body, credentials, mode }) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(timedOut()), TIMEOUT_MS);
    const init = { method, headers, signal: abort.signal };
    if (body !== null) init.body = body;
    if (mode) init.mode = mode;
    if (credentials !== "default") init.credentials = credentials;
    try {
      const response = await fetch(url, init);
      if (response.type === "opaque") return { type: "opaque" };
      return readable(response.status, [...response.headers], await response.text(), {
        type: response.type,
        redirected: response.redirected,
      });
    } finally {
      clearTimeout(timer);
    }
  }

  function viaXhr({ url, method, headers, body, credentials }) {
    return new Promise((resolve, reject) => {
      // No listener on xhr.upload: one alone would make every cross-origin request preflighted.
      const xhr = new XMLHttpRequest();
      xhr.open(method, url);
      for (const [name, value] of headers) xhr.setRequestHeader(name, value);
      if (credentials === "include") xhr.withCredentials = true;
      if (credentials === "same-origin") xhr.withCredentials = false;
      xhr.timeout = TIMEOUT_MS;
      xhr.onload = () => resolve(readable(xhr.status, headerLines(xhr), xhr.responseText, { redirected: wentElsewhere(xhr, url) }));
      xhr.onerror = () => reject(named("NetworkError", "XMLHttpRequest fired its error event, which gives no reason"));
      xhr.ontimeout = () => reject(timedOut());
      xhr.onabort = () => reject(named("AbortError", "the browser aborted the request"));
      xhr.send(body);
    });
  }

  function viaAxiosDefaults(wanted) {
    const turn = axiosDefaultsFree.then(async () => {
      const before = Object.getOwnPropertyDescriptor(axios.defaults, "withCredentials");
      delete axios.defaults.withCredentials;
      Object.assign(axios.defaults, withCredentials(wanted));
      try {
        return await viaAxios(axios({ ...axiosConfig(wanted), url: wanted.url }), wanted);
      } finally {
        delete axios.defaults.withCredentials;
        if (before) Object.defineProperty(axios.defaults, "withCredentials", before);
      }
    });
    axiosDefaultsFree = turn.catch(() => {});
    return turn;
  }

  async function viaAxiosCreate(wanted) {
    // axios.create() copies axios.defaults as they are at that moment: wait until nobody has changed them.
    // It holds no turn itself: once created, the instance has its own copy.
    let turn;
    while (turn !== axiosDefaultsFree) await (turn = axiosDefaultsFree);
    const { origin, pathname, search } = new URL(wanted.url);
    const instance = axios.create({ ...withCredentials(wanted), baseURL: origin });
    // A path that begins with two slashes would be taken for another host.
    const url = pathname.startsWith("//") ? wanted.url : pathname + search;
    return viaAxios(instance.request({ ...axiosConfig(wanted), url }), wanted);
  }

  async function viaAxios(pending, { url }) {
    const response = await pending.catch((error) => {
      if (error.response) return error.response; // axios rejects from 400 on, and still has the answer.
      throw error;
    });
    const headers = Object.entries(response.headers.toJSON()).map(([name, value]) => [name, [value].flat().join(", ")]);
    return readable(response.status, headers, response.data, { redirected: wentElsewhere(response.request, url) });
  }

  function axiosConfig({ method, headers, body }) {
    const joined = {};
    for (const [name, value] of headers) joined[name] = name in joined ? `${joined[name]}, ${value}` : value;
    const typed = headers.some(([name]) => name.toLowerCase() === "content-type");
    const asIs = [(data) => data];
    return {
      method,
      headers: joined,
      // axios drops Content-Type when data is undefined; null has no body either, and keeps it.
      data: body ?? (typed ? null : undefined),
      responseType: "text",
      transformRequest: asIs,
      transformResponse: asIs,
      timeout: TIMEOUT_MS,
    };
  }

  function withCredentials({ credentials }) {
    return credentials === "default" ? {} : { withCredentials: credentials === "include" };
  }

  function readable(status, headers, body, more) {
    const lower = headers.map(([name, value]) => [name.toLowerCase(), value]);
    return { readable: true, status, headers: lower, body: String(body ?? "").slice(0, BODY_LIMIT), ...more };
  }

  function headerLines(xhr) {
    return xhr.getAllResponseHeaders().split("\r\n").filter(Boolean).map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    });
  }

  function wentElsewhere(xhr, url) {
    const asked = new URL(url, location.href);
    asked.hash = "";
    return xhr.responseURL !== "" && xhr.responseURL !== asked.href;
  }

  function pageCookie() {
    try {
      return document.cookie;
    } catch (error) {
      return `(${error.name})`; // A sandboxed frame without an origin has none.
    }
  }

  async function findBackend() {
    const asked = new URLSearchParams(location.search).get("backend");
    if (asked !== null) return parseOrigin(asked, "?backend= in this page's address");
    const told = await toldByServer();
    return told === null ? parseOrigin(location.origin, "this page's own origin") : parseOrigin(told, "/fixture.json");
  }

  async function toldByServer() {
    try {
      const response = await fetch("/fixture.json", { cache: "no-store" });
      return (response.ok && (await response.json()).backend) || null;
    } catch {
      return null; // Another static server, which has no such file or sends its index page instead.
    }
  }

  function parseOrigin(text, source) {
    const wrong = (why) => named("BadBackend", `${source} says “${text}”: ${why}`);
    let url;
    try {
      url = new URL(text);
    } catch {
      throw wrong("that is not an origin. Write scheme, host and port, such as http://localhost:8080.");
    }
    if (url.protocol !== "http:" && url.protocol !== "https:") {
      throw wrong("an origin here begins with http:// or https://, such as http://localhost:8080.");
    }
    if (url.username || url.password || url.pathname !== "/" || url.search || url.hash) {
      throw wrong(`an origin is scheme, host and port, and nothing else. Did you mean ${url.origin}?`);
    }
    return url.origin;
  }

  function timedOut() {
    return named("TimeoutError", `no answer within ${TIMEOUT_MS / 1000} s`);
  }

  function named(name, message) {
    return Object.assign(new Error(message), { name });
  }
})();
