"use strict";

/*
 * The page around probe.js: builds calls, shows what they did, and explains it in one sentence.
 * Order: state, start, actions, what went out, what the answer means, drawing.
 */
(() => {
  const CLIENTS = { "fetch": "fetch", "xhr": "XMLHttpRequest", "axios-defaults": "axios.defaults", "axios-create": "axios.create" };
  const CREDENTIALS = ["include", "default", "same-origin", "omit"];
  const ENDPOINTS = {
    "session": { method: "GET", path: "/api/auth/session", hint: "Who am I? 200 with a session, 401 without." },
    "session-json": {
      method: "GET", path: "/api/auth/session", headers: [["Content-Type", "application/json"]], label: "with a JSON content type",
      hint: "The same question with a header that needs a preflight across origins, as several auth SDKs ask it.",
    },
    "example": { method: "GET", path: "/api/example", hint: "A protected endpoint: needs a session." },
    "sessions": { method: "GET", path: "/api/auth/sessions", hint: "All sessions of the signed-in user." },
    "token": { method: "GET", path: "/api/auth/token", hint: "The access token. 404 unless the backend is told to expose it." },
    "logout-no-csrf": { method: "POST", path: "/api/auth/logout", label: "without CSRF token", hint: "With a session, the backend must refuse: 403 csrf_failed." },
    "logout": { method: "POST", path: "/api/auth/logout", csrf: true, label: "with CSRF token", hint: "Ends the session, if the cookie travels." },
    "unknown": { method: "GET", path: "/api/no-such-path", hint: "404. The error too must carry CORS headers, or the page could not read it." },
    "wrong-method": { method: "DELETE", path: "/api/auth/session", hint: "405, after a preflight: DELETE is not a CORS-safelisted method." },
  };
  const LOG_LIMIT = 60;

  const $ = (id) => document.getElementById(id);
  const here = location.origin;
  let backend = null;
  let axiosVersion = null;
  let csrfToken = null;
  let session = "unknown"; // "in", "out", "unreachable"
  let calls = 0;

  async function start() {
    $("page-origin").textContent = here;
    for (const [value, endpoint] of Object.entries(ENDPOINTS)) $("endpoint").append(h("option", { value }, nameOf(endpoint)));
    drawMatrix();
    listen();
    axiosVersion = (await withcreds.ready).axios;
    drawAxios();
    try {
      backend = await withcreds.backend;
    } catch (error) {
      return refuseBackend(error.message);
    }
    const { kind, why } = relation();
    $("backend-origin").textContent = backend;
    $("relation").dataset.relation = kind;
    $("relation").replaceChildren(h("strong", {}, RELATIONS[kind]), h("span", {}, why));
    const query = new URLSearchParams(location.search);
    if (query.has("backend")) problem(`The backend was chosen by this page's address (?backend=). Type a password only if you meant ${backend}.`, "info");
    drawBuilder();
    if (query.get("autocheck") === "off") drawSession("unknown", "Not asked yet.");
    else await refreshSession();
    document.documentElement.dataset.ready = "true";
  }

  function listen() {
    $("builder").addEventListener("change", drawBuilder);
    $("builder").addEventListener("submit", (event) => exclusively(event, sendOne));
    $("send-all").addEventListener("click", (event) => exclusively(event, sendAll));
    $("login-form").addEventListener("submit", (event) => exclusively(event, signIn));
    $("logout").addEventListener("click", (event) => exclusively(event, signOut));
    $("copy").addEventListener("click", copyCode);
    $("clear").addEventListener("click", clearLog);
  }

  // ---- Actions -----------------------------------------------------------------------------------------------------

  async function exclusively(event, action) {
    event.preventDefault();
    // aria-disabled, not disabled: a disabled button loses the keyboard focus.
    if (backend === null || $("log").getAttribute("aria-busy") === "true") return;
    setBusy(true);
    try {
      await action();
    } finally {
      setBusy(false);
    }
  }

  async function sendOne() {
    const { id } = await call(builtRequest());
    const { top } = $(`call-${id}`).getBoundingClientRect();
    if (top < 0 || top > innerHeight - 120) bringIntoView($(`call-${id}`)); // Narrow windows: the log is far below.
  }

  async function sendAll() {
    const signedIn = session === "in";
    $("matrix-hint").textContent = "Asking…";
    drawMatrix();
    for (const client of Object.keys(CLIENTS)) {
      for (const credentials of CREDENTIALS) {
        if (!unavailable(client, credentials)) fillCell(await call(requestFor("session", client, credentials), { open: false }));
      }
    }
    $("matrix-hint").textContent = signedIn
      ? "Each cell opens its call below."
      : "You were not signed in, so no call could find a session. Sign in and send all again to see the difference.";
    $("announce").textContent = `The table is filled. ${$("matrix-hint").textContent}`;
  }

  async function signIn() {
    const password = $("password").value;
    const body = JSON.stringify({ username: $("username").value, password });
    const { seen, words } = await call({
      ...requestFor("session", "fetch", "include"),
      method: "POST", path: "/api/auth/login", headers: [["Content-Type", "application/json"]], body,
      shownBody: JSON.stringify({ username: $("username").value, password: "…" }), purpose: "login",
    });
    if (session === "in") return $("login-form").reset();
    drawSession(seen.readable ? "out" : "unreachable", words);
    $("password").select();
  }

  const signOut = () => call(requestFor("logout", "fetch", "include"));

  // Quiet: what the page asks for itself is not in the log, and does not extend the session.
  async function refreshSession() {
    const request = { ...requestFor("session", "fetch", "include"), path: "/api/auth/session?slide=false" };
    learn(request, await withcreds.probe(wire(request)));
  }

  async function call(request, { open = true } = {}) {
    const before = session;
    const seen = await withcreds.probe(wire(request));
    const done = { id: ++calls, request, seen, before, answer: parse(seen.body) };
    done.words = explain(done);
    learn(request, seen);
    drawCall(done, open);
    if (open) $("announce").textContent = `${CLIENTS[request.client]}, ${request.credentials}: ${done.words}`;
    return done;
  }

  /** Takes over what an answer says about the page's own session. An answer without credentials says nothing. */
  function learn(request, seen) {
    if (!travels(request) || request.mode) return;
    if (!seen.readable) return session === "unknown" ? drawSession("unreachable", unreachable()) : undefined;
    const answer = parse(seen.body);
    const asked = request.path.split("?")[0];
    if (seen.status === 200 && answer?.userId && (asked === "/api/auth/session" || request.purpose === "login")) {
      csrfToken = answer.csrfToken ?? seen.headers.find(([name]) => name === "x-csrf-token")?.[1] ?? null;
      const until = answer.idleExpiresAt ? ` Ends ${time(answer.idleExpiresAt)} if idle, ${time(answer.expiresAt)} at the latest.` : "";
      return drawSession("in", `Signed in as ${answer.userId} (tenant ${answer.tenantId}).${until}`);
    }
    const over = asked === "/api/auth/logout" && seen.status === 200;
    if (over || (seen.status === 401 && request.purpose !== "login")) {
      csrfToken = null;
      return drawSession("out", over ? "Signed out." : "Not signed in.");
    }
    if (session === "unknown" || session === "unreachable") drawSession("unknown", `The backend answered ${seen.status}: not known whether you are signed in.`);
  }

  async function copyCode() {
    try {
      await navigator.clipboard.writeText($("code").textContent);
      $("copy").textContent = "Copied";
    } catch {
      getSelection().selectAllChildren($("code")); // No clipboard outside secure contexts: leave it selected.
      $("copy").textContent = "Selected";
    }
    setTimeout(() => ($("copy").textContent = "Copy"), 1500);
  }

  function clearLog() {
    $("log").replaceChildren(h("p", { class: "empty" }, "Cleared. The next call appears here."));
    $("clear").hidden = true;
    for (const button of $("matrix").querySelectorAll("button")) button.replaceWith(...button.childNodes);
  }

  // ---- What goes out -----------------------------------------------------------------------------------------------

  function builtRequest() {
    const chosen = new FormData($("builder"));
    const request = requestFor($("endpoint").value, chosen.get("client"), chosen.get("credentials"));
    if (request.client === "fetch" && $("no-cors").checked) request.mode = "no-cors";
    return request;
  }

  function requestFor(purpose, client, credentials) {
    const { method, path, headers = [], csrf } = ENDPOINTS[purpose];
    const token = csrf && csrfToken ? [["X-CSRF-TOKEN", csrfToken]] : [];
    return { purpose, client, credentials, method, path, headers: [...headers, ...token], body: null };
  }

  function wire({ client, credentials, method, path, headers, body, mode }) {
    return { client, credentials, method, url: backend + path, headers, body, mode };
  }

  /** Why this choice cannot be sent, or null. */
  function unavailable(client, credentials) {
    if (client.startsWith("axios") && !axiosVersion) return "axios missing";
    return client !== "fetch" && credentials === "omit" ? "no such setting" : null;
  }

  /** By the Fetch standard's credentials mode: would the browser attach cookies that it holds for this URL? */
  const travels = ({ credentials }) => credentials === "include" || (backend === here && credentials !== "omit");

  /** Why a cross-origin request is preflighted, or null. https://fetch.spec.whatwg.org/#cors-safelisted-request-header */
  function preflightReason({ method, headers, mode }) {
    if (backend === here || mode === "no-cors") return null;
    if (!["GET", "HEAD", "POST"].includes(method)) return `method ${method}`;
    const unsafe = headers.find(([name, value]) => {
      if (["accept", "accept-language", "content-language"].includes(name.toLowerCase())) return false;
      const simple = /^(application\/x-www-form-urlencoded|multipart\/form-data|text\/plain)\s*(;|$)/i;
      return name.toLowerCase() !== "content-type" || !simple.test(value);
    });
    return unsafe ? `header ${unsafe[0]}${unsafe[0] === "Content-Type" ? ": " + unsafe[1] : ""}` : null;
  }

  function codeFor({ client, credentials, method, path, headers, body, shownBody = body, mode }) {
    const js = JSON.stringify;
    const url = js(backend + path);
    const named = headers.length ? `{ ${headers.map(([name, value]) => `${js(name)}: ${js(value)}`).join(", ")} }` : null;
    const on = credentials === "include";
    const block = (options) => `{\n  ${options.join(",\n  ")},\n}`;
    if (client === "fetch") {
      const options = [
        method !== "GET" && `method: ${js(method)}`, mode && `mode: ${js(mode)}`,
        credentials !== "default" && `credentials: ${js(credentials)}`, named && `headers: ${named}`, body !== null && `body: ${js(shownBody)}`,
      ].filter(Boolean);
      return `await fetch(${url}${options.length ? `, ${block(options)}` : ""});`;
    }
    if (client === "xhr") {
      return [
        "const xhr = new XMLHttpRequest();", `xhr.open(${js(method)}, ${url});`,
        ...headers.map(([name, value]) => `xhr.setRequestHeader(${js(name)}, ${js(value)});`),
        credentials !== "default" && `xhr.withCredentials = ${on};`, `xhr.send(${body === null ? "" : js(shownBody)});`,
      ].filter(Boolean).join("\n");
    }
    const setting = credentials === "default" ? null : on;
    const posts = method === "POST";
    const data = posts && (named || body !== null) ? `, ${js(shownBody)}` : "";
    // Without data: null axios drops a Content-Type on a request that has no body.
    const config = named ? `, ${block([`headers: ${named}`, ...(posts ? [] : ["data: null"])])}` : "";
    const send = (axios, target) => `await ${axios}.${method.toLowerCase()}(${target}${data}${config});`;
    if (client === "axios-defaults") {
      return (setting === null ? "" : `axios.defaults.withCredentials = ${setting};\n`) + send("axios", url);
    }
    const options = [setting !== null && `withCredentials: ${setting}`, `baseURL: ${js(backend)}`].filter(Boolean);
    return `const api = axios.create(${block(options)});\n${send("api", js(path))}`;
  }

  function settingLine(client, credentials) {
    if (credentials === "default") return "not mentioned";
    if (client === "fetch") return `credentials: "${credentials}"`;
    return credentials === "omit" ? "fetch only" : `withCredentials${client === "axios-create" ? ":" : " ="} ${credentials === "include"}`;
  }

  // ---- What the answer means ---------------------------------------------------------------------------------------

  const RELATIONS = {
    "same-origin": "same origin",
    "same-site": "cross-origin, same site",
    "cross-site": "cross-origin, cross-site",
  };

  /** Schemeful same-site, as well as a page can tell: it has no public suffix list. */
  function relation() {
    const page = new URL(here);
    const other = new URL(backend);
    const differ = [["scheme", "protocol"], ["host", "hostname"], ["port", "port"]].filter(([, key]) => page[key] !== other[key]).map(([word]) => word);
    if (!differ.length) return { kind: "same-origin", why: "scheme, host and port are equal" };
    if (page.protocol !== other.protocol) return { kind: "cross-site", why: "the schemes differ, and a site includes its scheme" };
    if (page.hostname === other.hostname) return { kind: "same-site", why: "only the port differs, and a site has no port" };
    const address = /^\[|^[\d.]+$/;
    const [a, b] = [page, other].map(({ hostname }) => (address.test(hostname) ? [] : hostname.split(".").reverse()));
    const common = a.slice(0, [...a, null].findIndex((label, i) => label === null || label !== b[i])).reverse();
    const suffix = common.length === 2 && common[1].length === 2 && common[0].length <= 3; // co.uk, com.au
    if (common.length < 2 || suffix) return { kind: "cross-site", why: "the hosts share no registrable domain" };
    return { kind: "same-site", why: `both are under ${common.join(".")}, unless that is a public suffix such as github.io` };
  }

  function explain({ request, seen, before, answer }) {
    const { client, credentials, purpose, mode } = request;
    const { status } = seen;
    const code = typeof answer?.code === "string" ? answer.code : "";
    const head = [status, code].filter(Boolean).join(" ");
    const sent = travels(request);
    if (seen.type === "opaque") return `Opaque: with mode "no-cors" the request goes out, but status, headers and body stay hidden from the script. It is no way around CORS.`;
    if (!seen.readable) {
      if (["NotExpressible", "AxiosMissing"].includes(seen.error?.name)) return `${seen.error.message}. Nothing was sent.`;
      if (seen.error?.name === "TimeoutError") return `${backend} took the request and gave ${seen.error.message}.`;
      return unreachable();
    }
    if (purpose === "login") {
      if (status === 200) return `200: signed in, and the answer asked the browser to store an HttpOnly session cookie. From now on it can travel, where credentials are on.`;
      if (code === "invalid_credentials") return `${head}: username or password is wrong; the backend does not say which, on purpose.`;
    }
    if (status === 401 && ["expired", "revoked"].includes(code)) {
      return `${head}: it seems that the cookie came along, but the session it names ${code === "expired" ? "has expired" : "was ended"}. Sign in again.`;
    }
    if (status === 401 && !sent) {
      const opening = {
        in: "it seems that the browser kept the session cookie back",
        out: "you are not signed in; and if you were, the browser would keep the session cookie back",
      }[before] ?? "nobody is signed in, or the browser kept the session cookie back";
      return `${head}: ${opening}, because ${keptBackBecause(client, credentials)}`;
    }
    if (status === 401 && before !== "in") return `${head}: credentials were on, but the backend found no session. Sign in first.`;
    if (status === 401) {
      return relation().kind === "cross-site"
        ? `${head}: credentials were on, yet no session arrived. This backend is cross-site: SameSite=Lax, or the browser's third-party cookie rules, keep the cookie back.`
        : `${head}: credentials were on, yet the backend found no session: it has ended, or the cookie is gone.`;
    }
    if (code === "csrf_failed") {
      return `${head}: a request that changes something needs the header X-CSRF-TOKEN, with the csrfToken of the session answer. A hostile page cannot read that one.`;
    }
    if (purpose.startsWith("logout") && status === 200) {
      return sent ? "200: signed out; the backend ended the session and asked the browser to drop its cookie."
        : "200, but probably without the session cookie: there was nothing to end, and your session goes on.";
    }
    if (status === 200 && purpose !== "unknown") {
      return sent ? `200: the answer needs a session, so the browser must have sent the cookie: ${sentBecause(request)}.`
        : `200 without credentials: surprising. Does ${request.path} really need a session?`;
    }
    if (status === 404 && purpose === "token") return `${head}: this backend does not hand out access tokens (token.expose is off).`;
    if (status === 404) return `${head}: nothing lives at ${request.path}. That the page can read this means the error carries its CORS headers.`;
    if (status === 405) return `${head}: ${request.method} is not for this path. The preflight passed; CORS and routing are separate.`;
    if (status === 429) return `${head}: too many attempts. Wait a little, then try again.`;
    if (status >= 500) return `${head}: the backend failed, and the page may read that it did.${answer?.cid ? ` Look for ${answer.cid} in its log.` : ""}`;
    return `${head}${answer?.detail ? `: ${answer.detail}` : ""}`;
  }

  function keptBackBecause(client, credentials) {
    const other = `${backend} is another origin`;
    const cure = { "fetch": `credentials: "include"`, "xhr": "xhr.withCredentials = true", "axios-defaults": "axios.defaults.withCredentials = true", "axios-create": "axios.create({ withCredentials: true, … })" }[client];
    const why = credentials === "omit" ? `credentials: "omit" sends no cookie to anyone`
      : client === "fetch" ? (credentials === "default" ? `fetch's default credentials mode is same-origin and ${other}` : `credentials: "same-origin" means this page's origin only and ${other}`)
      : credentials === "default" ? `withCredentials is off until somebody sets it and ${other}` : `withCredentials is false and ${other}`;
    return `${why}. Use ${cure}.`;
  }

  function sentBecause({ client, credentials }) {
    if (backend === here) return "the backend is this page's own origin";
    return client === "fetch" ? `credentials was "${credentials}"` : "withCredentials was true";
  }

  function unreachable() {
    if (backend === here) return `Nothing answered at ${backend}: is the backend running?`;
    const mixed = here.startsWith("https:") && backend.startsWith("http:") ? " (An https page may also be forbidden to call plain http.)" : "";
    return `Nothing answered at ${backend}: is the backend running? Or its CORS policy does not list ${here}: a script cannot tell these apart. Open DevTools, or run withcreds-harness.${mixed}`;
  }

  /** A few words for a table cell, and the tone to paint them in. */
  function verdict({ request, seen, before, answer }) {
    if (seen.type === "opaque") return ["held", "opaque"];
    if (!seen.readable) return ["bad", seen.error?.name === "TimeoutError" ? "timed out" : "no answer"];
    if (seen.status === 200) return travels(request) ? ["good", "200 cookie sent"] : ["held", "200 no cookie needed"];
    if (seen.status === 401 && answer?.code !== "no_session") return ["bad", `401 ${answer?.code ?? ""}`.trim()];
    if (seen.status === 401) return ["held", !travels(request) && before === "in" ? "401 kept back" : "401 no session"];
    return ["bad", [seen.status, answer?.code].filter(Boolean).join(" ")];
  }

  function cookieNote(seen) {
    const sameHost = new URL(backend).hostname === location.hostname;
    const seesToken = /(^|; )(__Host-|__Secure-)?CSRF-TOKEN=/.test(seen.cookie);
    return [
      "The session cookie is HttpOnly: the browser stores and sends it, and shows it to no script.",
      sameHost ? (seesToken && backend !== here ? "CSRF-TOKEN is readable here because cookies are kept by host and ignore the port." : "")
        : `This list holds cookies of ${location.hostname} only; the CSRF token of another host comes in the session answer instead.`,
    ].filter(Boolean).join(" ");
  }

  // ---- Drawing -----------------------------------------------------------------------------------------------------

  function drawBuilder() {
    const { client } = Object.fromEntries(new FormData($("builder")));
    for (const input of $("builder").elements.credentials) {
      input.disabled = input.value === "omit" && client !== "fetch";
      if (input.disabled && input.checked) $("builder").elements.credentials.value = "default";
      input.parentElement.querySelector("small").textContent = settingLine(client, input.value);
    }
    $("no-cors").disabled = client !== "fetch";
    $("credentials-hint").textContent = client === "fetch"
      ? "fetch has three modes; leaving it out means same-origin."
      : `${CLIENTS[client]} has one switch with two positions. It cannot omit: to this page's own origin cookies always go.`;
    $("endpoint-hint").textContent = ENDPOINTS[$("endpoint").value].hint;
    if (backend) $("code").textContent = codeFor(builtRequest());
  }

  function drawAxios() {
    $("axios-state").textContent = axiosVersion ? `axios ${axiosVersion}, from npm` : "axios is not installed: run npm ci in frontend-fixture";
    for (const input of $("builder").elements.client) input.disabled = input.value.startsWith("axios") && !axiosVersion;
    drawMatrix();
  }

  function drawSession(state, text) {
    session = state;
    $("session-state").dataset.state = state;
    $("session-state").textContent = text;
    const focused = document.activeElement;
    $("login-form").hidden = state === "in";
    $("logout").hidden = state !== "in";
    if (focused?.closest("[hidden]")) $("session-state").focus(); // Else the keyboard would start again at the top.
    if (backend) drawBuilder(); // The code line shows the CSRF token.
  }

  function drawMatrix() {
    const head = h("tr", {}, h("td"), ...CREDENTIALS.map((name) => h("th", { scope: "col" }, name)));
    const rows = Object.entries(CLIENTS).map(([client, name]) => h("tr", {}, h("th", { scope: "row" }, ...breakable(name)), ...CREDENTIALS.map((credentials) => {
      const none = unavailable(client, credentials);
      return h("td", { "data-client": client, "data-credentials": credentials, "data-tone": none ? "none" : "empty" }, none ?? "·");
    })));
    $("matrix").replaceChildren(h("thead", {}, head), h("tbody", {}, ...rows));
  }

  function fillCell(done) {
    const { client, credentials } = done.request;
    const cell = $("matrix").querySelector(`td[data-client="${client}"][data-credentials="${credentials}"]`);
    const [tone, text] = verdict(done);
    Object.assign(cell.dataset, { tone, status: done.seen.status, readable: done.seen.readable });
    const button = h("button", { type: "button", title: "Show this call" }, text);
    button.addEventListener("click", () => show(done.id));
    cell.replaceChildren(button);
  }

  function show(id) {
    const article = $(`call-${id}`);
    if (!article) return;
    article.querySelector("details").open = true;
    article.focus({ preventScroll: true });
    bringIntoView(article);
  }

  function bringIntoView(element) {
    element.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  function drawCall(done, open) {
    const { id, request, seen, words } = done;
    const [tone] = verdict(done);
    const article = h("article", {
      "class": "call", "id": `call-${id}`, "tabindex": "-1", "data-client": request.client, "data-credentials": request.credentials,
      "data-status": seen.status, "data-readable": String(seen.readable), "data-tone": tone, "aria-labelledby": `call-${id}-title`,
    },
      h("header", {},
        h("span", { class: "badge" }, seen.type === "opaque" ? "opaque" : seen.status || "no answer"),
        h("h3", { id: `call-${id}-title` }, `${request.method} ${request.path}`),
        h("p", { class: "meta" }, `${CLIENTS[request.client]} · ${request.credentials} · ${seen.millis} ms · ${time(Date.now(), true)}`)),
      h("p", { class: "words" }, words),
      h("details", { open }, h("summary", {}, "Sent, answered, readable"), h("div", { class: "parts" }, ...parts(done))));
    for (const details of $("log").querySelectorAll("details[open]")) details.open = false;
    $("log").querySelector(".empty")?.remove();
    $("log").prepend(article);
    $("log").children[LOG_LIMIT]?.remove();
    $("clear").hidden = false;
  }

  function parts({ request, seen, answer }) {
    const why = preflightReason(request);
    const cross = backend !== here;
    const rejects = request.client.startsWith("axios") && seen.status >= 400;
    return [
      part("went-out", "What went out", [
        ["Request", `${request.method} ${backend}${request.path}`],
        ["Written as", h("pre", { class: "code", tabindex: 0 }, codeFor(request))],
        ["Headers the script set", listing(request.headers)],
        ...(request.body === null ? [] : [["Body", h("pre", { tabindex: 0 }, pretty(parse(request.shownBody), request.shownBody))]]),
        ["Page origin", here],
        ["So the request is", !cross ? "same-origin: CORS plays no part" : request.mode ? "cross-origin, without CORS" : `cross-origin (${relation().kind}), ${why ? `preflighted because of ${why}` : "not preflighted"}`],
      ]),
      part("came-back", "What came back", [
        ["Status", seen.status ? `${seen.status}${seen.type ? ` (response type ${seen.type})` : ""}${seen.redirected ? ", after a redirect" : ""}` : "nothing the script may see"],
        ["Headers the script may read", listing(seen.headers)],
        ["Body", seen.body ? h("pre", { tabindex: 0 }, pretty(answer, seen.body)) : "none"],
      ]),
      part("could-read", "What the script could read", [
        ["Readable", seen.readable ? (cross ? "yes: so its CORS headers grant this origin" : "yes: same origin") : "no"],
        ...(seen.error ? [["Error the script gets", `${seen.error.name}: ${seen.error.message}`]] : []),
        ...(rejects ? [["Error the script gets", `AxiosError: axios rejects from 400 on; the answer is in error.response`]] : []),
        ["document.cookie", h("code", {}, seen.cookie || "(empty)")],
        ["Session cookie", cookieNote(seen)],
      ]),
    ];
  }

  function part(name, title, rows) {
    return h("section", { "class": "part", "data-part": name }, h("h4", {}, title), h("dl", {}, ...rows.flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value)])));
  }

  function listing(headers) {
    if (!headers.length) return "none";
    return h("ul", {}, ...headers.map(([name, value]) => h("li", {}, h("code", {}, `${name}: ${value}`))));
  }

  function refuseBackend(message) {
    problem(message, "bad");
    $("backend-origin").textContent = "not usable";
    $("relation").replaceChildren(h("strong", {}, "no backend"));
    $("code").textContent = "// No call without a backend.";
    drawSession("unknown", "No backend to ask.");
    drawBuilder();
    for (const id of ["login", "send", "send-all"]) $(id).disabled = true;
    document.documentElement.dataset.ready = "true";
  }

  function problem(text, tone) {
    $("problem").className = `notice ${tone}`;
    $("problem").textContent = text;
    $("problem").hidden = false;
  }

  function setBusy(busy) {
    $("log").setAttribute("aria-busy", busy);
    for (const id of ["login", "logout", "send", "send-all"]) $(id).setAttribute("aria-disabled", busy);
  }

  // ---- Small things ------------------------------------------------------------------------------------------------

  const breakable = (name) => name.split(/(?=Request|defaults|create)/).flatMap((part) => [part, h("wbr")]);

  const nameOf = ({ method, path, label }) => `${method} ${path}${label ? `, ${label}` : ""}`;

  function h(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  }

  function parse(text) {
    try {
      return JSON.parse(text);
    } catch {
      return null;
    }
  }

  const pretty = (value, text) => (value === null ? text : JSON.stringify(value, null, 2));

  function time(millis, seconds = false) {
    return new Date(millis).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}) });
  }

  start(); // Last: the constants above exist only from here on.
})();
