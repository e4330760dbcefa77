// The centred square of a picture at N x N pixels, as Pillow's ImageOps.fit with Lanczos makes it: the same taps, 8 bits between
// the two passes. RGBA in and out; the fourth value is set to 255.

const LOBES = 3;

function lanczos(x) {
  if (x === 0) return 1;
  if (Math.abs(x) >= LOBES) return 0;
  const p = Math.PI * x;
  return (LOBES * Math.sin(p) * Math.sin(p / LOBES)) / (p * p);
}

// For each of `out` places: the first pixel that counts, and the weights from there on.
function taps(length, start, span, out) {
  const scale = span / out, wide = Math.max(scale, 1), reach = LOBES * wide;
  return Array.from({ length: out }, (_, i) => {
    const centre = start + (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const last = Math.min(length, Math.trunc(centre + reach + 0.5));
    const weights = Array.from({ length: last - first }, (_, k) => lanczos((first + k - centre + 0.5) / wide));
    const sum = weights.reduce((a, b) => a + b, 0);
    return [first, weights.map((w) => w / sum)];
  });
}

export function square(pixels, width, height, size) {
  const side = Math.min(width, height), left = (width - side) / 2, top = (height - side) / 2;
  const across = taps(width, left, side, size), down = taps(height, top, side, size);
  const between = new Uint8ClampedArray(4 * size * height); // clamps and rounds as it is written
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < size; x++) {
      const [first, weights] = across[x];
      let r = 0, g = 0, b = 0, at = 4 * (y * width + first);
      for (const w of weights) { r += w * pixels[at]; g += w * pixels[at + 1]; b += w * pixels[at + 2]; at += 4; }
      between.set([r, g, b], 4 * (y * size + x));
    }
  }
  const result = new Uint8ClampedArray(4 * size * size);
  for (let y = 0; y < size; y++) {
    const [first, weights] = down[y];
    for (let x = 0; x < size; x++) {
      let r = 0, g = 0, b = 0, at = 4 * (first * size + x);
      for (const w of weights) { r += w * between[at]; g += w * between[at + 1]; b += w * between[at + 2]; at += 4 * size; }
      result.set([r, g, b, 255], 4 * (y * size + x));
    }
  }
  return result;
}

// RGBA -> the network's input (C, N, N) in [-1, 1]; grey by Pillow's integer luma (ITU-R BT.601).
export function toInput(pixels, channels) {
  const count = pixels.length / 4, x = new Float32Array(channels * count);
  for (let i = 0; i < count; i++) {
    const r = pixels[4 * i], g = pixels[4 * i + 1], b = pixels[4 * i + 2];
    if (channels === 1) {
      x[i] = ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16) / 127.5 - 1;
    } else {
      x[i] = r / 127.5 - 1; x[count + i] = g / 127.5 - 1; x[2 * count + i] = b / 127.5 - 1;
    }
  }
  return x;
}

// The network's output (C, M, M) in [-1, 1] -> RGBA.
export function toPixels(y, channels) {
  const count = y.length / channels, pixels = new Uint8ClampedArray(4 * count);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = (y[(channels === 1 ? 0 : c * count) + i] + 1) * 127.5;
    pixels[4 * i + 3] = 255;
  }
  return pixels;
}
