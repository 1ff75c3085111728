// Verdicts of the person at the page: kept by the browser, downloaded as a file.
const VERDICT_COLUMNS = ["id", "target", "target_name", "restart", "round", "pattern", "area", "verdict", "note", "reviewed"];
const NONE = "none"; // takes a verdict back that the run has already

const thing = (row) => JSON.stringify([row.id, row.target, row.restart, row.round, row.pattern]);
const handedIn = new Map(data.reviews.map((row) => [thing(row), row]));
const given = stored();
const watchers = new Set(); // called with the thing whose verdict has changed

function stored() {
  try {
    const rows = JSON.parse(localStorage.getItem(data.key) ?? "[]");
    return new Map(rows.map((row) => [thing(row), row]));
  } catch {
    return new Map();
  }
}

function keep() {
  try {
    localStorage.setItem(data.key, JSON.stringify([...given.values()]));
    return true;
  } catch {
    return false;
  }
}

/** The verdict that stands on a thing, undefined without one. */
function verdictOn(name) {
  const [own, known] = [given.get(name), handedIn.get(name)];
  const last = own && known ? (Date.parse(own.reviewed) >= Date.parse(known.reviewed) ? own : known) : own ?? known;
  return last?.verdict === NONE ? undefined : last;
}

/** Give a verdict, or take it back with null. */
function judge(about, verdict, note = "") {
  const row = { id: null, restart: null, round: null, pattern: null, area: null, ...about };
  const name = thing(row);
  if (verdict === null && !handedIn.has(name)) given.delete(name);
  else given.set(name, { ...row, verdict: verdict ?? NONE, note, reviewed: new Date().toISOString() });
  showKeeping(keep());
  showVerdicts();
  watchers.forEach((watch) => watch(name));
}

function showKeeping(works) {
  const line = $("#kept-in");
  if (line && !works) line.textContent = "This browser keeps nothing for this page: download the verdicts before you close it.";
}

/** Make a group of buttons and a note give verdicts on what `about()` says. */
function bindVerdict(group, about) {
  const note = $("input", group);
  const show = () => {
    const found = verdictOn(thing({ id: null, restart: null, round: null, pattern: null, ...about() }));
    for (const button of $$("button", group)) button.setAttribute("aria-pressed", String(button.value === found?.verdict));
    note.hidden = !found;
    if (document.activeElement !== note) note.value = found?.note ?? "";
  };
  for (const button of $$("button", group)) {
    button.addEventListener("click", () => {
      const pressed = button.getAttribute("aria-pressed") === "true";
      judge(about(), pressed ? null : button.value, note.value);
    });
  }
  note.addEventListener("change", () => {
    const pressed = $('button[aria-pressed="true"]', group);
    if (pressed) judge(about(), pressed.value, note.value);
  });
  show();
  return show;
}

function verdictsAsCsv() {
  const cell = (value) => `"${String(value ?? "").replaceAll('"', '""')}"`;
  const rows = [...given.values()].map((row) => VERDICT_COLUMNS.map((name) => cell(row[name])));
  return [VERDICT_COLUMNS, ...rows].map((row) => `${row.join(",")}\r\n`).join("");
}

function showVerdicts() {
  const table = $("#verdicts");
  if (!table) return;
  const names = new Set([...handedIn.keys(), ...given.keys()]);
  const rows = [...names].map(verdictOn).filter(Boolean).sort((a, b) => (a.reviewed < b.reviewed ? 1 : -1));
  table.tBodies[0].replaceChildren(...rows.map(verdictRow));
  table.parentElement.hidden = !rows.length;
  $("#download").disabled = !given.size;
  const own = given.size === 1 ? "1 verdict" : `${given.size} verdicts`;
  $("#verdict-count").textContent = `${own} of yours in this browser, ${handedIn.size} in the run`;
}

function verdictRow(row) {
  const place = row.pattern === null ? `${row.id}, round ${row.round}, restart ${row.restart}` : `pattern ${row.pattern}`;
  const withdraw = element("button", { type: "button", "aria-label": `Take back the verdict on ${row.target_name}: ${place}` }, "take back");
  withdraw.addEventListener("click", () => judge(row, null));
  const cells = [`${row.target_name}: ${place}`, row.verdict, row.note, row.reviewed.slice(0, 16).replace("T", " "), withdraw];
  return element("tr", {}, ...cells.map((content) => element("td", {}, content)));
}

$("#download")?.addEventListener("click", () => {
  const url = URL.createObjectURL(new Blob([verdictsAsCsv()], { type: "text/csv" }));
  element("a", { href: url, download: "verdicts.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
});
showVerdicts();
showKeeping(keep());
