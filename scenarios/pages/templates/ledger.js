// A picture in closed details has no size until they open; paper shows all of them.
const folds = [...document.querySelectorAll("details")];
for (const fold of folds) {
  fold.addEventListener("toggle", () => {
    if (fold.open) fold.querySelectorAll("[data-plot]").forEach((plot) => Plotly.Plots.resize(plot));
  });
}
function unfold() {
  const target = location.hash.length > 1 ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
  if (target?.tagName === "DETAILS") {
    target.open = true;
    target.scrollIntoView();
  }
}
addEventListener("hashchange", unfold);
unfold();
let closed = [];
addEventListener("beforeprint", () => {
  closed = folds.filter((fold) => !fold.open);
  closed.forEach((fold) => (fold.open = true));
});
addEventListener("afterprint", () => closed.forEach((fold) => (fold.open = false)));
