// Pictures of the patterns, cut out of the images of the gallery, and what a click on them shows.
const CUT = 112; // pixels

for (const article of $$("article.pattern")) {
  const [target, pattern] = [Number(article.dataset.target), Number(article.dataset.pattern)];
  const known = data.patterns.find((p) => p.target === target && p.pattern === pattern);
  const name = patternName(target, pattern);
  const cards = known.examples.map((id) => data.cards.find((card) => card.id === id && card.patterns.has(name))).filter(Boolean);
  const montage = $(".montage", article);
  for (const card of cards) montage.append(element("li", {}, cut(card, pattern, target)));
  const shown = data.cards.filter((card) => card.patterns.has(name)).length;
  const button = $("button.show", article);
  button.textContent = shown ? `Show its images in the gallery (${shown})` : "None of its images is in the gallery";
  button.disabled = !shown;
  button.addEventListener("click", () => showPattern(name));
  const show = bindVerdict($(".verdict", article), () => ({ target, target_name: known.target_name, pattern }));
  watchers.add(show);
}

function showPattern(name, card = null) {
  show({ ...emptyState(), pattern: name, image: card ? JSON.stringify([card.id, card.target]) : null });
  $("#gallery").scrollIntoView();
  if (card) views.get(card)?.item.focus();
}

/** A button with the region of a pattern, cut out of its image. */
function cut(card, pattern, target) {
  const of = (each) => each.pattern === pattern && (each.pattern_target ?? card.target) === target;
  const e = own(card).find(of) ?? card.shown[0];
  const canvas = element("canvas", { width: CUT, height: CUT });
  const button = element("button", { type: "button", "aria-label": `Show ${card.id} in the gallery`, title: card.id }, canvas);
  button.addEventListener("click", () => showPattern(patternName(target, pattern), card));
  button.view = { draw: () => drawCut(canvas, card, e) };
  inSight.observe(button);
  return button;
}

async function drawCut(canvas, card, e) {
  if (canvas.turn) return; // it never changes
  canvas.turn = 1;
  const whole = document.createElement("canvas");
  await drawMask(whole, { ...card, boxes: [] }, e, e.area ?? data.area);
  const [x, y, side] = square(e.box ?? [0, 0, 1, 1], whole.width, whole.height);
  canvas.getContext("2d").drawImage(whole, x, y, side, side, 0, 0, CUT, CUT);
  canvas.drawn = 1;
}

/** The square around a box, with some room, within the image where it can be; in pixels. */
function square(box, width, height) {
  const [x0, y0, x1, y1] = [box[0] * width, box[1] * height, box[2] * width, box[3] * height];
  const side = Math.min(1.3 * Math.max(x1 - x0, y1 - y0), Math.max(width, height));
  const start = (middle, room) => (room < side ? (room - side) / 2 : Math.max(0, Math.min(room - side, middle - side / 2)));
  return [start((x0 + x1) / 2, width), start((y0 + y1) / 2, height), side];
}
