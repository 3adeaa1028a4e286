// A viewer on a site of its own, which reads recordings from the loader that its address names as
// `?loader=<origin>` and has people sign in there. It never sees a token: the loader keeps the
// session in a cookie for this page, which no script can read.

const LOADER = new URLSearchParams(location.search).get("loader");
const POPUP = "popup,width=480,height=640";
const MESSAGE = "remote-data-loader:";

export function ask(path, options = {}) {
  return fetch(LOADER + path, { credentials: "include", ...options });
}

// What every part of a viewer reads by.
export async function api(path, options) {
  const answer = await ask(path, options);
  if (answer.status !== 401 || (await answer.clone().json()).code !== "token-expired") {
    return answer;
  }
  await refresh();
  return ask(path, options);
}

// One at a time over all tabs, and never aborted: a cookie that is renewed and does not arrive would
// end the session.
let refreshing;
export function refresh() {
  const renew = () => ask("/v1/session/refresh", { method: "POST" });
  refreshing ??= navigator.locks.request("session", renew).finally(() => (refreshing = undefined));
  return refreshing;
}

export function signIn() {
  // It outlives this page where the browser opens no popup.
  const state = crypto.randomUUID();
  sessionStorage.setItem("state", state);
  const asked = new URLSearchParams({ return_to: location.href.split("#")[0], state });
  const url = `${LOADER}/login?${asked}`;
  const popup = window.open(url, "sign-in", POPUP);
  if (!popup) {
    location.assign(url);
    return;
  }
  const waiting = new AbortController();
  const { signal } = waiting;
  const hear = async ({ origin, data }) => {
    if (origin !== LOADER || !data?.type?.startsWith(MESSAGE)) {
      return;
    }
    if (data.type === `${MESSAGE}code`) {
      waiting.abort();
      popup.close();
      await redeem(data.code, data.state);
    } else {
      // The popup says so too, and people may try again in it.
      say(`Not signed in: ${data.error}`);
    }
  };
  addEventListener("message", hear, { signal });
  const close = () => {
    waiting.abort();
    say("Not signed in: the window was closed");
  };
  const looking = setInterval(() => popup.closed && close(), 200);
  signal.addEventListener("abort", () => clearInterval(looking));
}

async function redeem(code, state) {
  if (state !== sessionStorage.getItem("state")) {
    say("Not signed in: this is not what was asked for");
    return;
  }
  sessionStorage.removeItem("state");
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ code, state });
  const answer = await ask("/v1/session", { method: "POST", headers, body });
  say(answer.ok ? "Signed in" : `Not signed in: ${(await answer.json()).code ?? answer.status}`);
}

export async function signOut() {
  const { logoutUrl } = await (await ask("/logout", { method: "POST" })).json();
  say("Signed out");
  return logoutUrl;
}

function say(text) {
  document.querySelector("output").textContent = text;
}

document.querySelector("#in").addEventListener("click", signIn);
document.querySelector("#out").addEventListener("click", signOut);

const { code, state } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
if (code) {
  // It serves once, and belongs in no history.
  history.replaceState(null, "", location.href.split("#")[0]);
  await redeem(code, state);
} else {
  const session = await ask("/v1/session").then((answer) => answer.json(), () => undefined);
  say(session?.signedIn ? "Signed in" : "Not signed in");
}
