// Masks on their images, pixel by pixel on a canvas: colour where a mask is 1, dark grey where it is 0.
const CONTOURS = [[255, 140, 0], [0, 170, 255], [120, 220, 60], [230, 80, 200]]; // of rounds 0, 1, ...
const decoded = new Map(); // what is drawn again soon; data URI -> promise of an image
const KEPT_DECODED = 400;

function decode(uri) {
  if (!decoded.has(uri)) {
    if (decoded.size >= KEPT_DECODED) decoded.delete(decoded.keys().next().value);
    const image = new Image();
    image.src = uri;
    decoded.set(uri, image.decode().then(() => image));
  }
  return decoded.get(uri);
}

function blank(width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  return [canvas, canvas.getContext("2d", { willReadFrequently: true })];
}

/** RGBA values of an image at some size. */
function pixels(image, width, height) {
  const [, context] = blank(width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

/** Mask n of a strip by itself: enlarged within the strip, its neighbours would run into it. */
function cellOf(strip, n) {
  const [canvas, context] = blank(data.cell, data.cell);
  context.drawImage(strip, -n * data.cell, 0);
  return canvas;
}

/** Place among an explanation's areas of the one that is nearest to `area`. */
function nearest(areas, area) {
  const far = areas.map((a) => Math.abs(Math.log(a / area)));
  return far.indexOf(Math.min(...far));
}

/** Draw a card's image behind a mask of an explanation; the longer side has `side` pixels. */
async function drawMask(canvas, card, explanation, area, side = Math.max(...card.size)) {
  const turn = (canvas.turn = (canvas.turn ?? 0) + 1); // a later call overtakes this one
  const [photo, strip] = await Promise.all([decode(card.picture), decode(explanation.strip)]);
  if (turn !== canvas.turn) return;
  const scale = side / Math.max(...card.size);
  const [width, height] = card.size.map((s) => Math.max(1, Math.round(s * scale)));
  const drawn = new ImageData(width, height);
  drawn.data.set(pixels(photo, width, height));
  const n = nearest(explanation.areas, area);
  const mask = placed(strip, n, card.crop, width, height);
  compose(drawn.data, mask, width, height, CONTOURS[explanation.round % CONTOURS.length]);
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.putImageData(drawn, 0, 0);
  context.strokeStyle = "#fff";
  for (const [x0, y0, x1, y1] of card.boxes) {
    context.strokeRect(x0 * width + 0.5, y0 * height + 0.5, (x1 - x0) * width - 1, (y1 - y0) * height - 1);
  }
  canvas.drawn = turn;
}

/** Values 0 to 255 of mask n of a strip, at its place in the image; 0 outside of the crop, which may reach beyond it. */
function placed(strip, n, crop, width, height) {
  const mask = new Uint8ClampedArray(width * height);
  const [x0, y0] = [Math.round(crop[0] * width), Math.round(crop[1] * height)];
  const across = Math.max(1, Math.round(crop[2] * width) - x0);
  const down = Math.max(1, Math.round(crop[3] * height) - y0);
  const values = pixels(cellOf(strip, n), across, down);
  for (let y = Math.max(0, y0); y < Math.min(height, y0 + down); y++) {
    for (let x = Math.max(0, x0); x < Math.min(width, x0 + across); x++) {
      mask[y * width + x] = values[4 * ((y - y0) * across + x - x0)];
    }
  }
  return mask;
}

/** Dim what the mask removes, and draw its contour at one half. */
function compose(rgba, mask, width, height, colour) {
  const wide = Math.min(width, height) >= 200 ? 2 : 1;
  for (let y = 0, n = 0; y < height; y++) {
    for (let x = 0; x < width; x++, n++) {
      const inside = mask[n] > 127;
      let edge = false;
      for (let d = 1; d <= wide; d++) {
        edge ||= (x >= d && mask[n - d] > 127 !== inside) || (y >= d && mask[n - d * width] > 127 !== inside);
      }
      const share = mask[n] / 255;
      const p = 4 * n;
      const dark = 40 + 0.35 * (0.299 * rgba[p] + 0.587 * rgba[p + 1] + 0.114 * rgba[p + 2]);
      for (let c = 0; c < 3; c++) rgba[p + c] = edge ? colour[c] : share * rgba[p + c] + (1 - share) * dark;
    }
  }
}
