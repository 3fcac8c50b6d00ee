"use strict";
// Draws the figures in the light or the dark of the reader's screen, and for paper always in the light.
(() => {
  const given = JSON.parse(document.getElementById("figures").textContent);
  const darkness = matchMedia("(prefers-color-scheme: dark)");
  const PAPER = "#15181d"; // --paper of the dark style
  const WIDE = 940, TALL = 680; // pixels that a sheet, Letter or A4 in landscape, has room for
  // plotly's own button "Share chart" would upload the data of the chart
  const config = {responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: ""};

  function luminance(colour) {
    const [r, g, b] = [1, 3, 5].map(i => parseInt(colour.slice(i, i + 2), 16) / 255)
      .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  function contrast(one, other) { // WCAG 2, 1.4.3
    const [light, deep] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (deep + 0.05);
  }

  function lighten(colour, wanted) { // mixed with white until it stands out from the dark paper
    if (Array.isArray(colour)) return colour.map(c => lighten(c, wanted));
    if (!/^#[0-9a-f]{6}$/i.test(colour)) return colour;
    for (let share = 0; share <= 1; share += 0.05) {
      const mixed = "#" + [1, 3, 5].map(i => parseInt(colour.slice(i, i + 2), 16))
        .map(c => Math.round(c + (255 - c) * share).toString(16).padStart(2, "0")).join("");
      if (contrast(mixed, PAPER) >= wanted(colour)) return mixed;
    }
    return "#ffffff";
  }

  const asText = colour => Math.max(4.5, Math.min(13, contrast(colour, "#ffffff"))); // as legible as on white
  const asLine = () => 3;

  function darkenWords(node) { // fonts of titles, axes, legends and annotations
    for (const [key, part] of Object.entries(node)) {
      if (!part || typeof part !== "object" || key === "hoverlabel" || part.bgcolor && key !== "legend") continue;
      if (/font$/.test(key) && part.color) part.color = lighten(part.color, asText);
      darkenWords(part);
    }
  }

  function darken(data, layout) {
    for (const [key, part] of Object.entries(layout)) {
      if (/^geo\d*$/.test(key)) part.bgcolor = PAPER;
    }
    darkenWords(layout);
    for (const shape of layout.shapes || []) {
      if (shape.line && shape.line.color) shape.line.color = lighten(shape.line.color, asLine);
    }
    for (const trace of data) {
      for (const part of [trace.line, trace.marker, trace.error_x, trace.error_y]) {
        if (part && part.color) part.color = lighten(part.color, asLine);
      }
      // words on a bar or on a map keep their colour, since what they stand on keeps its own
      const isOnPaper = trace.type === "scatter" || [trace.textposition].flat().includes("outside");
      if (isOnPaper && trace.textfont && trace.textfont.color) {
        trace.textfont.color = lighten(trace.textfont.color, asText);
      }
    }
    return {...layout, paper_bgcolor: PAPER, plot_bgcolor: PAPER};
  }

  function draw(isDark, isOnPaper) {
    for (const figure of given.figures) {
      const data = structuredClone(figure.data); // plotly writes into what it is given
      let layout = structuredClone(figure.layout);
      if (isDark) layout = darken(data, layout);
      layout.template = structuredClone(isDark ? given.dark : given.templates[figure.template]) || undefined;
      if (isOnPaper) Object.assign(layout, {width: WIDE, height: Math.min(layout.height || 450, TALL)});
      Plotly.react(figure.id, data, layout, config);
    }
  }

  function name(element, label) { // the drawing is the image: the buttons beside it are none
    const [drawing, ...others] = element.querySelectorAll(".main-svg");
    if (!drawing) return;
    drawing.setAttribute("role", "img");
    drawing.setAttribute("aria-label", label);
    for (const other of others) other.setAttribute("aria-hidden", "true");
  }

  const elements = given.figures.map(figure => document.getElementById(figure.id));
  const labels = elements.map(element => element.getAttribute("aria-label"));
  for (const element of elements) {
    element.replaceChildren();
    element.removeAttribute("role");
    element.removeAttribute("aria-label");
  }
  draw(darkness.matches, false);
  elements.forEach((element, place) => {
    name(element, labels[place]);
    element.on("plotly_afterplot", () => name(element, labels[place]));
  });
  darkness.addEventListener("change", () => draw(darkness.matches, false));
  addEventListener("beforeprint", () => draw(false, true));
  addEventListener("afterprint", () => draw(darkness.matches, false));
})();
