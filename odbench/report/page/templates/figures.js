// The figures: Vega-Lite specifications from page/figure.py, in the colours of the page.
"use strict";

(() => {
  const figures = JSON.parse(document.getElementById("figure-data").textContent);
  const views = new Map(); // by the id of a figure, what has to be given back
  let picked = new Set();

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  const narrow = matchMedia("(max-width: 40rem)").matches;

  function theme() {
    const ink = colour("--ink"), pale = colour("--pale"), line = colour("--line");
    const font = getComputedStyle(document.body).fontFamily;
    return {
      background: "transparent",
      font,
      view: { stroke: null },
      axis: {
        labelColor: ink, titleColor: ink, gridColor: line, domainColor: pale, tickColor: pale,
        labelFontSize: 12, titleFontSize: 12.5, titleFontWeight: 500, gridOpacity: 0.7,
      },
      axisBand: { grid: false },
      axisXQuantitative: { tickCount: narrow ? 4 : 10 },
      axisY: { labelLimit: narrow ? 110 : 280 },
      legend: { labelColor: ink, titleColor: ink, labelFontSize: 12, titleFontSize: 12.5, labelLimit: narrow ? 250 : 420, orient: "bottom", columns: narrow ? 1 : 2 },
      text: { color: ink, fontSize: 12 },
      rule: { color: pale },
    };
  }

  // Rows that are picked in the table, where any of this figure's are; else all of them.
  function followed(rows) {
    if (!picked.size) return rows;
    const kept = rows.filter((row) => row.row === undefined || picked.has(row.row));
    return kept.length ? kept : rows;
  }

  function draw(figure) {
    const place = document.getElementById(figure.id);
    const select = place.querySelector("select.choice");
    const { spec, label } = figure.specs[select ? Number(select.value) : 0];
    const datasets = Object.fromEntries(Object.entries(figure.data).map(([name, rows]) => [name, followed(rows)]));
    const whole = {
      ...spec, datasets,
      description: label ? `${figure.title}: ${label}` : figure.title,
    };
    return vegaEmbed(place.querySelector(".chart"), whole, {
      mode: "vega-lite",
      renderer: "svg",
      logLevel: 1, // errors alone
      ast: true, // expressions are interpreted: the page allows no code made of strings
      actions: { export: { svg: true, png: true }, source: false, compiled: false, editor: false },
      downloadFileName: figure.id,
      config: theme(),
      loader: { load: () => Promise.reject(new Error("the page loads nothing")) },
    }).then((result) => {
      views.get(figure.id)?.finalize();
      views.set(figure.id, result);
    }).catch((error) => {
      place.querySelector(".chart").textContent = `This figure cannot be drawn: ${error.message}`;
      console.error(error);
    });
  }

  // One after the other, so that the table answers meanwhile.
  async function draw_all() {
    for (const figure of figures) {
      await draw(figure);
      await new Promise((resolve) => setTimeout(resolve));
    }
    document.documentElement.dataset.figures = "drawn";
  }

  for (const figure of figures) {
    document.getElementById(figure.id).querySelector("select.choice")?.addEventListener("change", () => draw(figure));
  }
  document.addEventListener("picked", (event) => { picked = event.detail; draw_all(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw_all);
  draw_all();
})();
