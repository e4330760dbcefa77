// The generator, away from the page's own thread. Messages in: {base, runtime, gpu} first, then {id, model, channels, size, eyes,
// skip, strength, whole, face, thumbnails, live, photo, pixels, width, height}; out: {id, before, after, found, faces, ms}, where
// `before`, `after` and each of `faces` are {pixels, width, height}, or {id, problem}. Nothing is fetched but the page's own files.

let ort, base, gpu, P, F, finder, follower, seen = {};
const OWN_SCALE = 1024; // px at most of a face at the photograph's own scale
const sessions = new Map(); // by the model's URL: only the last few are kept
const KEPT = 4;
const THUMBNAIL = 96; // px

async function start(message) {
  ({ base, gpu } = message);
  P = await import(new URL("pixels.js", base).href);
  F = await import(new URL("faces.js", base).href);
  const runtime = new URL(message.runtime, base).href;
  const suffix = message.runtime === "runtime/" ? "js" : "mjs"; // our own copy is named .js, which every host knows
  ort = await import(new URL(`ort.${gpu ? "webgpu" : "wasm"}.min.${suffix}`, runtime).href);
  const inner = new URL(`ort-wasm-simd-threaded${gpu ? ".asyncify" : ""}`, runtime).href;
  ort.env.wasm.wasmPaths = { mjs: `${inner}.${suffix}`, wasm: `${inner}.wasm` };
  // Threads need memory that is shared, and that needs two headers of the host; more than four gain nothing here. One processor is
  // left to the page and the camera: on two of them, two threads made 4 to 7 pictures a second where one made 10 to 12.
  const processors = navigator.hardwareConcurrency || 1;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.max(1, Math.min(4, processors - 1)) : 1;
  ort.env.logLevel = "error";
}

async function session(model, device = gpu ? "webgpu" : "wasm") {
  if (!sessions.has(model)) {
    const answer = await fetch(new URL(model, base));
    if (!answer.ok) throw new Error(`${model} is missing on this host (${answer.status}): export the folder again, and copy all of it`);
    const made = ort.InferenceSession.create(new Uint8Array(await answer.arrayBuffer()), {
      executionProviders: [device], graphOptimizationLevel: "all",
      extra: { session: { intra_op: { allow_spinning: "0" } } }, // threads that spin starve each other on a busy machine, and a battery
    });
    sessions.set(model, made);
    made.catch(() => sessions.delete(model));
    for (const old of [...sessions.keys()].filter((name) => name.startsWith("models/")).slice(0, -KEPT)) {
      sessions.get(old).then((one) => one.release(), () => {});
      sessions.delete(old);
    }
  }
  return sessions.get(model);
}

async function runFinder(name, { data, dims }) {
  const network = await session(`faces/${name}.onnx`, "wasm"), x = new ort.Tensor("float32", data, dims);
  return network.run({ [network.inputNames[0]]: x });
}

async function network(model, image) {
  const one = await session(model), x = new ort.Tensor("float32", P.toInput(image), [1, image.channels, image.height, image.width]);
  const y = (await one.run({ x })).y, result = P.toImage(y.data, y.dims[3], y.dims[2], image.channels);
  x.dispose(); y.dispose();
  return result;
}

// models/ensemble.py: the mean change of shifted and mirrored copies.
const COPIES = [[0, 0, false], [2, 2, true], [1, -1, false], [-1, 1, true]];
async function ensemble(model, image) {
  const total = { ...image, data: new Float32Array(image.data.length) };
  for (const [right, down, mirrored] of COPIES) {
    const turned = mirrored ? P.mirrored : (one) => one, copy = turned(P.moved(image, right, down));
    const found = P.moved(turned(F.change(copy, await network(model, copy))), -right, -down);
    found.data.forEach((value, i) => { total.data[i] += value / COPIES.length; });
  }
  return F.added(image, total, 1);
}

// The eyes of the faces of a picture or frame, the largest face first. A photograph is searched once, whatever is made of it.
async function facesOf(image, { live, photo }) {
  finder ??= new F.Finder(runFinder);
  if (live) {
    if (seen.live !== live) [seen, follower] = [{ live }, new F.Follower(finder)];
    const landmarks = await follower.after(image);
    return landmarks ? [landmarks] : [];
  }
  if (seen.photo !== photo) seen = { photo, faces: (await finder.find(image)).map((face) => face.landmarks) };
  return seen.faces;
}

async function translate(message) {
  const { model, channels, size, eyes, skip, strength, whole, face, thumbnails, pixels, width, height } = message;
  let image = P.fromCanvas({ data: pixels, width, height });
  const faces = eyes ? await facesOf(image, message) : [];
  if (channels === 1) image = P.grey(image);
  const began = performance.now(), run = eyes && skip && !message.live ? ensemble : network;
  let before, after;
  if (!faces.length) {
    before = P.square(image, size);
    after = F.blended(before, await run(model, before), strength);
  } else if (whole) {
    [before, after] = [image, image];
    for (const landmarks of faces) {
      const transform = F.alignment(landmarks, eyes, size), input = P.warp(image, transform, size, size);
      const output = await run(model, input);
      after = skip ? F.putBack(after, F.change(input, output), transform, strength) : F.putBack(after, output, transform);
    }
  } else {
    const landmarks = faces[face] ?? faces[0], transform = F.alignment(landmarks, eyes, size);
    before = P.warp(image, transform, size, size);
    after = await run(model, before);
    const own = Math.min(Math.round(size * F.scaleOf(transform)), OWN_SCALE);
    if (skip && own > size && !message.live) {
      const difference = P.resize(F.change(before, after), own, own, "bicubic");
      before = P.warp(image, F.alignment(landmarks, eyes, own), own, own);
      after = F.added(before, difference, strength);
    } else {
      after = F.blended(before, after, strength);
    }
  }
  const ms = performance.now() - began, shown = (one) => ({ pixels: P.toCanvas(one), width: one.width, height: one.height });
  const small = (landmarks) => shown(P.warp(image, F.alignment(landmarks, eyes, THUMBNAIL), THUMBNAIL, THUMBNAIL));
  return { before: shown(before), after: shown(after), found: faces.length, faces: thumbnails ? faces.map(small) : [], ms };
}

let ready;
self.onmessage = async ({ data }) => {
  try {
    if (data.base) {
      await (ready = start(data));
      self.postMessage({ id: data.id, threads: ort.env.wasm.numThreads });
    } else {
      await ready;
      const result = await translate(data);
      self.postMessage({ id: data.id, ...result }, [result.before.pixels.buffer, result.after.pixels.buffer]);
    }
  } catch (error) {
    self.postMessage({ id: data.id, problem: String(error.message || error).split("\n")[0] });
  }
};
