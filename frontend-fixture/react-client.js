"use strict";

/*
 * What Wristband's React client (@wristband/react-client-auth) does towards a backend, in plain JavaScript: the same
 * requests, headers, cookie reading, retries, status rules and navigations, its faults included. Written anew from what
 * that client does; where it is odd, it is odd on purpose.
 *
 *   reactClient(options)   what its provider component and hooks offer; options are named as its props
 *
 * It knows no page: `journal(entry)` is told of each request and navigation, `changed(state)` of each new state.
 */
const reactClient = (() => {
  const ATTEMPTS = 3;
  const RETRY_DELAY_MS = 100;
  /** A token that ends within this time is asked for anew. */
  const TOKEN_BUFFER_MS = 30_000;
  const RESERVED_AT_LOGIN = ["login_hint", "return_url", "tenant_name", "tenant_custom_domain"];
  const RESERVED_AT_LOGOUT = ["tenant_name", "tenant_custom_domain"];

  class ApiError extends Error {
    constructor(response) {
      super(`[HTTP Error] Status: ${response.status}`);
      this.status = response.status;
    }
  }

  class AuthError extends Error {
    constructor(code, message, cause) {
      super(message, { cause });
      this.name = "WristbandError";
      this.code = code;
    }
  }

  return function create({
    loginUrl, sessionUrl, logoutUrl, tokenUrl = "",
    csrfCookieName = "CSRF-TOKEN", csrfHeaderName = "X-CSRF-TOKEN",
    disableRedirectOnUnauthenticated = false,
    journal, changed, go,
  }) {
    const resolvedLoginUrl = withReturnUrl(loginUrl);
    let token = { value: "", expiresAt: 0 };
    let tokenInFlight = null;
    let state = { authStatus: "LOADING", userId: "", tenantId: "", metadata: {}, authError: null };
    changed(state);

    return { start, getToken, clearToken, clearAuthData, redirectToLogin, redirectToLogout };

    /** Once, when the page has loaded: who is here? */
    async function start() {
      let failure = null;
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        try {
          const { userId, tenantId, metadata } = await get(sessionUrl);
          // Not caught by anybody: a backend that answers so leaves the application loading for ever.
          if (blank(userId)) throw new AuthError("INVALID_SESSION_RESPONSE", 'the session lacks "userId"');
          if (blank(tenantId)) throw new AuthError("INVALID_SESSION_RESPONSE", 'the session lacks "tenantId"');
          set({ authStatus: "AUTHENTICATED", userId, tenantId, metadata: metadata || {}, authError: null });
          return;
        } catch (error) {
          if (error instanceof AuthError) throw error;
          if (statusOf(error) === 401) {
            failure = new AuthError("UNAUTHENTICATED", "User is not authenticated", error);
            break;
          }
          if (is4xx(error) || attempt === ATTEMPTS) {
            failure = new AuthError("SESSION_FETCH_FAILED", "Failed to fetch session", error);
            break;
          }
          await delay(RETRY_DELAY_MS);
        }
      }
      if (disableRedirectOnUnauthenticated) set({ authStatus: "UNAUTHENTICATED", authError: failure });
      // Whatever the reason was: a 403 or a dead server leads to the login just as a 401 does.
      else leave(resolvedLoginUrl);
    }

    /** An access token: the one at hand, or one request for all who ask meanwhile. */
    function getToken() {
      if (blank(tokenUrl)) return Promise.reject(new AuthError("INVALID_TOKEN_URL", "Token URL not configured"));
      if (state.authStatus !== "AUTHENTICATED") return Promise.reject(new AuthError("UNAUTHENTICATED", "User is not authenticated"));
      if (token.value && token.expiresAt > Date.now() + TOKEN_BUFFER_MS) return Promise.resolve(token.value);
      tokenInFlight ??= fetchToken().finally(() => { tokenInFlight = null; });
      return tokenInFlight;
    }

    async function fetchToken() {
      let last;
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        try {
          const { accessToken, expiresAt } = await get(tokenUrl);
          if (blank(accessToken)) throw new AuthError("INVALID_TOKEN_RESPONSE", 'the answer lacks "accessToken"');
          if (expiresAt === undefined || expiresAt === null || expiresAt < 0) throw new AuthError("INVALID_TOKEN_RESPONSE", 'the answer lacks "expiresAt"');
          token = { value: accessToken, expiresAt };
          return accessToken;
        } catch (error) {
          last = error;
          if (error instanceof AuthError) throw error;
          if (statusOf(error) === 401) {
            token = { value: "", expiresAt: 0 };
            throw new AuthError("UNAUTHENTICATED", "Token request unauthorized", error);
          }
          if (is4xx(error)) break;
          if (attempt < ATTEMPTS) await delay(RETRY_DELAY_MS);
        }
      }
      throw new AuthError("TOKEN_FETCH_FAILED", "Failed to fetch token", last);
    }

    function clearToken() {
      token = { value: "", expiresAt: 0 };
      tokenInFlight = null;
    }

    function clearAuthData() {
      clearToken();
      set({ authStatus: "UNAUTHENTICATED", userId: "", tenantId: "", metadata: {}, authError: null });
    }

    function redirectToLogin({ loginHint, returnUrl, tenantName, tenantCustomDomain } = {}) {
      leave(withQuery(loginUrl, RESERVED_AT_LOGIN, {
        login_hint: loginHint, return_url: returnUrl && encodeURI(returnUrl), tenant_name: tenantName, tenant_custom_domain: tenantCustomDomain,
      }));
    }

    function redirectToLogout({ tenantName, tenantCustomDomain } = {}) {
      leave(withQuery(logoutUrl, RESERVED_AT_LOGOUT, { tenant_name: tenantName, tenant_custom_domain: tenantCustomDomain }));
    }

    async function get(url) {
      const csrf = csrfToken(csrfCookieName);
      // Two of these headers are why every GET of this client is preflighted across origins.
      const headers = { "Content-Type": "application/json", "Accept": "application/json", ...(csrf ? { [csrfHeaderName]: csrf } : {}) };
      const entry = { kind: "asked", url, csrf: Boolean(csrf) };
      try {
        const response = await fetch(url, { method: "GET", credentials: "include", headers });
        entry.status = response.status;
        if (response.status < 200 || response.status >= 300) throw new ApiError(response);
        return await response.json();
      } catch (error) {
        entry.error = error.message;
        throw error;
      } finally {
        journal(entry);
      }
    }

    function leave(url) {
      journal({ kind: "went", url });
      go(url);
    }

    function set(part) {
      state = { ...state, ...part };
      changed(state);
    }
  };

  /** The whole cookie string is decoded at once: one `%` that means nothing, and no request goes out at all. */
  function csrfToken(name) {
    const pairs = decodeURIComponent(document.cookie).split(";").map((pair) => pair.trim());
    return pairs.find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1) ?? null;
  }

  /** The address is encoded once here and once more as a query value. */
  function withReturnUrl(loginUrl) {
    const url = new URL(loginUrl, location.origin);
    if (!url.searchParams.has("return_url")) url.searchParams.append("return_url", encodeURI(location.href));
    return url.href;
  }

  function withQuery(base, reserved, values) {
    const url = new URL(base, location.origin);
    const taken = reserved.find((key) => url.searchParams.has(key));
    if (taken) throw new AuthError("INVALID_URL", `must not include reserved query param: "${taken}"`);
    const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value));
    for (const [key, value] of url.searchParams) query.append(key, value);
    url.search = query.toString();
    return url.href;
  }

  function statusOf(error) {
    return error instanceof ApiError ? error.status : null;
  }

  function is4xx(error) {
    const status = statusOf(error);
    return status >= 400 && status < 500;
  }

  function blank(text) {
    return !text || !text.trim();
  }

  function delay(millis) {
    return new Promise((resolve) => setTimeout(resolve, millis));
  }
})();
