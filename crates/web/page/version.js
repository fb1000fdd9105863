// Keeps a page that stays open while its server gets another from loading the rest of itself from that.

/** The script that names the version; it comes the way all other files come, from network or kept. */
const named = async (cache) => {
  try {
    const response = await fetch("offline.js", { cache });
    return response.ok ? await response.text() : undefined;
  } catch {
    return undefined;
  }
};

let own;
export const rememberVersion = async () => void (own ??= await named("default"));

/** Fails where what would be loaded now is not of the page that is open. */
export async function checkVersion() {
  const now = own && (await named("no-cache"));
  if (now && now !== own) throw new Error("This page has been replaced since you opened it; load it anew.");
}
