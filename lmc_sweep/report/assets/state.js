"use strict";
// What all parts of the page share: the numbers, and the one cell that is looked at, if any.
const Report = {
  ...JSON.parse(document.getElementById("report-data").textContent),
  cell: null,
  listeners: { cell: [], theme: [] },

  on(event, listener) {
    this.listeners[event].push(listener);
  },

  tell(event) {
    for (const listener of this.listeners[event]) listener();
  },

  chooseCell(place) {
    this.cell = place;
    const chip = document.getElementById("chip");
    chip.hidden = place === null;
    document.getElementById("chip-label").textContent = place === null ? "" : this.cells[place].label;
    this.tell("cell");
  },

  escape(text) {
    const signs = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
    return String(text).replace(/[&<>"']/g, (sign) => signs[sign]);
  },

  // Four digits, or fewer where the number has fewer: 0.1234, 12,340, 1.5e-7.
  number(value) {
    if (value === null) return "";
    const rounded = Number(value.toPrecision(4));
    const size = Math.abs(rounded);
    if (size !== 0 && size < 1e-4) return rounded.toExponential();
    return rounded.toLocaleString("en-US", { maximumFractionDigits: 8, maximumSignificantDigits: 4 });
  },
};

document.getElementById("chip-clear").addEventListener("click", () => Report.chooseCell(null));
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-cell]");
  if (!button) return;
  const place = Number(button.dataset.cell);
  Report.chooseCell(Report.cell === place ? null : place);
});
