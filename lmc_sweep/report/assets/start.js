Theme.start();
for (const element of document.querySelectorAll("[data-plot]")) new DensityPlot(element);
Tables.start().then(() => {
  Printing.start();
  document.documentElement.dataset.ready = "true";
});
