// Light or dark: as the system says, until the reader says otherwise.
const Theme = {
  key: "lmc-sweep-report-theme",
  chosen: null,
  printing: false,

  get isDark() {
    if (this.printing) return false;
    return this.chosen ? this.chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  },

  apply() {
    const root = document.documentElement;
    root.dataset.theme = this.isDark ? "dark" : "light";
    root.classList.toggle("dark", this.isDark); // what the styles of the tables go by
    const button = document.getElementById("theme");
    button.textContent = this.isDark ? "Light" : "Dark";
    button.setAttribute("aria-pressed", String(this.isDark));
    button.setAttribute("aria-label", this.isDark ? "Change to light colors" : "Change to dark colors");
    Report.tell("theme");
  },

  toggle() {
    this.chosen = this.isDark ? "light" : "dark";
    try {
      localStorage.setItem(this.key, this.chosen);
    } catch {
      // a page from a file may have no storage: the choice then lasts as long as the page
    }
    this.apply();
  },

  start() {
    try {
      const kept = localStorage.getItem(this.key);
      this.chosen = kept === "dark" || kept === "light" ? kept : null;
    } catch {
      this.chosen = null;
    }
    document.getElementById("theme").addEventListener("click", () => this.toggle());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.apply());
    this.apply();
  },

  color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  },
};
