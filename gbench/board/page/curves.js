// Learning curves of the runs whose box is ticked.

const STARTED = 4; // curves drawn before anything is ticked: what eight colours keep apart easily

function readCurves() {
  const byBoard = {};
  for (const curve of JSON.parse(find("#curves").textContent)) (byBoard[curve.table] ??= []).push(curve);
  return byBoard;
}

// Boxes for the runs of one table, a line per row; the first run of each of the best is ticked.
function offerCurves(board) {
  const choice = find(".choice", board);
  const rows = [...new Set(board.curves.map((curve) => curve.row))];
  const runsOf = (row) => board.curves.filter((curve) => curve.row === row);
  const ticked = (chosen.curves[board.id] ??= new Set(rows.slice(0, STARTED).map((row) => runsOf(row)[0].run)));
  for (const row of rows) {
    const { name, settings = "" } = find(`tr[data-row="${row}"]`, board).dataset;
    const title = make("span", {}, `${row + 1}. ${name} `, make("small", { title: settings }, settings));
    choice.append(make("div", { role: "group", "aria-label": `${row + 1}. ${name} ${settings}` }, title, ...runsOf(row).map((curve, i) => {
      curve.look = { class: `curve colour-${row % COLOURS}`, "stroke-dasharray": DASHES[i % DASHES.length] };
      curve.name = `seed ${curve.seed}${board.dataset.folds > 1 ? `, fold ${curve.fold}` : ""}`;
      const box = make("input", { type: "checkbox", "data-run": curve.run });
      box.checked = ticked.has(curve.run);
      box.addEventListener("change", () => {
        ticked[box.checked ? "add" : "delete"](curve.run);
        drawPlots(board);
      });
      const swatch = draw("svg", { viewBox: "0 0 24 8", "aria-hidden": "true" }, draw("line", { ...curve.look, x1: 0, x2: 24, y1: 4, y2: 4 }));
      return make("label", {}, box, swatch, curve.name);
    })));
  }
}

function drawCurves(board, figure) {
  const series = figure.dataset.series;
  const ticked = chosen.curves[board.id];
  const lines = board.curves.filter((curve) => ticked.has(curve.run)).map((curve) => {
    const epoch = (i) => Math.min(1 + i * curve.every, curve.epochs);
    return { curve, points: curve[series].map((y, i) => ({ x: epoch(i), y })).filter(({ y }) => y !== null) };
  });
  const points = lines.flatMap((line) => line.points);
  const isValid = series === "valid";
  const plot = axes(figure, {
    xs: points.map((point) => point.x),
    ys: points.map((point) => point.y),
    logX: false,
    formatX: "count",
    formatY: isValid ? board.dataset.format : "number",
    nameX: "epoch",
    nameY: isValid ? `validation ${board.dataset.metric}${board.dataset.unit}` : "train loss",
    label: isValid ? "validation metric per epoch" : "train loss per epoch",
  });
  if (!plot) return;
  for (const { curve, points: line } of lines) {
    plot.svg.append(
      draw("polyline", { ...curve.look, points: line.map(({ x, y }) => `${plot.x(x).toFixed(1)},${plot.y(y).toFixed(1)}`).join(" ") }, draw("title", {}, `${curve.row + 1}. ${curve.name}`)),
    );
    if (isValid && curve.at !== null) {
      plot.svg.append(draw("circle", { class: curve.look.class, cx: plot.x(curve.best), cy: plot.y(curve.at), r: 4 }, draw("title", {}, `tested: epoch ${curve.best}`)));
    }
  }
}

function preparePlots(board) {
  board.curves = curvesOf[board.dataset.table] ?? [];
  if (board.curves.length) offerCurves(board);
  find("details.learning", board).hidden = board.curves.length === 0;
  for (const details of all("details", board)) {
    const key = `${board.id} ${details.className}`;
    details.open = chosen.open[key] ?? details.open;
    details.addEventListener("toggle", () => {
      chosen.open[key] = details.open;
      drawPlots(board);
    });
  }
}

function drawPlots(board) {
  for (const figure of all("details[open] figure", board)) {
    if (figure.dataset.cost) drawFront(board, figure);
    else drawCurves(board, figure);
  }
}

let curvesOf = {};

function start() {
  curvesOf = readCurves();
  enhance();
}

chooseTheme();
for (const field of all(".filters input, .filters select")) field.addEventListener("input", applyFilters);
find(".filters").addEventListener("submit", (event) => event.preventDefault());
for (const node of all("[data-script]")) node.hidden = false;
start();
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return; // a phone's bar that comes and goes
  width = innerWidth;
  all(".board").forEach(drawPlots);
});
