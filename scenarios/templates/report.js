const plots = [...document.querySelectorAll("[data-plot]")];
const settings = {
  displaylogo: false,
  responsive: true,
  displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
};
for (const plot of plots) {
  const { data, layout } = JSON.parse(document.getElementById(plot.dataset.plot).textContent);
  Plotly.newPlot(plot, data, layout, settings);
}
// Paper is narrower than most windows, and printing resizes nothing by itself.
const PAPER = { width: 640, height: 265 };
const refit = (size) => plots.forEach((plot) => Plotly.relayout(plot, size));
addEventListener("beforeprint", () => refit(PAPER));
addEventListener("afterprint", () => refit({ width: null, height: null, autosize: true }));
