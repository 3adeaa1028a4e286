// The page to which the provider sends the user back, with what the loader made of it.
//
// The opener gets the code and closes this window. Without one (the provider may have cut it off, or
// the popup was blocked), and if it does not, the code goes back in the fragment of the URL.

const CLOSES_WITHIN_MS = 3000;

const { returnTo, code, state = null, error } = document.body.dataset;

// The provider's code is nobody else's business.
history.replaceState(null, "", location.pathname);

function goBack() {
  const url = new URL(returnTo);
  const fragment = new URLSearchParams({ code });
  if (state !== null) {
    fragment.set("state", state);
  }
  url.hash = fragment;
  location.replace(url);
}

if (returnTo !== undefined) {
  const opener = window.opener;
  const type = `remote-data-loader:${error === undefined ? "code" : "error"}`;
  opener?.postMessage({ type, code, error, state }, new URL(returnTo).origin);
  if (error === undefined) {
    setTimeout(goBack, opener === null ? 0 : CLOSES_WITHIN_MS);
  }
}
