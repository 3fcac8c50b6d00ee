"use strict";
// Makes every table sortable by its headings, and longer ones searchable. Without it, tables are as they are.
(() => {
  const MOST_WITHOUT_FILTER = 8; // rows
  const collator = new Intl.Collator("en", {numeric: true});

  function value(cell) { // a number, text, or null where blank; dates are YYYY-MM-DD, which sort as text
    const text = cell.textContent.trim();
    if (!text) return null;
    const bare = text.replace(/[$,\s]/g, "").replace("\u2212", "-");
    if (!/^[-+]?(\d+\.?\d*|\.\d+)%?$/.test(bare)) return text;
    return bare.endsWith("%") ? parseFloat(bare) / 100 : parseFloat(bare);
  }

  function compare(a, b) { // numbers before words
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return typeof a === "number" ? a - b : collator.compare(a, b);
  }

  function makeSortable(table, rows) {
    const body = table.tBodies[0], headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      heading.scope = "col";
      button.addEventListener("click", () => {
        const former = heading.getAttribute("aria-sort");
        for (const other of headings) other.removeAttribute("aria-sort");
        if (former === "descending") return body.append(...rows); // the third time, the order of the report
        const way = former ? -1 : 1;
        heading.setAttribute("aria-sort", former ? "descending" : "ascending");
        const keyed = rows.map(row => [value(row.cells[place]), row]);
        keyed.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : way * compare(a, b));
        body.append(...keyed.map(([, row]) => row)); // blanks last, both ways
      });
    });
  }

  function makeSearchable(region, table, rows, number) {
    const caption = table.caption, counted = / \((?:first [\d,]+ of )?[\d,]+ rows?\)$/;
    const [all] = counted.exec(caption.textContent) || [""];
    const title = caption.textContent.slice(0, caption.textContent.length - all.length);
    const count = document.createElement("span"), label = document.createElement("label");
    count.setAttribute("role", "status");
    count.textContent = all;
    caption.replaceChildren(title, count);
    const input = document.createElement("input"), aside = document.createElement("span");
    input.type = "search";
    input.id = `filter-${number}`;
    input.autocomplete = "off";
    aside.className = "aside";
    aside.textContent = ` of the table: ${title}`;
    label.className = "filter";
    label.append("Show rows with", aside, input);
    region.before(label);
    const texts = new Map(rows.map(row => [row, [...row.cells].map(c => c.textContent).join(" ").toLowerCase()]));
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of rows) row.hidden = !words.every(word => texts.get(row).includes(word));
      const shown = rows.filter(row => !row.hidden).length;
      const cut = /first/.test(all) ? `, the${all.replace(/[()]/g, "")}` : "";
      count.textContent = words.length ? ` (${shown} of ${rows.length} shown${cut})` : all;
    });
  }

  document.querySelectorAll(".table").forEach((region, number) => {
    const table = region.querySelector("table");
    if (!table.tHead || !table.tBodies.length) return;
    const rows = [...table.tBodies[0].rows];
    makeSortable(table, rows);
    if (rows.length > MOST_WITHOUT_FILTER && table.caption) makeSearchable(region, table, rows, number);
  });
})();
