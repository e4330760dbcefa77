// Faces found (MTCNN, as faces/mtcnn.py and faces/find.py), aligned and put back (faces/align.py), with the same landmarks and
// transforms. Complex numbers are [re, im]; a transform {turn, shift} takes z to turn * z + shift.

import { blank, resize, warp } from "./pixels.js";

const CELL = 12, STRIDE = 2, PYRAMID = 0.6, P_SCORE = 0.7, R_SCORE = 0.7, O_LARGE = 0.7, O_SMALL = 0.95, LARGE = 1 / 8;
const MAX_PIXELS = 4e6, SMALLEST = 24, SMALLEST_SHARE = 1 / 50;
const UPRIGHT = [0.29, 0.36, 0.71, 0.36], ROUNDS = 2;
const MASK_FROM = 0.72, MASK_TO = 0.98;
const GONE = 0.5; // the finder's score of a crop below which a face that was followed is lost
const AT_ONCE = 0.25, CALM = 0.1; // faces/track.py

const minus = (a, b) => [a[0] - b[0], a[1] - b[1]];
const times = (a, b) => [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]];
const over = (a, b) => { const n = b[0] * b[0] + b[1] * b[1]; return [(a[0] * b[0] + a[1] * b[1]) / n, (a[1] * b[0] - a[0] * b[1]) / n]; };
const apply = ({ turn, shift }, z) => { const t = times(turn, z); return [t[0] + shift[0], t[1] + shift[1]]; };
const middle = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];

// From px of a square of `size` px, in which the eyes lie at `eyes`, to px of the image.
export function alignment([left, right], eyes, size) {
  const here = [eyes[0] * size, eyes[1] * size], there = [eyes[2] * size, eyes[3] * size];
  const turn = over(minus(right, left), minus(there, here));
  return { turn, shift: minus(left, times(turn, here)) };
}

export function inverse({ turn, shift }) {
  const one = over([1, 0], turn);
  return { turn: one, shift: times([-one[0], -one[1]], shift) };
}

export const scaleOf = ({ turn }) => Math.hypot(...turn);

export class Finder {
  // `run(name, inputs)` runs one of the networks "pnet", "rnet" and "onet" on {data, dims}.
  constructor(run) { this.run = run; }

  // The faces of an image of 8 bits, the largest first: {box, landmarks, score}.
  async find(image) {
    const scale = Math.min(1, Math.sqrt(MAX_PIXELS / (image.width * image.height)));
    const small = scale === 1 ? image
      : resize(image, Math.max(1, Math.round(image.width * scale)), Math.max(1, Math.round(image.height * scale)), "bilinear", undefined, 2);
    const found = await this.detect(small, Math.max(SMALLEST, Math.sqrt(small.width * small.height) * SMALLEST_SHARE));
    const faces = [];
    for (const { box, score, points } of found) {
      let landmarks = points.map((z) => [z[0] / scale, z[1] / scale]);
      for (let i = 0; i < ROUNDS; i++) ({ landmarks } = await this.refined(image, landmarks));
      faces.push({ box: box.map((edge) => edge / scale), landmarks, score });
    }
    const side = ({ box }) => Math.max(box[2] - box[0], box[3] - box[1]);
    return faces.sort((a, b) => side(b) - side(a));
  }

  // Landmarks placed again on an upright crop and its mirror image; `score`: how sure it is that this is a face.
  async refined(image, landmarks) {
    const [left, right] = landmarks, centre = middle(left, right), along = minus(right, left);
    const mouth = middle(landmarks[3], landmarks[4]), length = Math.hypot(...along);
    const apart = Math.max(length, 0.9 * Math.hypot(...minus(mouth, centre)), 1);
    const half = length ? [(along[0] / length) * (apart / 2), (along[1] / length) * (apart / 2)] : [apart / 2, 0];
    const toImage = alignment([minus(centre, half), [centre[0] + half[0], centre[1] + half[1]]], UPRIGHT, 48);
    const crop = warp(image, toImage, 48, 48), x = normalized([crop, mirrored(crop)]);
    const { scores, places } = this.read(await this.run("onet", x), 2);
    const swap = [1, 0, 2, 4, 3];
    const found = swap.map((other, i) => [
      (places[i] + 1 - places[10 + other]) / 2 * 48, (places[5 + i] + places[10 + 5 + other]) / 2 * 48,
    ]);
    return { landmarks: found.map((z) => apply(toImage, z)), score: (scores[0] + scores[1]) / 2 };
  }

  async detect(image, smallest) {
    let squares = await this.propose(image, smallest);
    if (squares.length) {
      const { scores, shifts } = this.read(await this.run("rnet", normalized(crops(image, squares, 24))), squares.length);
      const kept = squares.map((_, i) => i).filter((i) => scores[i] > R_SCORE);
      const boxes = kept.map((i) => shifted(squares[i], shifts.subarray(4 * i, 4 * i + 4)));
      squares = suppress(boxes, kept.map((i) => scores[i]), 0.7).map((i) => squared(boxes[i]));
    }
    if (!squares.length) return [];
    const { scores, shifts, places } = this.read(await this.run("onet", normalized(crops(image, squares, 48))), squares.length);
    const area = Math.sqrt(image.width * image.height), faces = [];
    squares.forEach((square, i) => {
      const box = shifted(square, shifts.subarray(4 * i, 4 * i + 4)), side = Math.max(box[2] - box[0], box[3] - box[1]);
      if (scores[i] <= (side > LARGE * area ? O_LARGE : O_SMALL)) return;
      const [left, top, right, bottom] = square;
      const points = [0, 1, 2, 3, 4].map((k) => [left + places[10 * i + k] * (right - left), top + places[10 * i + 5 + k] * (bottom - top)]);
      faces.push({ box, score: scores[i], points });
    });
    return suppress(faces.map((one) => one.box), faces.map((one) => one.score), 0.7, true).map((i) => faces[i]);
  }

  async propose(image, smallest) {
    const boxes = [], scores = [];
    for (let scale = CELL / smallest; Math.min(image.width, image.height) * scale >= CELL; scale *= PYRAMID) {
      const width = Math.ceil(image.width * scale), height = Math.ceil(image.height * scale);
      const small = resize(image, width, height, "bilinear", undefined, 2);
      const outputs = await this.run("pnet", normalized([small]));
      const [, columns, rows] = outputs.softmax.dims, found = [], sure = [];
      for (let i = 0; i < columns * rows; i++) {
        const score = outputs.softmax.data[2 * i + 1];
        if (score < P_SCORE) continue;
        const left = (Math.floor(i / rows) * STRIDE) / scale, top = ((i % rows) * STRIDE) / scale;
        const square = [left, top, left + CELL / scale, top + CELL / scale];
        found.push([square, outputs.conv2d_4.data.subarray(4 * i, 4 * i + 4)]);
        sure.push(score);
      }
      for (const i of suppress(found.map(([one]) => one), sure, 0.5)) {
        boxes.push(shifted(...found[i]));
        scores.push(sure[i]);
      }
    }
    return suppress(boxes, scores, 0.7).map((i) => squared(boxes[i]));
  }

  // Of R and O: scores (N), shifts of the corners (N, 4) and, of O, landmarks (N, 10).
  read(outputs, count) {
    const all = Object.values(outputs), of = (width) => all.find(({ dims }) => dims.at(-1) === width)?.data;
    const pairs = of(2);
    return { scores: Float32Array.from({ length: count }, (_, i) => pairs[2 * i + 1]), shifts: of(4), places: of(10) };
  }
}

// Images of one size as the networks take them: (N, W, H, 3), since they were trained on images read by columns.
function normalized(images) {
  const { width, height } = images[0], data = new Float32Array(images.length * width * height * 3);
  images.forEach((image, n) => {
    for (let x = 0; x < width; x++) {
      for (let y = 0; y < height; y++) {
        const to = ((n * width + x) * height + y) * 3, from = (y * width + x) * 3;
        for (let c = 0; c < 3; c++) data[to + c] = (image.data[from + c] - 127.5) / 128;
      }
    }
  });
  return { data, dims: [images.length, width, height, 3] };
}

function mirrored(image) {
  const result = blank(image, image.width, image.height), { width, channels } = image;
  for (let i = 0; i < width * image.height; i++) {
    const from = (i - (i % width) + width - 1 - (i % width)) * channels;
    for (let c = 0; c < channels; c++) result.data[i * channels + c] = image.data[from + c];
  }
  return result;
}

// The squares of an image at `size` px; black beyond its borders.
function crops(image, squares, size) {
  return squares.map(([left, top, right, bottom]) => {
    const x = Math.floor(left), y = Math.floor(top);
    const part = blank(image, Math.max(1, Math.ceil(right) - x), Math.max(1, Math.ceil(bottom) - y));
    for (let j = Math.max(0, -y); j < Math.min(part.height, image.height - y); j++) {
      const from = Math.max(0, x), to = Math.min(image.width, x + part.width);
      if (to > from) part.data.set(image.data.subarray(((y + j) * image.width + from) * 3, ((y + j) * image.width + to) * 3), (j * part.width + from - x) * 3);
    }
    const inside = [left - x, top - y, Math.min(right - x, part.width), Math.min(bottom - y, part.height)];
    return resize(part, size, size, "bilinear", inside, 2);
  });
}

// Boxes are numbers of 32 bits, as in Python: a box that moves by a hair can change which others it covers.
function shifted([left, top, right, bottom], shift) {
  const width = right - left, height = bottom - top;
  return [left + shift[0] * width, top + shift[1] * height, right + shift[2] * width, bottom + shift[3] * height].map(Math.fround);
}

function squared([left, top, right, bottom]) {
  const half = Math.max(right - left, bottom - top, 1) / 2, x = (left + right) / 2, y = (top + bottom) / 2;
  return [x - half, y - half, x + half, y + half].map(Math.fround);
}

// Indices of the boxes that no better one covers by more than `most`: of their union, or of the smaller one's area.
function suppress(boxes, scores, most, ofSmaller = false) {
  const area = (b) => (b[2] - b[0]) * (b[3] - b[1]), kept = [];
  let order = boxes.map((_, i) => i).sort((i, j) => scores[j] - scores[i]);
  while (order.length) {
    const [best, ...rest] = order, a = boxes[best];
    kept.push(best);
    order = rest.filter((i) => {
      const b = boxes[i];
      const shared = Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0])) * Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
      return shared <= most * (ofSmaller ? Math.min(area(a), area(b)) : area(a) + area(b) - shared);
    });
  }
  return kept;
}

// A face followed through the frames of a camera: searched for now and then, in between its landmarks are placed again where they
// were; smoothed as faces/track.py does.
export class Follower {
  constructor(finder, every = 10) { Object.assign(this, { finder, every, frame: 0, landmarks: null }); }

  // The landmarks in the next frame; null: there is no face.
  async after(image) {
    let found = null;
    if (this.landmarks && this.frame % this.every) {
      const { landmarks, score } = await this.finder.refined(image, this.landmarks);
      if (score > GONE) found = landmarks;
    }
    if (!found) {
      const factor = Math.min(1, 320 / Math.max(image.width, image.height));
      const small = factor === 1 ? image : resize(image, Math.round(image.width * factor), Math.round(image.height * factor), "bilinear", undefined, 2);
      const [face] = await this.finder.find(small);
      found = face ? face.landmarks.map((z) => [z[0] / factor, z[1] / factor]) : null;
      this.frame = 0;
    }
    this.frame++;
    return (this.landmarks = found && this.landmarks ? smoothed(this.landmarks, found) : found);
  }
}

function smoothed(before, now) {
  const apart = Math.max(1, Math.hypot(...minus(before[1], before[0])));
  const move = Math.max(...[0, 1].map((i) => Math.hypot(...minus(now[i], before[i])))) / apart;
  if (move >= AT_ONCE) return now;
  const weight = Math.max(CALM, move / AT_ONCE);
  return before.map((z, i) => [z[0] + weight * (now[i][0] - z[0]), z[1] + weight * (now[i][1] - z[1])]);
}

// What a network added, in values of 8 bits.
export function change(before, after) {
  return { ...before, data: Float32Array.from(after.data, (value, i) => value - before.data[i]) };
}

// An image with `strength` times a change of its size added.
export function added(image, difference, strength) {
  const result = blank(image, image.width, image.height);
  for (let i = 0; i < result.data.length; i++) result.data[i] = image.data[i] + strength * difference.data[i];
  return result;
}

// `before` + `strength` times what changed; `after` itself for 1.
export function blended(before, after, strength) {
  return strength === 1 ? after : added(before, change(before, after), strength);
}

// The photograph with a translated square in its place, faded out by an ellipse; with a `strength` the square is a change, of
// which that share is added.
export function putBack(photo, square, transform, strength = null) {
  const side = square.width, corners = [[0, 0], [0, side], [side, 0], [side, side]].map((z) => apply(transform, z));
  const xs = corners.map((z) => z[0]), ys = corners.map((z) => z[1]);
  const box = [
    Math.max(0, Math.floor(Math.min(...xs))), Math.max(0, Math.floor(Math.min(...ys))),
    Math.min(photo.width, Math.ceil(Math.max(...xs))), Math.min(photo.height, Math.ceil(Math.max(...ys))),
  ];
  const result = { ...photo, data: photo.data.slice() };
  if (box[2] <= box[0] || box[3] <= box[1]) return result;
  const width = box[2] - box[0], height = box[3] - box[1], back = inverse(transform);
  const toSquare = { turn: back.turn, shift: apply(back, [box[0], box[1]]) };
  const patch = warp(square, toSquare, width, height), { channels } = photo;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const z = apply(toSquare, [x + 0.5, y + 0.5]);
      const radius = Math.hypot(z[0] - side / 2, z[1] - side / 2) / (side / 2);
      const inner = Math.min(1, Math.max(0, (MASK_TO - radius) / (MASK_TO - MASK_FROM))), weight = inner * inner * (3 - 2 * inner);
      if (!weight) continue;
      const to = ((box[1] + y) * photo.width + box[0] + x) * channels, from = (y * width + x) * channels;
      for (let c = 0; c < channels; c++) {
        const was = photo.data[to + c];
        result.data[to + c] = strength === null ? was + weight * (patch.data[from + c] - was) : was + strength * weight * patch.data[from + c];
      }
    }
  }
  return result;
}
