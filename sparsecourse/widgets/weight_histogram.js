// The browser's side of WeightHistogram: everything moves here at once, and Python is told.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 760; // of the pictures of all explorers
const HEIGHT = 232;
const LEFT = 20;
const RIGHT = 740;
const TOP = 44;
const BASE = 186;
const MIDDLE = (LEFT + RIGHT) / 2;
const KEPT = "#0072B2"; // Okabe and Ito's set, as in sparsecourse/house.mplstyle
const PRUNED = "#9A9A9A";
const THRESHOLD = "#D55E00";
const TEXT = "var(--jp-ui-font-color1, #212121)";
const STEPS = {
  ArrowRight: 0.05,
  ArrowUp: 0.05,
  ArrowLeft: -0.05,
  ArrowDown: -0.05,
  PageUp: 0.5,
  PageDown: -0.5,
  Home: -Infinity,
  End: Infinity,
};

function add(parent, name, attributes, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  parent.append(element);
  return element;
}

function write(parent, x, y, text, anchor = "middle") {
  const looks = { fill: TEXT, "font-size": 14, "text-anchor": anchor };
  return add(parent, "text", { x, y, ...looks }, text);
}

function render({ model, el }) {
  const svg = add(el, "svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    class: "sparsecourse-draggable",
    role: "slider",
    tabindex: 0,
    "aria-label": "threshold c",
  });
  svg.style.cssText = `width: ${WIDTH}px; max-width: 100%; display: block; cursor: ew-resize;
    user-select: none; touch-action: pan-y; font-family: var(--jp-ui-font-family, sans-serif)`;
  const kept = add(svg, "path", { fill: KEPT });
  const pruned = add(svg, "path", { fill: PRUNED });
  const axis = add(svg, "g", {});
  const lines = [-1, 1].map(() => {
    const line = add(svg, "g", { stroke: THRESHOLD, "stroke-width": 2.5, fill: THRESHOLD });
    add(line, "line", { y1: TOP - 8, y2: BASE });
    add(line, "circle", { cy: TOP - 8, r: 6 });
    return line;
  });
  add(svg, "rect", { x: LEFT, y: 9, width: 12, height: 12, fill: PRUNED });
  write(svg, LEFT + 18, 20, "pruned", "start");
  add(svg, "rect", { x: LEFT + 84, y: 9, width: 12, height: 12, fill: KEPT });
  write(svg, LEFT + 102, 20, "kept", "start");
  const caption = write(svg, RIGHT, 20, "", "end");

  const place = (deviations) => MIDDLE + (deviations / model.get("max")) * (RIGHT - MIDDLE);

  // The bars, cut off at -limit and limit.
  const bars = (limit) => {
    const counts = model.get("counts");
    const width = (RIGHT - LEFT) / counts.length;
    const [from, to] = [place(-limit), place(limit)];
    const highest = Math.max(1, ...counts);
    const bar = (count, i) => {
      const left = Math.max(from, LEFT + i * width);
      const right = Math.min(to, LEFT + (i + 1) * width - 1);
      const top = BASE - (count / highest) * (BASE - TOP);
      return right > left ? `M${left} ${BASE}V${top}H${right}V${BASE}Z` : "";
    };
    return counts.map(bar).join("");
  };

  const drawThreshold = () => {
    const c = model.get("value");
    pruned.setAttribute("d", bars(c));
    lines[0].setAttribute("transform", `translate(${place(-c)})`);
    lines[1].setAttribute("transform", `translate(${place(c)})`);
    const size = model.get("deviation") * c;
    caption.textContent = size
      ? `c = ${c.toFixed(2)}: |w| ≤ ${size.toPrecision(3)} is pruned`
      : `c = ${c.toFixed(2)} standard deviations of each layer`;
    svg.setAttribute("aria-valuenow", c);
    svg.setAttribute("aria-valuetext", `${c.toFixed(2)} standard deviations`);
  };

  const drawWeights = () => {
    const max = model.get("max");
    svg.setAttribute("aria-valuemin", model.get("min"));
    svg.setAttribute("aria-valuemax", max);
    kept.setAttribute("d", bars(max));
    axis.replaceChildren();
    add(axis, "path", { d: `M${LEFT} ${BASE}H${RIGHT}`, stroke: TEXT });
    for (let tick = Math.ceil(-max); tick <= max; tick++) {
      add(axis, "path", { d: `M${place(tick)} ${BASE}v4`, stroke: TEXT });
      write(axis, place(tick), BASE + 19, String(tick).replace("-", "−"));
    }
    const beyond = model.get("beyond");
    const note = beyond ? ` (${beyond.toLocaleString("en")} lie beyond)` : "";
    write(axis, MIDDLE, HEIGHT - 6, `weight, in standard deviations of its layer${note}`);
    drawThreshold();
  };

  const moveTo = (c) => {
    const rounded = Math.round(c * 100) / 100;
    model.set("value", Math.min(model.get("max"), Math.max(model.get("min"), rounded)));
    model.save_changes(); // the widget manager holds back what a busy kernel cannot take yet
  };

  // Where the pointer is, in standard deviations.
  const pointed = (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    return ((x - MIDDLE) / (RIGHT - MIDDLE)) * model.get("max");
  };

  let side = 1; // which of the two lines is held
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    svg.setPointerCapture(event.pointerId);
    side = pointed(event) < 0 ? -1 : 1;
    moveTo(side * pointed(event));
  });
  svg.addEventListener("pointermove", (event) => {
    if (svg.hasPointerCapture(event.pointerId)) moveTo(side * pointed(event));
  });
  svg.addEventListener("keydown", (event) => {
    if (!(event.key in STEPS) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault(); // else it scrolls the page, or moves JupyterLab to another cell
    moveTo(model.get("value") + STEPS[event.key]);
  });

  model.on("change:value", drawThreshold);
  model.on("change:counts change:beyond change:deviation", drawWeights);
  drawWeights();
}

export default { render };
