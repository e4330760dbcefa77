// Images as Pillow makes them: resized, reduced, turned. An image is {data, width, height, channels}; `data` holds rows of pixels,
// Uint8ClampedArray for values of 8 bits (each step rounds to them, as Pillow does), Float32Array for a network's change.

const FILTERS = {
  bilinear: [1, (x) => (Math.abs(x) < 1 ? 1 - Math.abs(x) : 0)],
  bicubic: [2, (x) => {
    const a = -0.5, t = Math.abs(x); // Pillow's resize; its transform below uses -1
    return t < 1 ? ((a + 2) * t - (a + 3)) * t * t + 1 : t < 2 ? (((t - 5) * t + 8) * t - 4) * a : 0;
  }],
  lanczos: [3, (x) => {
    const p = Math.PI * x;
    return x === 0 ? 1 : Math.abs(x) >= 3 ? 0 : (3 * Math.sin(p) * Math.sin(p / 3)) / (p * p);
  }],
};

export function blank(like, width, height) {
  return { ...like, width, height, data: new like.data.constructor(width * height * like.channels) };
}

const FIXED = 2 ** 22; // for 8-bit values Pillow rounds the weights to multiples of 1 / FIXED, and so do we: equal to the bit

// For each of `out` places: the first pixel that counts, and the weights from there on.
function taps([support, filter], length, start, span, out, exact) {
  const scale = span / out, wide = Math.max(scale, 1), reach = support * wide;
  return Array.from({ length: out }, (_, i) => {
    const centre = start + (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const last = Math.min(length, Math.trunc(centre + reach + 0.5));
    const weights = Array.from({ length: last - first }, (_, k) => filter((first + k - centre + 0.5) / wide));
    const sum = weights.reduce((a, b) => a + b, 0);
    return [first, weights.map((w) => (exact ? Math.trunc((w / sum) * FIXED + (w < 0 ? -0.5 : 0.5)) : w / sum))];
  });
}

// Image.resize((width, height), filter, box=[left, top, right, bottom], reducing_gap=gap)
export function resize(image, width, height, filter = "lanczos", box = [0, 0, image.width, image.height], gap = 0) {
  if (gap) {
    const factors = [Math.trunc((box[2] - box[0]) / width / gap) || 1, Math.trunc((box[3] - box[1]) / height / gap) || 1];
    if (factors[0] > 1 || factors[1] > 1) {
      const reach = FILTERS[filter][0] - 0.5, h = (reach * (box[2] - box[0])) / width, v = (reach * (box[3] - box[1])) / height;
      const safe = [
        Math.max(0, Math.trunc(box[0] - h)), Math.max(0, Math.trunc(box[1] - v)),
        Math.min(image.width, Math.ceil(box[2] + h)), Math.min(image.height, Math.ceil(box[3] + v)),
      ];
      image = reduce(image, factors, safe);
      box = box.map((edge, i) => (edge - safe[i % 2]) / factors[i % 2]);
    }
  }
  const { channels } = image, exact = image.data instanceof Uint8ClampedArray;
  box = box.map(Math.fround); // Pillow's C code takes them so
  const rounded = exact ? (value) => (value + FIXED / 2) >> 22 : (value) => value;
  const across = taps(FILTERS[filter], image.width, box[0], Math.fround(box[2] - box[0]), width, exact);
  const down = taps(FILTERS[filter], image.height, box[1], Math.fround(box[3] - box[1]), height, exact);
  const top = down[0][0], bottom = down.at(-1)[0] + down.at(-1)[1].length;
  const between = blank(image, width, bottom - top), result = blank(image, width, height);
  for (let y = top; y < bottom; y++) {
    for (let x = 0; x < width; x++) {
      const [first, weights] = across[x];
      for (let c = 0; c < channels; c++) {
        let value = 0, at = (y * image.width + first) * channels + c;
        for (let k = 0; k < weights.length; k++, at += channels) value += weights[k] * image.data[at];
        between.data[((y - top) * width + x) * channels + c] = rounded(value);
      }
    }
  }
  const row = width * channels;
  for (let y = 0; y < height; y++) {
    const [first, weights] = down[y];
    for (let x = 0; x < row; x++) {
      let value = 0, at = (first - top) * row + x;
      for (let k = 0; k < weights.length; k++, at += row) value += weights[k] * between.data[at];
      result.data[y * row + x] = rounded(value);
    }
  }
  return result;
}

// ImageOps.fit: the centred square.
export function square(image, size) {
  const side = Math.min(image.width, image.height), left = (image.width - side) / 2, top = (image.height - side) / 2;
  return resize(image, size, size, "lanczos", [left, top, left + side, top + side]);
}

// Image.reduce: the mean of each block of `factors` pixels of a box; the last ones may be smaller.
export function reduce(image, factors, box) {
  const [fx, fy] = factors, { channels } = image, exact = image.data instanceof Uint8ClampedArray;
  const result = blank(image, Math.ceil((box[2] - box[0]) / fx), Math.ceil((box[3] - box[1]) / fy));
  for (let y = 0; y < result.height; y++) {
    const top = box[1] + y * fy, bottom = Math.min(top + fy, box[3]);
    for (let x = 0; x < result.width; x++) {
      const left = box[0] + x * fx, right = Math.min(left + fx, box[2]), count = (bottom - top) * (right - left);
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let j = top; j < bottom; j++) {
          for (let i = left; i < right; i++) sum += image.data[(j * image.width + i) * channels + c];
        }
        result.data[(y * result.width + x) * channels + c] = exact
          ? Math.floor(((sum + (count >> 1)) * Math.trunc(Math.fround(2 ** 24 / count))) / 2 ** 24) // Pillow's division
          : sum / count;
      }
    }
  }
  return result;
}

// A box of an image, mirrored again and again where it reaches beyond the borders.
function cut(image, [left, top, right, bottom]) {
  const { channels } = image, result = blank(image, right - left, bottom - top);
  const mirrored = (i, size) => { const k = ((i % (2 * size)) + 2 * size) % (2 * size); return Math.min(k, 2 * size - 1 - k); };
  for (let y = 0; y < result.height; y++) {
    const row = mirrored(top + y, image.height) * image.width;
    for (let x = 0; x < result.width; x++) {
      const from = (row + mirrored(left + x, image.width)) * channels, to = (y * result.width + x) * channels;
      for (let c = 0; c < channels; c++) result.data[to + c] = image.data[from + c];
    }
  }
  return result;
}

export function moved(image, right, down) {
  return cut(image, [-right, -down, image.width - right, image.height - down]);
}

// Left and right exchanged.
export function mirrored(image) {
  const { width, channels } = image, result = blank(image, width, image.height);
  for (let i = 0; i < width * image.height; i++) {
    const from = (i - (i % width) + width - 1 - (i % width)) * channels;
    for (let c = 0; c < channels; c++) result.data[i * channels + c] = image.data[from + c];
  }
  return result;
}

// faces/align.py `warp`: the image of width x height whose point z shows the point turn * z + shift of `image`; complex numbers
// are [re, im]. Reduced by a whole factor first, then two samples each way where it is still made smaller.
export function warp(image, { turn, shift }, width, height) {
  const scale = Math.hypot(...turn), factor = Math.max(1, Math.trunc(scale)), samples = scale > 1 ? 2 : 1, margin = 3 * factor;
  const xs = [], ys = [];
  for (const x of [0, width]) {
    for (const y of [0, height]) {
      xs.push(turn[0] * x - turn[1] * y + shift[0]);
      ys.push(turn[1] * x + turn[0] * y + shift[1]);
    }
  }
  const box = [
    Math.floor(Math.min(...xs)) - margin, Math.floor(Math.min(...ys)) - margin,
    Math.ceil(Math.max(...xs)) + margin, Math.ceil(Math.max(...ys)) + margin,
  ];
  const inside = box[0] >= 0 && box[1] >= 0 && box[2] <= image.width && box[3] <= image.height;
  const taken = inside ? box : [0, 0, image.width, image.height];
  let small = factor > 1 ? reduce(image, [factor, factor], taken) : inside ? cut(image, taken) : image;
  const a = turn.map((one) => one / factor / samples);
  const b = [(shift[0] - taken[0]) / factor, (shift[1] - taken[1]) / factor];
  if (!inside) {
    const edges = box.map((edge, i) => (i < 2 ? Math.floor((edge - margin) / factor) : Math.ceil((edge + margin) / factor)));
    small = cut(small, edges);
    b[0] -= edges[0];
    b[1] -= edges[1];
  }
  const result = transform(small, a, b, width * samples, height * samples);
  return samples > 1 ? reduce(result, [samples, samples], [0, 0, result.width, result.height]) : result;
}

// Image.transform(AFFINE, BICUBIC)
function transform(image, [c, s], [dx, dy], width, height) {
  const result = blank(image, width, height), { data, channels } = image, exact = data instanceof Uint8ClampedArray;
  const row = image.width * channels, column = new Int32Array(4), line = new Float64Array(4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const px = c * (x + 0.5) - s * (y + 0.5) + dx, py = s * (x + 0.5) + c * (y + 0.5) + dy;
      if (px < 0 || py < 0 || px >= image.width || py >= image.height) continue;
      const left = Math.floor(px - 0.5), top = Math.floor(py - 0.5), tx = px - 0.5 - left, ty = py - 0.5 - top;
      for (let k = 0; k < 4; k++) column[k] = Math.min(Math.max(left - 1 + k, 0), image.width - 1) * channels;
      for (let z = 0; z < channels; z++) {
        for (let k = 0; k < 4; k++) {
          const start = Math.min(Math.max(top - 1 + k, 0), image.height - 1) * row + z;
          line[k] = cubic(data[start + column[0]], data[start + column[1]], data[start + column[2]], data[start + column[3]], tx);
        }
        const value = cubic(line[0], line[1], line[2], line[3], ty);
        result.data[(y * width + x) * channels + z] = exact ? Math.floor(Math.max(value, 0)) : value;
      }
    }
  }
  return result;
}

function cubic(v1, v2, v3, v4, d) {
  return v2 + d * (-v1 + v3 + d * (2 * (v1 - v2) + v3 - v4 + d * (-v1 + v2 - v3 + v4)));
}

// RGBA of a canvas -> RGB, and back with full opacity.
export function fromCanvas({ data, width, height }) {
  const image = { data: new Uint8ClampedArray(3 * width * height), width, height, channels: 3 };
  for (let i = 0; i < width * height; i++) for (let c = 0; c < 3; c++) image.data[3 * i + c] = data[4 * i + c];
  return image;
}

export function toCanvas(image) {
  const pixels = new Uint8ClampedArray(4 * image.width * image.height).fill(255);
  for (let i = 0; i < image.width * image.height; i++) {
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = image.data[image.channels * i + (image.channels === 1 ? 0 : c)];
  }
  return pixels;
}

// One channel, by Pillow's integer luma (ITU-R BT.601).
export function grey(image) {
  const result = { ...image, channels: 1, data: new Uint8ClampedArray(image.width * image.height) };
  for (let i = 0; i < result.data.length; i++) {
    const [r, g, b] = image.data.subarray(3 * i, 3 * i + 3);
    result.data[i] = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;
  }
  return result;
}

// 8 bits -> the network's input (C, H, W) in [-1, 1], and its output back.
export function toInput(image) {
  const count = image.width * image.height, x = new Float32Array(image.channels * count);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < image.channels; c++) x[c * count + i] = image.data[i * image.channels + c] / 127.5 - 1;
  }
  return x;
}

export function toImage(y, width, height, channels) {
  const count = width * height, image = { data: new Uint8ClampedArray(channels * count), width, height, channels };
  for (let i = 0; i < count; i++) for (let c = 0; c < channels; c++) image.data[i * channels + c] = (y[c * count + i] + 1) * 127.5;
  return image;
}
