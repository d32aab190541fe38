// Sorting and filtering of the tables that the page came with, and dark or light.

const find = (selector, below = document) => below.querySelector(selector);
const all = (selector, below = document) => [...below.querySelectorAll(selector)];

// What the reader has chosen; it outlives new content of a live page.
const chosen = { sort: {}, open: {}, curves: {} };

function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// The exact figure behind a cell, else its text.
function cellValue(row, column) {
  const cell = row.cells[column];
  if (cell.dataset.v === undefined) return cell.textContent;
  return cell.dataset.v === "" ? null : Number(cell.dataset.v);
}

function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null); // unknown is last both ways
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b), "en", { numeric: true });
}

function sortTable(board, column, order) {
  const head = find("thead tr", board);
  const body = find("tbody", board);
  const sign = order === "ascending" ? 1 : -1;
  const keyed = [...body.rows].map((row) => [cellValue(row, column), row]);
  keyed.sort(([a], [b]) => compare(a, b, sign));
  body.append(...keyed.map(([, row]) => row));
  for (const cell of head.cells) cell.removeAttribute("aria-sort");
  head.cells[column].setAttribute("aria-sort", order);
  chosen.sort[board.id] = { key: head.cells[column].dataset.key, order };
}

function makeSortable(board) {
  for (const cell of find("thead tr", board).cells) {
    const button = make("button", { type: "button" }, ...cell.childNodes);
    cell.replaceChildren(button);
    button.addEventListener("click", () => {
      const now = cell.getAttribute("aria-sort");
      const other = now === "ascending" ? "descending" : "ascending";
      sortTable(board, cell.cellIndex, now ? other : cell.dataset.first);
    });
  }
  const before = chosen.sort[board.id];
  const cell = before && find(`thead th[data-key="${before.key}"]`, board);
  if (cell) sortTable(board, cell.cellIndex, before.order);
}

// A row is shown if it has every word, in itself or in the title of its table.
function applyFilters() {
  const words = find("#text").value.toLowerCase().split(/\s+/).filter(Boolean);
  const data = find("#data").value;
  const model = find("#model").value;
  let shown = 0;
  let total = 0;
  for (const board of all(".board")) {
    const title = find("header", board).textContent.toLowerCase();
    let here = 0;
    for (const row of all("tbody tr", board)) {
      if (words.length) row.text ??= row.textContent.toLowerCase();
      row.hidden =
        (data !== "" && board.dataset.data !== data) ||
        (model !== "" && row.dataset.name !== model) ||
        !words.every((word) => row.text.includes(word) || title.includes(word));
      here += !row.hidden;
      total += 1;
    }
    board.hidden = here === 0;
    shown += here;
    drawPlots(board);
  }
  find("#count").textContent = shown === total ? `${total} rows` : `${shown} of ${total} rows`;
}

function offerChoices(select, names) {
  const before = select.value;
  const sorted = [...new Set(names)].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  select.replaceChildren(
    make("option", { value: "" }, "all"),
    ...sorted.map((name) => make("option", { value: name }, name)),
  );
  select.value = sorted.includes(before) ? before : "";
}

// Mean and 95 % interval of each row on one scale, below its figure: where they lie, for the style.
function placeWhiskers(board) {
  const known = all("td.score", board)
    .filter((cell) => cell.dataset.v !== "")
    .map((cell) => ({ cell, mean: Number(cell.dataset.v), reach: Number(cell.dataset.interval ?? 0) }));
  const low = known.reduce((a, { mean, reach }) => Math.min(a, mean - reach), Infinity);
  const high = known.reduce((a, { mean, reach }) => Math.max(a, mean + reach), -Infinity);
  const place = (value) => `${(5 + (90 * (value - low)) / (high - low || 1)).toFixed(1)}%`;
  for (const { cell, mean, reach } of known) {
    cell.style.setProperty("--at", place(mean));
    cell.style.setProperty("--from", place(mean - reach));
    cell.style.setProperty("--to", place(mean + reach));
  }
}

function chooseTheme() {
  const button = find("#theme");
  const prefers = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (prefers.matches ? "dark" : "light")) === "dark";
  const say = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  try { // a file opened from the disk may have no storage
    const before = localStorage.getItem("gbench-theme");
    if (before) document.documentElement.dataset.theme = before;
  } catch { /* then the system's choice is taken each time */ }
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("gbench-theme", document.documentElement.dataset.theme); } catch { /* as above */ }
    say();
  });
  prefers.addEventListener("change", say);
  say();
}

// Everything that belongs to the content and is done again when a live page has new content.
function enhance() {
  const boards = all(".board");
  offerChoices(find("#data"), boards.map((board) => board.dataset.data));
  offerChoices(find("#model"), all("tbody tr").map((row) => row.dataset.name));
  for (const board of boards) {
    makeSortable(board);
    placeWhiskers(board);
    preparePlots(board);
  }
  applyFilters();
}
