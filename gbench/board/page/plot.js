// Plots in SVG: two axes, points with a front, learning curves.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 52, right: 12, top: 14, bottom: 42 };
const COLOURS = 8;
const DASHES = ["", "6 3", "2 3", "9 3 2 3"];

function draw(name, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function shortNumber(x) {
  if (x !== 0 && Math.abs(x) < 1e-3) return x.toExponential(0);
  return String(Number(x.toPrecision(6)));
}
const FORMATS = {
  number: shortNumber,
  percent: (x) => shortNumber(100 * x),
  seconds: (x) => (x < 1 ? `${shortNumber(1000 * x)} ms` : x < 100 ? `${shortNumber(x)} s` : `${shortNumber(Math.round(x / 6) / 10)} min`),
  count: (x) => (x >= 1e9 ? `${shortNumber(x / 1e9)}G` : x >= 1e6 ? `${shortNumber(x / 1e6)}M` : x >= 1e3 ? `${shortNumber(x / 1e3)}k` : shortNumber(x)),
};

// Round numbers in [low, high]: 1, 2, 5 times a power of ten apart; on a log scale these themselves.
function ticks(low, high, log, wanted) {
  if (!log) {
    const rough = (high - low) / wanted;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
    const first = Math.ceil(low / step);
    const count = Math.floor(high / step + 1e-9) - first + 1;
    return Array.from({ length: Math.max(count, 0) }, (_, i) => (first + i) * step);
  }
  for (const factors of [[1, 2, 5], [1, 3], [1]]) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const factor of factors) {
        const value = factor * 10 ** power;
        if (value >= low && value <= high) found.push(value);
      }
    }
    if (found.length < 3 && factors.length === 3) return ticks(low, high, false, wanted); // narrow
    if (found.length <= wanted || factors.length === 1) {
      const every = Math.ceil(found.length / wanted);
      return found.filter((_, i) => i % every === 0);
    }
  }
  return [];
}

function scale(values, log, from, to) {
  let low = values.reduce((a, b) => Math.min(a, b), Infinity);
  let high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  if (log) {
    const pad = high > low ? (high / low) ** 0.06 : 1.5;
    [low, high] = [low / pad, high * pad];
  } else {
    const pad = high > low ? (high - low) * 0.06 : Math.abs(low) * 0.1 || 1;
    [low, high] = [low - pad, high + pad];
  }
  const flat = log ? Math.log : (x) => x;
  const place = (x) => from + ((flat(x) - flat(low)) / (flat(high) - flat(low))) * (to - from);
  return { place, ticks: (wanted) => ticks(low, high, log, wanted) };
}

// An empty plot in the width that the figure has now: null if it is not shown or has no points.
function axes(figure, { xs, ys, logX, formatX, formatY, nameX, nameY, label }) {
  find("svg", figure)?.remove();
  const width = figure.clientWidth;
  if (!width || !xs.length) return null;
  const height = Math.max(220, Math.min(320, Math.round(0.55 * width)));
  const x = scale(xs, logX, MARGIN.left, width - MARGIN.right);
  const y = scale(ys, false, height - MARGIN.bottom, MARGIN.top);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-label": label });
  for (const value of y.ticks(6)) {
    svg.append(
      draw("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y.place(value), y2: y.place(value) }),
      draw("text", { x: MARGIN.left - 8, y: y.place(value) + 4, "text-anchor": "end" }, FORMATS[formatY](value)),
    );
  }
  for (const value of x.ticks(Math.floor(width / 75))) {
    svg.append(
      draw("line", { class: "grid", x1: x.place(value), x2: x.place(value), y1: height - MARGIN.bottom, y2: height - MARGIN.bottom + 4 }),
      draw("text", { x: x.place(value), y: height - MARGIN.bottom + 18, "text-anchor": "middle" }, FORMATS[formatX](value)),
    );
  }
  svg.append(
    draw("text", { x: width - MARGIN.right, y: height - 6, "text-anchor": "end" }, nameX),
    draw("text", { x: 0, y: 4 }, nameY),
  );
  figure.append(svg);
  return { svg, x: x.place, y: y.place };
}

function showTip(figure, node, words) {
  hideTip(figure);
  const tip = make("div", { class: "tip", "aria-hidden": "true" }, words);
  figure.append(tip);
  const frame = figure.getBoundingClientRect();
  const mark = node.getBoundingClientRect();
  const left = mark.left + mark.width / 2 - frame.left - tip.offsetWidth / 2;
  tip.style.left = `${Math.max(0, Math.min(left, frame.width - tip.offsetWidth))}px`;
  const above = mark.top - frame.top - tip.offsetHeight - 8;
  tip.style.top = `${above < 0 ? mark.bottom - frame.top + 8 : above}px`;
}
const hideTip = (figure) => find(".tip", figure)?.remove();

// Metric against a cost that has a column of its own in the table; hidden rows are left out.
function drawFront(board, figure) {
  const cost = figure.dataset.cost;
  const places = Object.fromEntries([...find("thead tr", board).cells].map((cell) => [cell.dataset.key, cell.cellIndex]));
  const points = [];
  for (const row of all("tbody tr:not([hidden])", board)) {
    const x = cellValue(row, places[cost]);
    const y = cellValue(row, places.test);
    if (typeof x !== "number" || typeof y !== "number" || x <= 0) continue; // a log axis
    const name = find("th", row);
    points.push({
      x, y, row,
      name: row.dataset.name,
      onFront: (row.dataset.front ?? "").split(" ").includes(cost),
      paper: row.classList.contains("published"),
      reach: Number(row.cells[places.test].dataset.interval ?? 0),
      words: [
        [...name.childNodes].filter((node) => node.nodeName !== "SMALL").map((node) => node.textContent.trim()).join(" "),
        row.dataset.settings,
        `${board.dataset.metric} ${row.cells[places.test].textContent}, ${row.cells[places[cost]].textContent}`,
      ].filter(Boolean).join("\n"),
    });
  }
  points.sort((a, b) => a.x - b.x || a.y - b.y);
  const ys = points.flatMap((point) => [point.y - point.reach, point.y + point.reach]);
  const limits = limitsOf(board);
  const plot = axes(figure, {
    xs: points.map((point) => point.x),
    ys: ys.concat(limits.map(({ value }) => towards(value, ys))),
    logX: true,
    formatX: figure.dataset.format,
    formatY: board.dataset.format,
    nameX: figure.dataset.name,
    nameY: `test ${board.dataset.metric}${board.dataset.unit}`,
    label: `test ${board.dataset.metric} against ${figure.dataset.name}: arrow keys go from point to point`,
  });
  if (!plot) return;
  const boxes = drawBand(plot, limits, points, ys, board.dataset);
  const front = points.filter((point) => point.onFront);
  plot.svg.append(
    draw("polyline", { class: "front", points: front.map((point) => `${plot.x(point.x)},${plot.y(point.y)}`).join(" ") }),
  );
  const nodes = points.map((point) => {
    const [x, y] = [plot.x(point.x), plot.y(point.y)];
    if (point.reach) plot.svg.append(draw("line", { class: "reach", x1: x, x2: x, y1: plot.y(point.y - point.reach), y2: plot.y(point.y + point.reach) }));
    const kind = `point${point.onFront ? " on-front" : ""}${point.paper ? " paper" : ""}`;
    const told = { class: kind, role: "img", tabindex: -1, "aria-label": point.words.replaceAll("\n", ", ") };
    return point.paper
      ? draw("path", { ...told, d: `M${x} ${y - 6}L${x + 6} ${y}L${x} ${y + 6}L${x - 6} ${y}Z` })
      : draw("circle", { ...told, cx: x, cy: y, r: 5 });
  });
  plot.svg.append(...nodes);
  nameFront(plot, front, boxes);
  nodes[0].setAttribute("tabindex", 0); // one stop of the Tab key per plot
  nodes.forEach((node, i) => {
    const show = () => showTip(figure, node, points[i].words);
    for (const event of ["pointerenter", "focus"]) node.addEventListener(event, show);
    for (const event of ["pointerleave", "blur"]) node.addEventListener(event, () => hideTip(figure));
    node.addEventListener("keydown", (event) => {
      const to = { ArrowRight: i + 1, ArrowDown: i + 1, ArrowLeft: i - 1, ArrowUp: i - 1, Home: 0, End: nodes.length - 1 }[event.key];
      if (event.key === "Escape") hideTip(figure);
      if (to === undefined || !nodes[to]) return;
      event.preventDefault();
      node.setAttribute("tabindex", -1);
      nodes[to].setAttribute("tabindex", 0);
      nodes[to].focus();
    });
  });
}

// The best floor and the ceiling of the table's scores, where its dataset was audited.
function limitsOf(board) {
  const { floor, floorName, ceiling } = board.dataset;
  const limits = [];
  if (floor !== undefined) limits.push({ value: Number(floor), name: `best floor: ${floorName}` });
  if (ceiling !== undefined) limits.push({ value: Number(ceiling), name: "ceiling" });
  return limits;
}

// Where a limit is drawn: the points keep at least a quarter of the height, whatever is far off.
function towards(value, ys) {
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const room = 1.5 * (high - low) || Math.abs(high) * 0.05 || 1;
  return Math.min(Math.max(value, low - room), high + room);
}

// A shaded band between the limits, each with its name and value; an arrow says that it lies further.
// The names stand left or right, where no point is; their boxes are returned.
function drawBand(plot, limits, points, ys, { format, unit }) {
  const [left, right] = [MARGIN.left, plot.svg.viewBox.baseVal.width - MARGIN.right];
  const places = limits.map(({ value }) => plot.y(towards(value, ys)));
  const [top, bottom] = [Math.min(...places), Math.max(...places)];
  if (limits.length > 1) plot.svg.append(draw("rect", { class: "band", x: left, y: top, width: right - left, height: bottom - top }));
  return limits.map(({ value, name }, i) => {
    const [y, at] = [places[i], towards(value, ys)];
    const arrow = value > at ? "\u2191 " : value < at ? "\u2193 " : "";
    if (!arrow) plot.svg.append(draw("line", { class: "limit", x1: left, x2: right, y1: y, y2: y }));
    const isAlone = limits.length === 1;
    const isTop = isAlone || top === bottom ? value > Math.max(...ys) : y === top;
    const line = !isAlone && top === bottom && (i === 0) === isTop ? 1 : 0; // both lie further on one side
    const text = draw("text", { class: "limit-name", x: left + 6, y: isTop ? y + 14 + 15 * line : y - 5 - 15 * line }, `${arrow}${name} ${FORMATS[format](Number(value.toPrecision(4)))}${unit}`);
    plot.svg.append(text);
    const crowd = () => {
      const box = text.getBBox();
      const isNear = ([x, y]) => x > box.x - 8 && x < box.x + box.width + 8 && y > box.y - 8 && y < box.y + box.height + 8;
      return points.map((point) => [plot.x(point.x), plot.y(point.y)]).filter(isNear).length;
    };
    const before = crowd();
    if (before) {
      for (const [key, of] of [["text-anchor", "end"], ["x", right - 6]]) text.setAttribute(key, of);
      if (crowd() > before) for (const [key, of] of [["text-anchor", "start"], ["x", left + 6]]) text.setAttribute(key, of);
    }
    return text.getBBox();
  });
}

// Names beside the points of the front, unless one would lie on another or on a box that is taken.
function nameFront(plot, front, taken) {
  const right = plot.svg.viewBox.baseVal.width - MARGIN.right;
  for (const point of front) {
    const text = draw("text", { class: "name", x: plot.x(point.x) + 9, y: plot.y(point.y) - 8 }, point.name);
    plot.svg.append(text);
    if (plot.x(point.x) + 9 + text.getComputedTextLength() > right) {
      text.setAttribute("text-anchor", "end");
      text.setAttribute("x", plot.x(point.x) - 9);
    }
    const box = text.getBBox();
    const meets = (other) => box.x < other.x + other.width && other.x < box.x + box.width && box.y < other.y + other.height && other.y < box.y + box.height;
    if (taken.some(meets)) text.remove();
    else taken.push(box);
  }
}
