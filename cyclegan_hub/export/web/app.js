// The page: pictures from a file or the camera to the worker and back. What it shows comes from manifest.json.

const $ = (id) => document.getElementById(id);
const LARGEST = 2048; // px: a larger picture is drawn at this size first
const SAVED = 512; // px, at least, of a saved picture
let manifest, worker, direction = "a_to_b", chosen = 0, shown = null, stream = null, last = null, facing = "user";
const waiting = new Map(); // what the worker was asked, by number
let asked = 0, photos = 0, runs = 0, face = 0, thumbnailsOf = "", busy = false, again = false;

function say(text) { $("status").textContent = text; }
function complain(text) { $("problem").textContent = text; $("problem").hidden = !text; }

function ask(message, moved = []) {
  return new Promise((resolve, reject) => {
    waiting.set(++asked, { resolve, reject });
    worker.postMessage({ id: asked, ...message }, moved);
  });
}

async function fetched(name) {
  const answer = await fetch(name).catch(() => null);
  if (!answer || !answer.ok) {
    throw new Error(`${name} is missing on this host: export the folder again, and copy all of it. Opened as a file? It needs a web server.`);
  }
  return answer;
}

async function startWorker() {
  worker?.terminate();
  for (const { reject } of waiting.values()) reject(new Error("the translator was started again"));
  waiting.clear();
  // From a blob, because that inherits this page's policy: a worker that is loaded by URL has the policy of its own headers.
  const text = await (await fetched("worker.js")).text();
  worker = new Worker(URL.createObjectURL(new Blob([text], { type: "text/javascript" })), { type: "module" });
  worker.onmessage = ({ data }) => {
    const { resolve, reject } = waiting.get(data.id) || {};
    waiting.delete(data.id);
    if (data.problem) reject?.(new Error(data.problem)); else resolve?.(data);
  };
  worker.onerror = (event) => {
    complain(`The translator could not be started (${event.message || "no reason given"}).`);
    for (const { reject } of waiting.values()) reject(new Error("the translator stopped"));
    waiting.clear();
  };
  const started = await ask({ base: location.href, runtime: manifest.runtime, gpu: $("webgpu").checked });
  $("about").dataset.threads = started.threads;
  timed();
}

// The technical line: where it runs and, of the last translation, how long it took.
function timed(ms = null) {
  const threads = Number($("about").dataset.threads);
  const where = $("webgpu").checked ? "WebGPU" : threads > 1 ? `${threads} threads` : "one thread: this host does not send the headers for more";
  $("timing").textContent = `onnxruntime-web, ${where}.${ms === null ? "" : ` The last translation took ${Math.round(ms)} ms.`}`;
}

function describe() {
  const [a, b] = direction === "a_to_b" ? manifest.labels : [...manifest.labels].reverse();
  $("from").textContent = a;
  $("to").textContent = b;
  $("turn").textContent = `⇄ ${b} to ${a}`;
  const epoch = manifest.epochs[chosen];
  $("number").textContent = `${epoch.number ?? ""}${epoch.best && manifest.epochs.length > 1 ? " (best)" : ""}`;
  $("epoch").setAttribute("aria-valuetext", `epoch ${epoch.number}`);
  $("frame").hidden = !manifest.eyes[direction];
  $("strengths").hidden = !manifest.skip[direction];
  $("share").textContent = $("strength").value;
}

function draw(canvas, { pixels, width, height }) {
  [canvas.width, canvas.height] = [width, height];
  canvas.classList.toggle("mirrored", Boolean(stream) && facing === "user"); // as in a mirror
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}

// `from`: {photo} or {live}, the number of the photograph or of the camera's run.
async function translate(pixels, width, height, from) {
  const { channels, size } = manifest, eyes = manifest.eyes[direction], skip = manifest.skip[direction];
  const model = manifest.epochs[chosen].files[direction], whole = Boolean(eyes) && $("whole").checked;
  const strength = skip ? Number($("strength").value) : 1, key = `${from.photo} ${direction}`, thumbnails = Boolean(from.photo) && key !== thumbnailsOf;
  const asking = { model, channels, size, eyes, skip, strength, whole, face, thumbnails, pixels, width, height, ...from };
  const result = await ask(asking, [pixels.buffer]);
  draw($("before"), result.before);
  draw($("after"), result.after);
  if (thumbnails) offerFaces(result.faces, key);
  $("faces").hidden = whole || !from.photo || result.found < 2;
  $("save").disabled = false;
  last = result;
  timed(result.ms);
  return result;
}

// The choice among several faces, the largest first.
function offerFaces(faces, key) {
  thumbnailsOf = key;
  const choices = faces.length < 2 ? [] : faces.map((one, i) => {
    const label = document.createElement("label"), input = document.createElement("input"), canvas = document.createElement("canvas");
    Object.assign(input, { type: "radio", name: "which", className: "unseen", checked: i === face });
    input.setAttribute("aria-label", `Face ${i + 1} of ${faces.length}`);
    input.onchange = () => { face = i; showPicture(); };
    draw(canvas, one);
    label.append(input, canvas);
    return label;
  });
  $("faces").replaceChildren($("faces").firstElementChild, ...choices);
}

// While one translation is made, of several others that are asked for only the last is made.
async function showPicture() {
  again = busy;
  if (!shown || busy) return;
  busy = true;
  do {
    again = false;
    say("Translating …");
    try {
      const { found } = await translate(shown.pixels.slice(), shown.width, shown.height, { photo: shown.number });
      complain("");
      if (!again) say(manifest.eyes[direction] && !found ? "No face was found: the middle of the picture was translated." : shown.said);
    } catch (error) {
      complain(error.message);
      say("");
    }
  } while (again && shown);
  busy = false;
}

// The first example and its translation as they were made when this folder was written: there before any model is.
async function showOpening() {
  for (const id of ["before", "after"]) {
    const name = manifest.examples[direction][id], bitmap = await createImageBitmap(await (await fetched(name)).blob());
    [$(id).width, $(id).height] = [bitmap.width, bitmap.height];
    $(id).getContext("2d").drawImage(bitmap, 0, 0);
  }
}

// The picture with which a direction opens, if it has one; what was shown is gone.
async function openExample() {
  const example = manifest.examples[direction];
  $("credit").textContent = example?.credit ?? "";
  if (example) {
    await open(await (await fetched(example.file)).blob(), true);
    return;
  }
  shown = last = null;
  for (const id of ["before", "after"]) $(id).width = $(id).height = manifest.size;
  $("save").disabled = $("faces").hidden = true;
  say("Choose a picture.");
}

// Whether a file is a PNG of 16 bits, which browsers read with 65,535 as white, whatever the model was trained on.
async function isDeep(file) {
  const head = new Uint8Array(await file.slice(0, 25).arrayBuffer());
  return head.length === 25 && head[1] === 80 && head[2] === 78 && head[3] === 71 && head[24] === 16;
}

async function open(file, example = false) {
  stopCamera();
  if (manifest.value_range && (await isDeep(file))) {
    const [black, white] = manifest.value_range;
    complain(`This model reads 16-bit files with ${black} as black and ${white} as white, which a browser cannot: give a file of 8 bits.`);
    return;
  }
  try {
    const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
    const scale = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
    const width = Math.max(1, Math.round(bitmap.width * scale)), height = Math.max(1, Math.round(bitmap.height * scale));
    const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.fillStyle = "#fff"; // behind what is transparent
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0, width, height);
    bitmap.close();
    const said = example ? "An example, translated. Choose a picture of your own." : "Translated.";
    shown = { pixels: context.getImageData(0, 0, width, height).data, width, height, number: ++photos, example, said };
    face = 0;
    if (!example) $("credit").textContent = "";
  } catch {
    complain("Your browser cannot show this file: give a JPEG, PNG or WebP.");
    return;
  }
  await showPicture();
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  $("camera").textContent = "Start camera";
  $("facing").hidden = true;
}

async function startCamera() {
  $("camera").disabled = true; // until it is there or refused: a second press would open a second stream, which nothing stops
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: facing, width: { ideal: 640 } } });
  } catch (error) {
    complain(`The camera cannot be used (${error.name}): allow it in your browser, or choose a picture.`);
    return;
  } finally {
    $("camera").disabled = false;
  }
  const mine = stream;
  mine.getVideoTracks()[0].onended = () => { if (stream === mine) { stopCamera(); say("The camera was taken away."); } };
  $("camera").textContent = "Stop camera";
  shown = null;
  complain("");
  const video = $("video");
  video.srcObject = mine;
  await video.play();
  const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput");
  $("facing").hidden = cameras.length < 2;
  const live = ++runs, canvas = new OffscreenCanvas(1, 1), context = canvas.getContext("2d", { willReadFrequently: true });
  const times = [];
  while (stream === mine) { // frames that arrive meanwhile are skipped
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    context.drawImage(video, 0, 0);
    try {
      await translate(context.getImageData(0, 0, canvas.width, canvas.height).data, canvas.width, canvas.height, { live });
    } catch (error) {
      stopCamera();
      complain(error.message);
      return;
    }
    times.push(performance.now());
    while (times.length > 1 && times.at(-1) - times[0] > 2000) times.shift();
    const rate = times.length > 1 ? (1000 * (times.length - 1)) / (times.at(-1) - times[0]) : 0;
    if (stream === mine) say(`Live: ${rate.toFixed(1)} pictures a second.`);
    await new Promise((resolve) => setTimeout(resolve)); // the page draws, and hears its buttons
  }
  video.srcObject = null;
}

function save() {
  if (!last) return;
  const { width, height } = last.after, scale = Math.max(1, SAVED / Math.min(width, height)), canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  if ($("after").classList.contains("mirrored")) {
    context.translate(canvas.width, 0);
    context.scale(-1, 1);
  }
  context.drawImage($("after"), 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${manifest.source.split("/").pop().replace(/[^\p{L}\p{N}]+/gu, "-")}-${direction}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }, "image/png");
}

async function begin() {
  if (typeof WebAssembly !== "object" || typeof OffscreenCanvas !== "function" || typeof createImageBitmap !== "function") {
    throw new Error("This browser is too old for this page: it lacks WebAssembly or OffscreenCanvas.");
  }
  manifest = await (await fetched("manifest.json")).json();
  const count = manifest.epochs.length;
  chosen = Math.max(0, manifest.epochs.findIndex((epoch) => epoch.best));
  direction = Object.keys(manifest.epochs[chosen].files)[0];
  $("turn").hidden = Object.keys(manifest.epochs[chosen].files).length < 2;
  $("epochs").hidden = count < 2;
  $("epoch").max = count - 1;
  $("epoch").value = chosen;
  $("ticks").append(...manifest.epochs.map((epoch, i) => new Option(String(epoch.number), String(i))));
  $("strength").max = manifest.max_strength;
  $("gpu").hidden = !manifest.webgpu || !navigator.gpu;
  $("about").textContent = `Model: ${manifest.source}. Licence: ${manifest.license}. Training images: ${manifest.terms}.`;
  describe();
  await showOpening();
  await startWorker();
  $("camera").disabled = !navigator.mediaDevices?.getUserMedia;
  $("camera-note").hidden = !$("camera").disabled;
  $("camera-note").textContent = window.isSecureContext
    ? "This browser gives no page a camera."
    : "The camera needs a page that is opened over https, or on this machine.";

  $("file").onchange = () => { if ($("file").files[0]) open($("file").files[0]); $("file").value = ""; };
  $("camera").onclick = () => (stream ? (stopCamera(), say("Stopped.")) : startCamera());
  $("facing").onclick = () => { facing = facing === "user" ? "environment" : "user"; stopCamera(); startCamera(); };
  for (const id of ["face", "whole"]) $(id).onchange = showPicture;
  $("turn").onclick = () => {
    direction = direction === "a_to_b" ? "b_to_a" : "a_to_b";
    describe();
    if (shown && !shown.example) showPicture(); else if (!stream) openExample();
  };
  $("strength").oninput = () => { describe(); showPicture(); };
  $("epoch").oninput = () => { chosen = Number($("epoch").value); describe(); showPicture(); };
  $("webgpu").onchange = async () => {
    stopCamera();
    try { await startWorker(); await showPicture(); } catch (error) { complain(error.message); }
  };
  $("save").onclick = save;
  document.addEventListener("visibilitychange", () => { if (document.hidden && stream) { stopCamera(); say("Stopped."); } });
  await openExample();
  document.body.dataset.ready = "yes";
}

begin().catch((error) => { complain(error.message); say(""); });
