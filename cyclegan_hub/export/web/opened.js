// A classic script: a browser blocks modules, and with them app.js, on a page that was opened as a file.
if (location.protocol === "file:") {
  addEventListener("DOMContentLoaded", () => {
    const problem = document.getElementById("problem");
    problem.textContent = "This page was opened as a file and needs a web server: run `python -m http.server` in its folder, then open http://127.0.0.1:8000.";
    problem.hidden = false;
    document.getElementById("status").textContent = "";
  });
}
