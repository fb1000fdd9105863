// Prevents a page that is open while it is replaced on the server from loading its other files from the new page.

/** The script that contains the version. Like all files it comes from the network or from the cache. */
const versionScript = async (cache) => {
  try {
    const response = await fetch("offline.js", { cache });
    return response.ok ? await response.text() : undefined;
  } catch {
    return undefined;
  }
};

let own;
export const rememberVersion = async () => void (own ??= await versionScript("default"));

/** Fails if files loaded now would not belong to the page that is open. */
export async function checkVersion() {
  const now = own && (await versionScript("no-cache"));
  if (now && now !== own) throw new Error("This page has been replaced since you opened it. Reload it.");
}
