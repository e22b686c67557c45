// Nothing here leads out of this file: no window opens, and no link goes anywhere but to a part of it or to a
// file made here.
window.open = () => null;
function stay(event) {
  const link = event.target.closest?.("a");
  const to = link?.getAttribute("href") ?? link?.getAttribute("xlink:href");
  if (to && !/^(#|blob:|data:)/.test(to)) event.preventDefault();
}
addEventListener("click", stay, true);
addEventListener("auxclick", stay, true);

const plots = [...document.querySelectorAll("[data-plot]")];
const settings = { ...CONFIG, displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false };
for (const plot of plots) {
  const { data, layout } = JSON.parse(document.getElementById(plot.dataset.plot).textContent);
  Plotly.newPlot(plot, data, layout, settings);
}
// Paper is narrower than most windows, and printing resizes nothing by itself.
const PAPER = { width: 640, height: 265 };
const refit = (size) => plots.forEach((plot) => Plotly.relayout(plot, size));
addEventListener("beforeprint", () => refit(PAPER));
addEventListener("afterprint", () => refit({ width: null, height: null, autosize: true }));

// Every table can be taken away as CSV, made here: no network. A cell may say in data-csv what it stands for.
const NUMBER = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i;
function csvCell(value) {
  if (value === null || typeof value === "number") return value === null ? "" : String(value);
  const text = value.trim().replace(/\s+/g, " ");
  const number = text.replace(/−/g, "-").replace(/(?<=\d),(?=\d{3})/g, "");
  if (NUMBER.test(number)) return number;
  // What a spreadsheet would take for a formula is marked as text.
  return `"${(/^[=+\-@]/.test(text) ? "'" + text : text).replaceAll('"', '""')}"`;
}
const csvCells = (cell) => (cell.dataset.csv ? JSON.parse(cell.dataset.csv) : [cell.textContent]);
const csvText = (table) =>
  [...table.rows].map((row) => [...row.cells].flatMap(csvCells).map(csvCell).join(",") + "\r\n").join("");
for (const table of document.querySelectorAll(".card table")) {
  const card = table.closest(".card");
  const title = card.querySelector("h2")?.textContent ?? "table";
  const button = Object.assign(document.createElement("button"), { type: "button", className: "csv" });
  button.textContent = "CSV";
  button.setAttribute("aria-label", `Save the table “${title}” as CSV`);
  button.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff" + csvText(table)], { type: "text/csv" }));
    link.download = `${card.id || "table"}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  card.prepend(button);
}
