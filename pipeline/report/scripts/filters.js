// Which cards are shown, and in which order; the controls' values are the page's state.
const form = $("#filters");
const ORDERS = {
  kept: (card) => keptAt(card, data.area),
  score: (card) => card.score,
  minimal: (card) => card.minimal,
  outside: (card) => card.outside,
  class: (card) => card.name,
  id: (card) => card.id,
};

/** Own explanations of a card: not those of the runs beside this one. */
const own = (card) => card.shown.filter((e) => e.run === undefined);
const patternName = (target, pattern) => `${target}:${pattern}`;

function keptAt(card, area) {
  const scores = card.shown[0]?.scores ?? [];
  return scores.length ? scores[nearest(scores.map(([a]) => a), area)][1] : null;
}

for (const card of data.cards) {
  const best = own(card).filter((e) => e.best);
  card.minimal = best.find((e) => e.round === 0)?.minimal ?? null;
  const outside = best.map((e) => e.outside).filter((share) => typeof share === "number");
  card.outside = outside.length ? Math.max(...outside) : null;
  card.patterns = new Set(own(card).filter((e) => typeof e.pattern === "number").map((e) => patternName(e.pattern_target ?? card.target, e.pattern)));
  card.text = [card.id, card.name, card.predicted, ...Object.values(card.further)].join("\n").toLowerCase();
}
for (const failure of data.failures) failure.text = `${failure.id}\n${failure.image}\n${failure.stage}\n${failure.reason}`.toLowerCase();

function judged(card, wanted) {
  const found = own(card).map((e) => verdictOn(thing({ id: card.id, target: card.target, restart: e.restart, round: e.round, pattern: null }))?.verdict);
  return wanted === "open" ? found.every((verdict) => verdict === undefined) : found.includes(wanted);
}

/** Whether a card passes all filters. */
function passes(card) {
  const wanted = (name) => state.get(name) ?? "";
  const minimal = wanted("minimal");
  return (
    (!wanted("class") || card.name === wanted("class")) &&
    (!wanted("predicted") || card.predicted === wanted("predicted")) &&
    (!wanted("answer") || card.correct === (wanted("answer") === "correct")) &&
    (!minimal || (minimal === "none" ? card.minimal === null : card.minimal !== null && card.minimal <= Number(minimal))) &&
    (!wanted("outside") || (card.outside !== null && card.outside >= Number(wanted("outside")))) &&
    (!wanted("pattern") || card.patterns.has(wanted("pattern"))) &&
    (!wanted("verdict") || judged(card, wanted("verdict")))
  );
}

/** Cards and failures to show, in order. */
function chosen() {
  const text = (state.get("text") ?? "").toLowerCase();
  const which = state.get("state") ?? "";
  const cards = which === "failed" ? [] : data.cards.filter((card) => passes(card) && card.text.includes(text));
  const order = state.get("sort") ?? "kept";
  const value = ORDERS[order.replace("-", "")] ?? ORDERS.kept;
  const sign = order.startsWith("-") ? -1 : 1;
  cards.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null); // unknown ones last
    return sign * ((x > y) - (x < y)) || (a.id > b.id) - (a.id < b.id);
  });
  const failed = which ? data.failures.filter((row) => row.text.includes(text)) : [];
  return [...cards, ...failed];
}

function offer(name, pairs) {
  const select = form.elements[name];
  for (const [value, text] of pairs) select.append(element("option", { value }, text));
  if (!pairs.length) select.closest("label").hidden = true;
}

function offerAll() {
  const names = (values) => [...new Set(values)].sort().map((name) => [name, name]);
  offer("class", names(data.cards.map((card) => card.name)));
  offer("predicted", names(data.cards.map((card) => card.predicted)));
  const stored = data.cards.flatMap((card) => own(card).flatMap((e) => e.scores.map(([area]) => area)));
  const areas = [...new Set(stored)].sort((a, b) => a - b);
  offer("minimal", [...areas.map((area) => [area, `at most ${percent(area)}`]), ["none", "none keeps enough"]]);
  const labels = new Map(data.patterns.map((p) => [patternName(p.target, p.pattern), `${p.target_name}: ${p.pattern}`]));
  const seen = new Set(data.cards.flatMap((card) => [...card.patterns]));
  offer("pattern", [...seen].sort().map((name) => [name, labels.get(name) ?? name]));
  if (data.cards.every((card) => card.outside === null)) form.elements.outside.closest("label").hidden = true;
  if (!data.failures.length) form.elements.state.closest("label").hidden = true;
  form.elements.area.max = data.areas.length - 1;
}
