// Draws the latest figure. What comes while plotly is still drawing waits for it, and of several only the last is drawn.
const library = () => new Promise((ready) => {
  const look = () => (window.Plotly ? ready(window.Plotly) : setTimeout(look, 20));
  look();
});
const config = { displayModeBar: false, displaylogo: false };

function render({ model, el }) {
  const plot = document.createElement("div");
  plot.setAttribute("role", "img");
  el.append(plot);
  let isAsked = false, last = Promise.resolve();
  const draw = async () => {
    isAsked = false;
    const Plotly = await library();
    const { data, layout } = JSON.parse(model.get("figure"));
    await Plotly.react(plot, data, layout, config);
    plot.setAttribute("aria-label", model.get("label"));
  };
  const ask = () => {
    if (isAsked) return;
    isAsked = true;
    // one that fails does not keep the next from being drawn
    last = last.then(draw).catch((error) => console.error(error));
  };
  const watch = new ResizeObserver(() => {
    const isDrawn = plot.classList.contains("js-plotly-plot");
    if (isDrawn && plot.clientWidth && plot.clientWidth !== plot.querySelector(".main-svg")?.clientWidth) {
      window.Plotly.Plots.resize(plot);
    }
  });
  watch.observe(el);
  model.on("change:figure", ask);
  ask();
  return () => {
    watch.disconnect();
    model.off("change:figure", ask);
    window.Plotly?.purge(plot);
  };
}
export default { render };
