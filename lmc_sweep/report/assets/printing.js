// On paper: light colors, everything open, and as many rows of a table as somebody reads there.
const PRINTED_ROWS = 40;

const Printing = {
  kept: null,

  begin() {
    if (this.kept) return;
    this.kept = { lengths: Tables.all.map((table) => table.page.len()), closed: [] };
    for (const details of document.querySelectorAll("details:not([open])")) {
      details.open = true;
      this.kept.closed.push(details);
    }
    for (const table of Tables.all) {
      table.page.len(PRINTED_ROWS).draw();
      const { end, recordsDisplay } = table.page.info();
      const note = document.createElement("p");
      note.className = "printed";
      note.textContent =
        end < recordsDisplay
          ? `${end.toLocaleString("en-US")} of ${recordsDisplay.toLocaleString("en-US")} rows; the file holds all.`
          : `${recordsDisplay.toLocaleString("en-US")} rows.`;
      table.table().container().append(note);
    }
    Theme.printing = true;
    Theme.apply();
  },

  end() {
    if (!this.kept) return;
    Tables.all.forEach((table, place) => table.page.len(this.kept.lengths[place]).draw());
    for (const details of this.kept.closed) details.open = false;
    for (const note of document.querySelectorAll(".printed")) note.remove();
    this.kept = null;
    Theme.printing = false;
    Theme.apply();
  },

  start() {
    addEventListener("beforeprint", () => this.begin());
    addEventListener("afterprint", () => this.end());
    matchMedia("print").addEventListener("change", ({ matches }) => (matches ? this.begin() : this.end()));
  },
};
