// The gallery: cards by filters and order, some at a time, worked by mouse, touch or keys.
const PAGE = 48; // cards that are added at a time
const list = $("#cards");
const CONTROLS = form ? [...form.elements].filter((e) => e.name && e.name !== "area").map((e) => e.name) : [];
let found = [];

const emptyState = () => Object.fromEntries([...CONTROLS, "image"].map((name) => [name, ""]));

function sharedArea() {
  return Number(state.get("area")) || data.area;
}

/** Change the state and show what it asks for. */
function show(changes = {}) {
  remember(changes);
  for (const name of CONTROLS) {
    const value = state.get(name) ?? "";
    if (form.elements[name].value !== value) form.elements[name].value = value; // a caret stays
  }
  if (!form.elements.sort.value) form.elements.sort.value = "kept";
  list.dataset.size = state.get("size") ?? "";
  found = chosen();
  for (const [card, view] of views) {
    view.leave();
    views.delete(card);
  }
  list.replaceChildren();
  const image = state.get("image");
  const at = image ? found.findIndex((card) => JSON.stringify([card.id, card.target]) === image) : -1;
  more(Math.max(PAGE, at + 1));
}

function more(count = list.children.length + PAGE) {
  for (const card of found.slice(list.children.length, count)) {
    if (!card.shown) {
      list.append(failureCard(card));
      continue;
    }
    const view = new CardView(card);
    views.set(card, view);
    list.append(view.item);
  }
  const first = list.firstElementChild;
  if (first && !$('[tabindex="0"]', list)) first.tabIndex = 0;
  $("#more").hidden = list.children.length >= found.length;
  const whole = data.cards.length + (state.get("state") ? data.failures.length : 0);
  $("#count").textContent = `${found.length} of ${whole} cards${list.children.length < found.length ? `, the first ${list.children.length} are shown` : ""}`;
}

function showArea() {
  const n = nearest(data.areas, sharedArea());
  form.elements.area.value = n;
  form.elements.area.setAttribute("aria-valuetext", percent(data.areas[n]));
  $(".area output", form).textContent = percent(data.areas[n]);
}

/** Move the focus to a card, which is then the one that Tab comes back to. */
function go(item) {
  if (!item) return;
  for (const other of $$('[tabindex="0"]', list)) if (other.parentElement === list) other.tabIndex = -1;
  item.tabIndex = 0;
  item.focus();
}

const KEYS = {
  ArrowLeft: (item) => go(item.previousElementSibling),
  ArrowRight: (item) => go(item.nextElementSibling),
  ArrowUp: ({ view }) => view?.step(1),
  ArrowDown: ({ view }) => view?.step(-1),
  r: ({ view }) => view?.next(),
  o: ({ view }) => press(view, "object"),
  c: ({ view }) => press(view, "context"),
  x: ({ view }) => press(view, "spurious"),
};

function press(view, verdict) {
  const group = view && $(".verdict", view.item);
  if (group && !group.hidden) $(`button[value="${verdict}"]`, group).click();
}

function onKey(event) {
  const item = event.target.closest(".card");
  if (!item || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=text]")) return;
  const slides = event.target.matches("input[type=range]") && event.key.startsWith("Arrow");
  const digit = "1234567890".indexOf(event.key);
  if (digit >= 0) item.view?.setArea(item.view.explanation.areas[Math.min(digit, item.view.explanation.areas.length - 1)]);
  else if (KEYS[event.key] && !slides) KEYS[event.key](item);
  else return;
  event.preventDefault();
}

function start() {
  offerAll();
  form.addEventListener("input", (event) => {
    const { name, value } = event.target;
    if (name !== "area") return show({ [name]: name === "sort" && value === "kept" ? "" : value, image: "" });
    remember({ area: data.areas[value] });
    showArea();
    for (const view of views.values()) view.setArea(sharedArea());
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault(); // controls follow the state
    show({ ...emptyState(), area: "" });
    showArea();
  });
  $("#more").addEventListener("click", () => more());
  list.addEventListener("keydown", onKey);
  list.addEventListener("focusin", (event) => {
    const view = event.target.closest(".card")?.view;
    if (view) remember({ image: JSON.stringify([view.card.id, view.card.target]) });
  });
  watchers.add((name) => {
    for (const view of views.values()) if (thing({ ...view.about(), pattern: null }) === name) view.verdict();
  });
  addEventListener("hashchange", () => {
    if (recall()) restore();
  });
  addEventListener("beforeprint", () => {
    for (const { view } of [...$$(".montage button"), ...list.children]) view?.draw();
  });
  restore();
}

/** Show what the address asks for. */
function restore() {
  showArea();
  show();
  const image = state.get("image");
  const view = image && [...views.values()].find(({ card }) => JSON.stringify([card.id, card.target]) === image);
  if (view) go(view.item);
}

if (form) start();
