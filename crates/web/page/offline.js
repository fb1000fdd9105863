// Keeps the page's own files, so that it works without network once it was open.

const VERSION = "@VERSION@";
// One origin may have other pages beside this one, with caches of their own.
const OURS = `convlens ${registration.scope} `;
const NAME = OURS + VERSION;
const FILES = ["@FILES@", "offline.js"];
/** A server that says nothing for so long is taken for none. */
const PATIENCE = 5000;

addEventListener("install", (event) => {
  const requests = FILES.map((file) => new Request(file, { cache: "no-cache" }));
  event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(requests)).then(() => skipWaiting()));
});

addEventListener("activate", (event) => {
  const older = (name) => name.startsWith(OURS) && name !== NAME;
  const others = (names) => Promise.all(names.filter(older).map((name) => caches.delete(name)));
  event.waitUntil(caches.keys().then(others).then(() => clients.claim()));
});

/** Whether the server has this very version, or is out of reach. The network is asked first, but asked
 *  this alone: then either every file is the kept one or none is, and no page is put together of two
 *  versions; and a page that has not changed is not sent again. */
async function isKept() {
  try {
    const response = await fetch("offline.js", { cache: "no-cache", signal: AbortSignal.timeout(PATIENCE) });
    return response.ok && (await response.text()).includes(VERSION);
  } catch {
    return true;
  }
}

let kept;
async function answer(request) {
  if (request.mode === "navigate") kept = isKept();
  kept ??= isKept(); // the browser may end this script at any time and start it again
  // Not from the browser's own cache either, which may hold an older version.
  if (!(await kept)) return fetch(request, { cache: "no-cache" });
  const cache = await caches.open(NAME);
  const found = await cache.match(request, { ignoreSearch: true });
  if (found) return found;
  const response = await fetch(request, { cache: "no-cache" });
  // Too large to be fetched unasked, but to be kept once it was asked for.
  if (response.ok && request.url.startsWith(`${registration.scope}webgpu/`)) await cache.put(request, response.clone());
  return response;
}

addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin) return;
  event.respondWith(answer(request));
});
