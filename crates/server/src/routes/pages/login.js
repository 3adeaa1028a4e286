// The page that begins a login.
//
// Opened by a page that gave a state, this window is the popup: it goes to the provider itself, and the
// callback hands the code to the opener. Otherwise, if the user goes on to a page of this loader, or
// if this page is shown in a frame, it opens the popup and redeems the code. If the user goes on to a
// page elsewhere, that page has to redeem the code, so that the cookie lands where it is needed.

const { base } = document.body.dataset;
let { returnTo } = document.body.dataset;
const link = document.getElementById("sign-in");
const status = document.getElementById("status");
const signOut = document.getElementById("sign-out");

const isFramed = window.parent !== window;
const isOwn = new URL(returnTo).origin === location.origin;
const isAsked = new URLSearchParams(location.search).has("state");
const isPopup = window.opener !== null && isAsked && !isFramed;
const redeemsHere = !isPopup && (isOwn || isFramed);
const STATE = "remote-data-loader:state";
const RETURN_TO = "remote-data-loader:return-to";

function say(text) {
  status.textContent = text;
}

function randomText() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function post(path, body) {
  const answer = await fetch(base + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const said = await answer.json();
  if (!answer.ok) {
    throw new Error(said.detail);
  }
  return said;
}

// Where the provider is asked for a code that this page redeems.
function start() {
  const state = randomText();
  sessionStorage.setItem(STATE, state);
  sessionStorage.setItem(RETURN_TO, returnTo);
  const url = new URL("oauth/start", base);
  url.searchParams.set("return_to", new URL("login", base));
  url.searchParams.set("state", state);
  return url;
}

async function redeem({ code, state }) {
  if (state === null || state !== sessionStorage.getItem(STATE)) {
    say("This sign-in was not begun here. Please try again.");
    return;
  }
  sessionStorage.removeItem(STATE);
  try {
    await post("v1/session", { code, state, embedded: isFramed });
  } catch (error) {
    say(`Signing in failed: ${error.message}`);
    return;
  }
  if (isFramed) {
    window.parent.postMessage({ type: "remote-data-loader:signed-in" }, new URL(returnTo).origin);
    await show();
  } else {
    location.replace(returnTo);
  }
}

function openCentred(url) {
  const [width, height] = [520, 680];
  const left = Math.round(window.screenX + (window.outerWidth - width) / 2);
  const top = Math.round(window.screenY + (window.outerHeight - height) / 2);
  const features = `popup,width=${width},height=${height},left=${left},top=${top}`;
  return window.open(url, "rdl-sign-in", features);
}

let listening = new AbortController();

function openPopup(event) {
  event.preventDefault();
  const url = start();
  const popup = openCentred(url);
  if (popup === null && isFramed) {
    // The provider shows itself in no frame.
    say("Please allow this page to open a window, and try again.");
    return;
  }
  if (popup === null) {
    location.assign(url);
    return;
  }
  say("Please go on in the other window.");
  // Of an earlier window nothing more is expected.
  listening.abort();
  listening = new AbortController();
  const listen = (message) => {
    if (message.origin !== location.origin || message.source !== popup) {
      return;
    }
    if (message.data?.type === "remote-data-loader:code") {
      listening.abort();
      popup.close();
      redeem(message.data);
    } else {
      // The user may try again in that window.
      say("Signing in was refused. Please try again.");
    }
  };
  window.addEventListener("message", listen, { signal: listening.signal });
}

async function show() {
  const answer = await fetch(`${base}v1/session`);
  const session = await answer.json();
  if (session.signedIn || session.refreshable) {
    say("You are signed in.");
    signOut.hidden = false;
  }
}

async function endSession() {
  try {
    const { logoutUrl } = await post("logout", {});
    signOut.hidden = true;
    say("You are signed out.");
    if (logoutUrl !== null && !isFramed) {
      location.assign(logoutUrl);
    }
  } catch (error) {
    say(`Signing out failed: ${error.message}`);
  }
}

const returned = new URLSearchParams(location.hash.slice(1));
history.replaceState(null, "", location.pathname + location.search);
if (redeemsHere) {
  link.addEventListener("click", openPopup);
}
signOut.addEventListener("click", endSession);
if (returned.has("code")) {
  returnTo = sessionStorage.getItem(RETURN_TO) ?? returnTo;
  redeem({ code: returned.get("code"), state: returned.get("state") });
} else {
  show();
}
