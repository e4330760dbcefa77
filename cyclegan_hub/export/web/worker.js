// The generator, away from the page's own thread. Messages in: {base, runtime, gpu} first, then {id, model, channels, size,
// pixels, width, height}; out: {id, before, after, side, ms} or {id, problem}. Nothing is fetched but the page's own files.

let ort, base, gpu, tools;
const sessions = new Map(); // by the model's address: only the last few are kept
const KEPT = 4;

async function start(message) {
  ({ base, gpu } = message);
  tools = await import(new URL("resize.js", base).href);
  const runtime = new URL(message.runtime, base).href;
  ort = await import(new URL(gpu ? "ort.webgpu.min.mjs" : "ort.wasm.min.mjs", runtime).href);
  ort.env.wasm.wasmPaths = runtime;
  // Threads need memory that is shared, and that needs two headers of the host; more than four gain nothing here. One processor is
  // left to the page and the camera: on two of them, two threads made 4 to 7 pictures a second where one made 10 to 12.
  const processors = navigator.hardwareConcurrency || 1;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.max(1, Math.min(4, processors - 1)) : 1;
  ort.env.logLevel = "error";
}

async function session(model) {
  if (!sessions.has(model)) {
    const answer = await fetch(new URL(model, base));
    if (!answer.ok) throw new Error(`${model} is missing on this host (${answer.status}): export the folder again, and copy all of it`);
    const made = ort.InferenceSession.create(new Uint8Array(await answer.arrayBuffer()), {
      executionProviders: [gpu ? "webgpu" : "wasm"], graphOptimizationLevel: "all",
      extra: { session: { intra_op: { allow_spinning: "0" } } }, // threads that spin starve each other on a busy machine, and a battery
    });
    sessions.set(model, made);
    made.catch(() => sessions.delete(model));
    for (const old of [...sessions.keys()].slice(0, -KEPT)) {
      sessions.get(old).then((one) => one.release(), () => {});
      sessions.delete(old);
    }
  }
  return sessions.get(model);
}

async function translate({ model, channels, size, pixels, width, height }) {
  const network = await session(model);
  const before = width === size && height === size ? pixels : tools.square(pixels, width, height, size);
  const began = performance.now();
  const x = new ort.Tensor("float32", tools.toInput(before, channels), [1, channels, size, size]);
  const y = (await network.run({ x })).y;
  const after = tools.toPixels(y.data, channels);
  const result = { before, after, side: y.dims[3], ms: performance.now() - began };
  x.dispose(); y.dispose();
  return result;
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
      self.postMessage({ id: data.id, ...result }, [result.before.buffer, result.after.buffer]);
    }
  } catch (error) {
    self.postMessage({ id: data.id, problem: String(error.message || error).split("\n")[0] });
  }
};
