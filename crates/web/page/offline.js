// A service worker that keeps the page's files, so that it works without network after the first visit.

const VERSION = "@VERSION@";
// The origin may have other pages with caches of their own.
const OURS = `convlens ${registration.scope} `;
const NAME = OURS + VERSION;
const FILES = ["@FILES@", "offline.js"];
/** After this many milliseconds without an answer the server counts as unreachable. */
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

/** Whether the server has this version, or is unreachable. The network is asked only this one question before a
 *  page loads: then either all files come from the cache or none, so that a page is never a mix of two versions,
 *  and a page that has not changed is not sent again. */
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
  kept ??= isKept(); // the browser may stop and restart this script at any time
  // The browser's own cache may hold an older version.
  if (!(await kept)) return fetch(request, { cache: "no-cache" });
  const cache = await caches.open(NAME);
  const found = await cache.match(request, { ignoreSearch: true });
  if (found) return found;
  const response = await fetch(request, { cache: "no-cache" });
  // WebGPU's module is too large to fetch for every visitor, but it is kept once it has been fetched.
  if (response.ok && request.url.startsWith(`${registration.scope}webgpu/`)) await cache.put(request, response.clone());
  return response;
}

addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin) return;
  event.respondWith(answer(request));
});
