// The density plot, by Plotly: one trace per method, on axes that are linear near 0 and logarithmic beyond.
const SYMBOLS = {
  o: "circle", s: "square", "^": "triangle-up", v: "triangle-down", "<": "triangle-left", ">": "triangle-right",
  D: "diamond", d: "diamond-tall", P: "cross", X: "x", p: "pentagon", h: "hexagon", "*": "star", 1: "y-down-open",
};

const SOLVED = 1e-6; // barriers up to this are none; many of them are drawn as ticks on the axis

class DensityPlot {
  constructor(element) {
    this.element = element;
    this.canvas = element.querySelector(".canvas");
    this.plot = Report.plots[element.dataset.plot];
    this.hidden = new Set();
    for (const select of element.querySelectorAll("select")) {
      select.addEventListener("change", () => this.draw());
    }
    element.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
    Report.on("cell", () => this.draw());
    Report.on("theme", () => this.draw());
    this.draw();
    this.canvas.on("plotly_click", ({ points }) => {
      const cell = points.length ? points[0].customdata : undefined;
      if (Number.isInteger(cell)) Report.chooseCell(Report.cell === cell ? null : cell);
    });
    this.canvas.on("plotly_legendclick", ({ data, curveNumber }) => {
      const name = data[curveNumber].meta;
      if (!this.hidden.delete(name)) this.hidden.add(name);
      this.draw();
      return false;
    });
    this.canvas.on("plotly_legenddoubleclick", () => false);
  }

  get view() {
    const chosen = [...this.element.querySelectorAll("select[data-control]")].map((select) => select.value);
    return this.plot.views.find((view) => view.choices.every((choice, place) => choice === chosen[place]));
  }

  get isLog() {
    return this.element.querySelector("select[data-axes]").value === "log";
  }

  // Where a barrier lies on an axis: linear up to the bound, which takes 0.6 of a decade, then by decades.
  place(value) {
    if (!this.isLog) return value;
    const bound = this.plot.linearBelow;
    const size = Math.abs(value) / bound;
    return Math.sign(value) * (size <= 1 ? 0.6 * size : 0.6 + Math.log10(size));
  }

  ticks(low, high) {
    if (!this.isLog) return {};
    const values = [0];
    for (let power = Math.log10(this.plot.linearBelow); power < 12; power += 1) {
      const value = 10 ** Math.round(power);
      if (value <= high) values.push(value);
      if (-value >= low) values.unshift(-value);
    }
    const texts = values.map((value) => String(Number(value.toPrecision(3))));
    return { tickvals: values.map((value) => this.place(value)), ticktext: texts };
  }

  draw() {
    const view = this.view;
    const notes = this.element.querySelector(".notes");
    if (!view) {
      notes.textContent = "There are no barriers of this kind.";
      Plotly.react(this.canvas, [], this.layout(null, 0, 1), this.config());
      return;
    }
    const all = view.clouds.flatMap((cloud) => [...cloud.real, ...cloud.model]);
    const high = all.reduce((most, value) => Math.max(most, value), 10 * this.plot.linearBelow) * 1.3;
    const low = Math.min(all.reduce((least, value) => Math.min(least, value), 0) * 1.3, -0.15 * this.plot.linearBelow);
    const traces = view.clouds.map((cloud) => this.trace(cloud, view));
    const shown = traces.reduce((sum, trace) => sum + (trace.visible === true ? trace.x.length : 0), 0);
    const visible = traces.filter((trace) => trace.visible === true);
    Plotly.react(this.canvas, [this.shade(visible), ...traces], this.layout(view, low, high), this.config());
    const told = Report.cell === null ? view.notes : [`${shown} points of ${Report.cells[Report.cell].label}`];
    notes.textContent = told.length ? `${told.join("; ")}.` : "";
  }

  trace(cloud, view) {
    const look = this.plot.looks[cloud.look];
    const kept = [...cloud.cells.keys()].filter((k) => Report.cell === null || cloud.cells[k] === Report.cell);
    const color = this.readable(look.color);
    const many = kept.length > 400;
    const isTick = (k) => many && look.filled && cloud.model[k] <= SOLVED;
    const symbol = (SYMBOLS[look.symbol] || "circle") + (look.filled || look.symbol === "1" ? "" : "-open");
    return {
      type: "scatter",
      mode: "markers",
      name: Report.escape(look.label),
      meta: look.label,
      visible: this.hidden.has(look.label) ? "legendonly" : true,
      x: kept.map((k) => this.place(cloud.real[k])),
      y: kept.map((k) => this.place(cloud.model[k])),
      customdata: kept.map((k) => cloud.cells[k]),
      text: kept.map((k) => this.hover(cloud, k, look, view)),
      hovertemplate: "%{text}<extra></extra>",
      cliponaxis: false,
      marker: {
        symbol: kept.map((k) => (isTick(k) ? "line-ns-open" : symbol)),
        color,
        size: many ? 5.5 : 8,
        opacity: many ? 0.6 : 0.9,
        line: { width: kept.map((k) => (isTick(k) || !look.filled ? 1.2 : 0.5)), color: look.filled ? Theme.color("paper") : color },
      },
    };
  }

  hover(cloud, k, look, view) {
    const cell = Report.cells[cloud.cells[k]];
    const settings = Object.entries(cell.settings).map(([name, value]) => `${name} ${value}`);
    const lines = [
      `<b>${Report.escape(cell.label)}</b>`,
      ...settings.map((text) => Report.escape(text)),
      `method ${Report.escape(look.label)}`,
      `real world ${Report.number(cloud.real[k])} ${view.unit}`,
      `our model ${Report.number(cloud.model[k])} ${view.unit}`,
    ];
    return lines.join("<br>");
  }

  // Where points are many, how dense they are; not where one cell is looked at.
  shade(traces) {
    // Where our model is solved, points lie on the axis: how dense they are there says nothing of that world.
    const kept = traces.map((trace) => [...trace.y.keys()].filter((k) => trace.y[k] > this.place(SOLVED)));
    const x = traces.flatMap((trace, place) => kept[place].map((k) => trace.x[k]));
    const y = traces.flatMap((trace, place) => kept[place].map((k) => trace.y[k]));
    const color = Theme.color("shade");
    return {
      type: "histogram2dcontour",
      visible: Report.cell === null && x.length >= 300,
      x,
      y,
      nbinsx: 26,
      nbinsy: 26,
      showscale: false,
      hoverinfo: "skip",
      showlegend: false,
      ncontours: 9,
      line: { width: 0, smoothing: 1.3 },
      contours: { coloring: "fill" },
      colorscale: [[0, `rgba(${color}, 0)`], [0.02, `rgba(${color}, 0.10)`], [1, `rgba(${color}, 0.55)`]],
    };
  }

  // Black and dark grays vanish on a dark page.
  readable(color) {
    if (!Theme.isDark) return color;
    const parts = [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16));
    const light = parts.map((part) => Math.round(part + 0.35 * (255 - part)));
    return `rgb(${light.join(", ")})`;
  }

  layout(view, low, high) {
    const [ink, quiet, line] = ["ink", "quiet", "line"].map((name) => Theme.color(name));
    const range = [this.place(low), this.place(high)];
    const axis = (world) => ({
      title: { text: view ? `${view.axis}, ${world} (${view.unit})` : world, standoff: 8 },
      range,
      ...this.ticks(low, high),
      zeroline: false,
      gridcolor: line,
      linecolor: quiet,
      automargin: true,
    });
    return {
      xaxis: axis("real world"),
      yaxis: axis("our model"),
      shapes: [
        {
          type: "line",
          x0: range[0], y0: range[0], x1: range[1], y1: range[1],
          line: { color: quiet, width: 1, dash: "dash" },
          layer: "below",
        },
      ],
      uirevision: JSON.stringify([view ? view.choices : null, this.isLog]),
      hovermode: "closest",
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      showlegend: true,
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", itemsizing: "constant" },
      margin: { l: 60, r: 16, t: 16, b: 56 },
      font: { family: "system-ui, sans-serif", size: 13, color: ink },
      modebar: { bgcolor: "rgba(0, 0, 0, 0)", color: quiet, activecolor: ink },
      hoverlabel: { align: "left", bgcolor: Theme.color("raised"), bordercolor: quiet, font: { color: ink } },
      paper_bgcolor: "rgba(0, 0, 0, 0)",
      plot_bgcolor: "rgba(0, 0, 0, 0)",
    };
  }

  config() {
    return {
      responsive: true,
      displaylogo: false,
      // Named one by one: a new version must not bring a button that sends the plot anywhere.
      modeBarButtons: [["toImage"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]],
      toImageButtonOptions: { format: "svg", filename: "density" },
    };
  }
}
