// The tables that are sorted and filtered, by DataTables. Every value is shown as text, never as markup.
const Tables = {
  all: [],

  async start() {
    const program = document.getElementById("tables-program");
    if (!program) return;
    const address = URL.createObjectURL(new Blob([program.textContent], { type: "text/javascript" }));
    const library = await import(address);
    URL.revokeObjectURL(address);
    for (const element of document.querySelectorAll("table[data-table]")) {
      this.all.push(this.make(library.jQuery, element, Report.tables[element.dataset.table]));
    }
    Report.on("cell", () => this.all.forEach((one) => one.draw()));
  },

  make(jQuery, element, content) {
    const cellColumn = content.columns.findIndex((column) => column.kind === "cell");
    const table = jQuery(element).DataTable({
      data: this.rows(content.columns),
      columns: content.columns.map((column) => this.column(column)),
      order: [],
      pageLength: 15,
      lengthMenu: [15, 50, 200, 1000],
      autoWidth: false,
      deferRender: true,
      layout: {
        topStart: "info",
        topEnd: ["search", "pageLength"],
        bottomStart: null,
        bottomEnd: "paging",
      },
      language: {
        search: "",
        searchPlaceholder: "Search all columns",
        lengthMenu: "_MENU_ rows",
        info: "_START_ to _END_ of _TOTAL_ rows",
        infoEmpty: "no rows",
        infoFiltered: "(of _MAX_)",
        emptyTable: Report.escape(content.empty),
        zeroRecords: "No row passes the filters.",
      },
      columnControl: { target: 1, content: ["search"] },
      columnDefs: content.columns.map((column, place) => ({
        targets: place,
        columnControl: [{ target: 1, content: [column.kind === "choice" ? this.choices() : this.text()] }],
      })),
      initComplete: () => this.describe(element, content),
    });
    if (cellColumn >= 0) {
      table.search.fixed("cell", (_, row) => Report.cell === null || row[cellColumn] === Report.cell);
    }
    return table;
  },

  text: () => ({ extend: "search", placeholder: "filter" }),
  choices: () => ({ extend: "dropdown", icon: "search", text: "Choose values", content: ["searchList"] }),

  rows(columns) {
    const found = columns.map((column) =>
      column.texts ? column.values.map((place) => (place === null ? null : column.texts[place])) : column.values,
    );
    return Array.from({ length: columns.length ? found[0].length : 0 }, (_, row) => found.map((values) => values[row]));
  },

  column({ heading, kind }) {
    const isNumber = kind === "number" || kind === "share" || kind === "count";
    return {
      name: heading,
      className: isNumber ? "number" : kind,
      type: isNumber ? "num" : "string",
      render: (value, purpose) => this.shown(value, kind, purpose),
    };
  },

  shown(value, kind, purpose) {
    if (kind === "cell" && purpose === "sort") return String(value).padStart(7, "0"); // in the order of labels
    if (purpose === "sort" || purpose === "type") {
      return value === null ? (kind === "text" || kind === "choice" || kind === "id" ? "" : -Infinity) : value;
    }
    if (value === null) return "";
    if (kind === "cell") {
      const label = Report.escape(Report.cells[value].label);
      if (purpose !== "display") return label;
      return `<button type="button" class="cell" data-cell="${value}">${label}</button>`;
    }
    if (purpose === "filter" && typeof value === "number") return value;
    if (kind === "share") return value < 0.001 ? "&lt;0.001" : value.toFixed(3);
    if (kind === "count") return value.toLocaleString("en-US");
    if (kind === "number") return Report.number(value);
    return Report.escape(value);
  },

  // Names for those who hear the page: every filter says which column it filters.
  describe(element, content) {
    const inputs = element.querySelectorAll("thead tr:last-child > *");
    inputs.forEach((header, place) => {
      const heading = content.columns[place] ? content.columns[place].heading : "";
      for (const control of header.querySelectorAll("input, select, button")) {
        control.setAttribute("aria-label", `Filter ${heading}${control.tagName === "SELECT" ? ": how" : ""}`);
      }
    });
  },
};
