"use strict";

/* Draws what react-client.js does. Knows no protocol. */
(() => {
  const JOURNAL = "react-client-journal";
  const JOURNAL_LIMIT = 60;
  const WORDS = {
    LOADING: "Asking the backend who you are…",
    AUTHENTICATED: "You are signed in, and this page could read it from the backend.",
    UNAUTHENTICATED: "You are not signed in. This page stays where it is, because redirects are off.",
  };

  const $ = (id) => document.getElementById(id);
  const query = new URLSearchParams(location.search);
  const stays = query.get("redirect") === "off";

  drawJournal();
  drawSwitch();
  $("clear").addEventListener("click", () => { sessionStorage.removeItem(JOURNAL); drawJournal(); });
  // Left by a navigation and come back to by the back button, the page would show what was true then.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  addEventListener("unhandledrejection", (event) => problem(`Uncaught, so the page stays as it is: ${event.reason?.message ?? event.reason}`));
  withcreds.backend.then(begin, (error) => { $("backend").textContent = "not usable"; problem(error.message); });

  function begin(backend) {
    $("backend").textContent = backend;
    const client = reactClient({
      loginUrl: `${backend}/api/auth/login`,
      logoutUrl: `${backend}/api/auth/logout`,
      sessionUrl: `${backend}/api/auth/session`,
      tokenUrl: `${backend}/api/auth/token`,
      disableRedirectOnUnauthenticated: stays,
      journal: write,
      changed: draw,
      go: (url) => { location.href = url; },
    });
    window.client = client;
    $("login").addEventListener("click", () => client.redirectToLogin({ returnUrl: location.href }));
    $("logout").addEventListener("click", () => client.redirectToLogout());
    $("get-token").addEventListener("click", () => showToken(client.getToken()));
    $("clear-token").addEventListener("click", () => { client.clearToken(); drawToken("none", "Forgotten."); });
    client.start();
  }

  function draw({ authStatus, userId, tenantId, metadata, authError }) {
    document.documentElement.dataset.auth = authStatus;
    $("status").textContent = authStatus;
    $("words").textContent = WORDS[authStatus];
    $("user").textContent = userId || "–";
    $("tenant").textContent = tenantId || "–";
    $("error").textContent = authError ? `${authError.code}: ${authError.cause?.message ?? authError.message}` : "–";
    $("metadata").textContent = JSON.stringify(metadata, null, 2);
    $("login").hidden = authStatus === "AUTHENTICATED";
    $("logout").hidden = authStatus !== "AUTHENTICATED";
  }

  async function showToken(wanted) {
    drawToken("asked", "Asking…");
    try {
      const token = await wanted;
      drawToken("good", `There is one, ${token.length} characters long.`);
    } catch (error) {
      drawToken("bad", `${error.code}: ${error.cause?.message ?? error.message}`);
    }
  }

  function drawToken(state, text) {
    $("token").dataset.state = state;
    $("token").textContent = text;
  }

  function write(entry) {
    const entries = [...read(), entry].slice(-JOURNAL_LIMIT);
    sessionStorage.setItem(JOURNAL, JSON.stringify(entries));
    drawJournal();
  }

  function read() {
    try {
      return JSON.parse(sessionStorage.getItem(JOURNAL)) ?? [];
    } catch {
      return [];
    }
  }

  function drawJournal() {
    const items = read().map(({ kind, url, status, error, csrf }) => {
      const item = document.createElement("li");
      const mark = document.createElement("span");
      mark.className = "mark";
      const text = document.createElement("span");
      const { origin, pathname } = new URL(url);
      if (kind === "went") {
        mark.textContent = "went";
        text.textContent = `to ${origin}${pathname}`;
        item.dataset.tone = "held";
      } else {
        mark.textContent = status ?? "nothing";
        text.textContent = `GET ${pathname}${csrf ? ", with the CSRF token" : ""}${status === undefined ? `: ${error}` : ""}`;
        item.dataset.tone = status >= 200 && status < 300 ? "good" : "bad";
      }
      item.append(mark, text);
      return item;
    });
    if (!items.length) {
      const none = document.createElement("li");
      none.textContent = "Nothing yet.";
      items.push(none);
    }
    $("journal").replaceChildren(...items);
    $("clear").hidden = !read().length;
  }

  function drawSwitch() {
    const other = new URLSearchParams(query);
    if (stays) other.delete("redirect");
    else other.set("redirect", "off");
    $("redirect").href = `?${other}`;
    $("redirect").textContent = stays ? "Go to the login by itself" : "Stay here without a session";
  }

  function problem(text) {
    $("problem").textContent = text;
    $("problem").hidden = false;
  }
})();
