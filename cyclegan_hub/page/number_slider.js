// A slider whose values are the numbers themselves: those of a list, or all from 0 to `most`, of which the track reaches `track`.
const box = () => element.querySelector(".number");
const bar = () => element.querySelector(".track");

function nearest(number) {
  const values = props.values;
  if (!values.length) return Math.min(Math.max(Math.round(number), 0), props.most);
  return values.reduce((found, one) => (Math.abs(one - number) < Math.abs(found - number) ? one : found), values[0]);
}

function show(value) {
  box().value = value;
  bar().value = props.values.length ? props.values.indexOf(value) : Math.min(value, props.track);
}

function choose(value) {
  const changed = value !== props.value;
  props.value = value;
  show(value);
  if (changed) trigger("input");
}

function step(by) {
  const values = props.values;
  choose(values.length ? values[Math.min(Math.max(values.indexOf(props.value) + by, 0), values.length - 1)] : nearest(props.value + by));
}

element.addEventListener("input", (event) => {
  if (event.target === bar()) choose(props.values.length ? props.values[Number(bar().value)] : Number(bar().value));
});
element.addEventListener("change", (event) => {
  if (event.target !== box()) return;
  const text = box().value.trim().replace(",", ".");
  const number = text === "" ? NaN : Number(text);
  choose(Number.isNaN(number) ? props.value : nearest(number));  // text that is not a number changes nothing
});
element.addEventListener("keydown", (event) => {
  if (event.target !== box()) return;
  if (event.key === "Enter") box().dispatchEvent(new Event("change", { bubbles: true }));
  const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
  if (by) {
    event.preventDefault();
    step(by);
  }
});
element.addEventListener("click", (event) => {
  const tick = event.target.closest(".tick");
  if (tick) choose(Number(tick.dataset.value));
});
watch(["value", "values"], () => show(props.value));  // also after typing a text that the page corrected to the same value
