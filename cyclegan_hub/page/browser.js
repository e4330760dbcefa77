// Some browsers do not recognise a .heic file as an image, and gradio's upload takes images only: its type is added here.
(() => {
  const input = () => document.querySelector("#photo input[type=file]");
  const unknown = (file) => file.type === "" && /\.(heic|heif|hif)$/i.test(file.name);
  const named = (files) => {
    const carrier = new DataTransfer();
    for (const file of files) carrier.items.add(unknown(file) ? new File([file], file.name, { type: "image/heic" }) : file);
    return carrier.files;
  };
  document.addEventListener("click", (event) => {
    if (event.target === input()) event.target.accept = "image/*,.heic,.heif,.hif";
  }, true);
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
    for (const place of document.querySelectorAll("#live-hint .html-container > div, #camera .html-container > div")) {
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
          document.querySelector('#camera-live [title="stop recording"]')?.closest("button").click();
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
