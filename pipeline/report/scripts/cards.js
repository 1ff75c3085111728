// One card: an image, the explanation that is shown large, and the others beside it.
const SMALL = 96; // pixels of the other explanations
const views = new Map(); // card -> its view, while it is on the page
const aboutCards = {
  lowest: "keeps least", highest: "keeps most", pattern: "example of a pattern",
};
const inSight = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const view = entry.target.view;
    view.visible = entry.isIntersecting;
    if (view.visible) view.draw();
  }
}, { rootMargin: "300px" });

class CardView {
  constructor(card) {
    this.card = card;
    this.explanation = card.shown[0];
    this.area = sharedArea();
    this.item = $("#card").content.firstElementChild.cloneNode(true);
    this.item.view = this;
    this.item.setAttribute("aria-label", `${card.id}: ${card.name}`);
    $("h3", this.item).append(element("span", {}, card.name), element("small", {}, card.id));
    $(".tags", this.item).append(...this.tags());
    this.slider = $("input[type=range]", this.item);
    this.slider.setAttribute("aria-label", `Area of the mask of ${card.id}`);
    this.slider.addEventListener("input", () => this.setArea(this.explanation.areas[this.slider.value]));
    this.verdict = bindVerdict($(".verdict", this.item), () => this.about());
    $("details dl", this.item).append(...this.further());
    this.others = card.shown.length > 1 ? card.shown.map((e) => this.other(e)) : [];
    $(".others", this.item).append(...this.others.map(({ item }) => item));
    inSight.observe(this.item);
    this.update();
  }

  about() {
    const { card, explanation } = this;
    return {
      id: card.id, target: card.target, target_name: card.name,
      restart: explanation.restart, round: explanation.round, area: this.shownArea(),
    };
  }

  shownArea() {
    return this.explanation.areas[nearest(this.explanation.areas, this.area)];
  }

  tags() {
    const { card } = this;
    const tags = [["", `score ${card.score.toFixed(2)}`]];
    if (card.contrast !== null) tags.push(["", `and not ${card.contrast} ${card.contrast_score.toFixed(2)}`]);
    if (!card.correct) tags.push(["bad", `predicted ${card.predicted} ${card.predicted_score.toFixed(2)}`]);
    if (card.outside !== null) tags.push(["", `${percent(card.outside)} outside`]);
    if (aboutCards[card.why]) tags.push(["", aboutCards[card.why]]);
    return tags.map(([kind, text]) => element("span", { class: `tag ${kind}` }, text));
  }

  /** What else is known: manifest columns and the figures of the stored masks. */
  further() {
    const rows = Object.entries(this.card.further);
    for (const e of this.card.shown) {
      const scores = e.scores.map((s) => `${percent(s[0])}: ${side(s, 1)} / ${side(s, 2)}`);
      rows.push([`${nameOf(e)}, kept / removed`, scores.join("; ")]);
    }
    return rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  }

  other(e) {
    const canvas = element("canvas", { "aria-hidden": "true" });
    const button = element("button", { type: "button", "aria-pressed": "false" }, canvas, element("span", {}, nameOf(e)));
    button.addEventListener("click", () => this.select(e));
    return { explanation: e, canvas, button, item: element("li", {}, button) };
  }

  select(explanation) {
    this.explanation = explanation;
    this.update();
  }

  setArea(area) {
    this.area = area;
    this.update();
  }

  /** Go `by` areas up or down, or to the nth one. */
  step(by) {
    const n = nearest(this.explanation.areas, this.area) + by;
    this.setArea(this.explanation.areas[Math.max(0, Math.min(this.explanation.areas.length - 1, n))]);
  }

  next() {
    const { shown } = this.card;
    this.select(shown[(shown.indexOf(this.explanation) + 1) % shown.length]);
  }

  update() {
    const { explanation: e, item } = this;
    const area = this.shownArea();
    this.slider.max = e.areas.length - 1;
    this.slider.value = nearest(e.areas, area);
    this.slider.setAttribute("aria-valuetext", percent(area));
    $(".area output", item).textContent = percent(area);
    const becomes = e.becomes_name ? `; without it: ${e.becomes_name}` : "";
    const said = spoken(e, area) + becomes;
    $(".scores", item).textContent = said;
    $("canvas", item).setAttribute("aria-label", `${this.card.id}, mask of ${percent(area)}, ${nameOf(e)}: ${said}`);
    for (const { explanation, button } of this.others) button.setAttribute("aria-pressed", String(explanation === e));
    $(".verdict", item).hidden = e.run !== undefined; // verdicts are on this run
    this.verdict();
    this.stale = true;
    if (this.visible) this.draw();
  }

  async draw() {
    if (!this.stale) return;
    this.stale = false;
    const drawn = [drawMask($("canvas", this.item), this.card, this.explanation, this.area)];
    for (const { explanation, canvas } of this.others) drawn.push(drawMask(canvas, this.card, explanation, this.area, SMALL));
    await Promise.all(drawn);
  }

  leave() {
    inSight.unobserve(this.item);
    this.item.remove();
  }
}

function nameOf(e) {
  return e.run === undefined ? `round ${e.round}, ${e.best ? "best restart" : `restart ${e.restart}`}` : `${e.run}: round ${e.round}`;
}

/** Scores of the stored mask that is nearest in area. */
function spoken(e, area) {
  if (!e.scores.length) return "";
  const scores = e.scores[nearest(e.scores.map(([a]) => a), area)];
  const at = scores[0];
  const where = Math.abs(at - area) < 1e-6 ? "" : ` (at ${percent(at)})`;
  return `kept ${side(scores, 1)}, removed ${side(scores, 2)}${where}`;
}

/** Score of the target kept (1) or removed (2), and of the class that it is held against. */
function side(scores, n) {
  const other = scores[n + 2];
  return scores[n].toFixed(2) + (other === undefined ? "" : ` : ${other.toFixed(2)}`);
}

function failureCard(row) {
  const heading = element("h3", {}, element("span", { class: "tag bad" }, "failed"), element("small", {}, row.id));
  const text = element("p", {}, `${row.stage}: ${row.reason}`);
  return element("li", { class: "card failed", tabindex: "-1", "aria-label": `${row.id}: failed` }, heading, text, element("p", { class: "scores" }, row.image));
}
