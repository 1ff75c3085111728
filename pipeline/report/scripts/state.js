// What the page shows, kept in its address: a link shows the same again.
const state = new Map(new URLSearchParams(location.hash.slice(1)));
const SECTIONS = new Set($$("section").map((section) => section.id));

function remember(changes) {
  for (const [name, value] of Object.entries(changes)) {
    if (value === "" || value === null) state.delete(name);
    else state.set(name, value);
  }
  const query = new URLSearchParams([...state]).toString();
  try {
    history.replaceState(null, "", `#${query}`);
  } catch {
    location.replace(`#${query}`); // browsers that guard the addresses of files
  }
}

/** Take over a hash that was typed or followed; false if it names a section only. */
function recall() {
  const hash = location.hash.slice(1);
  if (SECTIONS.has(hash)) return false;
  state.clear();
  for (const [name, value] of new URLSearchParams(hash)) state.set(name, value);
  return true;
}
for (const section of SECTIONS) state.delete(section); // `#gallery` is no state
