// The element of a selector, as soon as there is one.
const when = (selector) => new Promise((found) => {
  const look = () => {
    const element = document.querySelector(selector);
    if (element) found(element);
    else requestAnimationFrame(look);
  };
  look();
});

// Copies the picture that a save button would save, given as gradio's record of the file; returns a message for the user.
const copyPicture = async (file) => {
  try {
    const png = async () => {
      const picture = await createImageBitmap(await (await fetch(file.url)).blob());
      const canvas = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
      canvas.getContext("2d").drawImage(picture, 0, 0);
      return new Promise((done) => canvas.toBlob(done, "image/png"));
    };
    await navigator.clipboard.write([new ClipboardItem({ "image/png": png() })]);  // a promise: Safari wants it within the click
    return "<p role='status'>Copied: paste it where you like.</p>";
  } catch {
    return "<p role='status'>This browser does not let a page copy pictures: use Save.</p>";
  }
};

// Start and Stop of the live view are buttons of ours; gradio's, which they press, is hidden. Which one is visible, page.css decides.
const camera = (title) => document.querySelector(`#camera-live [title="${title}"]`)?.closest("button");
const stopCamera = () => camera("stop recording")?.click();
document.addEventListener("click", async (event) => {
  if (event.target.closest?.("#stop")) stopCamera();
  if (!event.target.closest?.("#start")) return;
  document.querySelector("#camera-live [title='grant webcam access'] button")?.click();
  await when("#camera-live [title='start recording']");
  const video = document.querySelector("#camera-live video");
  while (!video.videoWidth) await new Promise(requestAnimationFrame);
  camera("start recording")?.click();
});

// Whether there is a camera: without one, page.css hides what needs it.
navigator.mediaDevices?.enumerateDevices().then((devices) => {
  document.documentElement.classList.toggle("has-camera", devices.some((device) => device.kind === "videoinput"));
}, () => {});

// Some browsers do not recognise a .heic file as an image, and gradio's upload takes images only: its type is added here.
(() => {
  const input = () => document.querySelector("#photo input[type=file]");
  const small = (name) => document.querySelector(`#photo button[aria-label="${name}"]`);  // gradio's own, which page.css hides
  const unknown = (file) => file.type === "" && /\.(heic|heif|hif)$/i.test(file.name);
  const named = (files) => {
    const carrier = new DataTransfer();
    for (const file of files) carrier.items.add(unknown(file) ? new File([file], file.name, { type: "image/heic" }) : file);
    return carrier.files;
  };
  document.addEventListener("click", (event) => {
    if (event.target === input()) event.target.accept = "image/*,.heic,.heif,.hif";
  }, true);
  // The buttons in words: a phone opens its camera or its photos, a computer the camera in the page.
  document.addEventListener("click", (event) => {
    const id = event.target.closest?.("#take, #choose, #paste")?.id;
    if (id === "paste") small("Paste from clipboard")?.click();
    if (id === "take" && !matchMedia("(pointer: coarse)").matches) {
      when("#photo button[aria-label='Capture from camera']")
        .then((button) => button.click());
      // Not at once, and each button once: the photograph is cleared first, and this part is rendered again when the server says so.
      const clicked = new WeakSet();
      const grant = () => {
        const button = document.querySelector("#photo [title='grant webcam access'] button");
        if (!button || clicked.has(button)) return;
        clicked.add(button);
        button.click();
      };
      setTimeout(() => {
        const watching = setInterval(grant, 100);
        setTimeout(() => clearInterval(watching), 20000);
      }, 1000);
    } else if (id === "take" || id === "choose") {
      if (id === "take") input().setAttribute("capture", "user");
      else input().removeAttribute("capture");
      input().disabled = false;
      input().click();
    }
  });
  document.addEventListener("change", (event) => {
    if (event.target === input() && [...event.target.files].some(unknown)) event.target.files = named(event.target.files);
  }, true);
  document.addEventListener("drop", (event) => {
    const files = [...(event.dataTransfer?.files ?? [])];
    if (!input() || !event.target.closest?.("#photo") || !files.some(unknown)) return;
    event.preventDefault();
    event.stopPropagation();
    input().files = named(files);
    input().dispatchEvent(new Event("change", { bubbles: true }));
  }, true);
})();

// Shows a message when the camera is refused, or lost in the middle of a stream; gradio shows none.
(() => {
  const devices = navigator.mediaDevices;
  const original = devices?.getUserMedia?.bind(devices);
  if (!original) return;
  const say = (sentence) => {
    for (const place of document.querySelectorAll("#live-hint .html-container > div, #told .html-container > div")) {
      place.querySelectorAll(".camera-said").forEach((old) => old.remove());
      if (!sentence) continue;
      const line = document.createElement("p");
      [line.className, line.textContent] = ["camera-said", sentence];
      line.setAttribute("role", "alert");
      place.append(line);
    }
  };
  devices.getUserMedia = async (...wanted) => {
    try {
      const stream = await original(...wanted);
      say("");
      for (const track of stream.getVideoTracks()) {
        track.addEventListener("ended", () => {
          say("The camera was taken away: connect it, or allow it again, and start again.");
          stopCamera();
        });
      }
      return stream;
    } catch (error) {
      say("The camera was refused: allow it for this page in the browser's settings, then try again.");
      throw error;
    }
  };
  addEventListener("unhandledrejection", (event) => {
    if (["NotAllowedError", "NotFoundError", "NotReadableError", "OverconstrainedError"].includes(event.reason?.name)) event.preventDefault();
  });
})();
