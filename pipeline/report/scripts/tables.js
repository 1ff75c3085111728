"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

/** An element with attributes; strings among its children are text. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const percent = (share) => `${Number((100 * share).toFixed(1))}\u00a0%`;

// Tables whose columns can be sorted by a click on their heads.
for (const table of $$("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, n) => {
    const text = row.cells[n].textContent;
    return n ? (Number.isNaN(parseFloat(text)) ? Infinity : parseFloat(text)) : text;
  };
  heads.forEach((head, n) => {
    const button = element("button", { type: "button" }, head.textContent);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [value(a, n), value(b, n)];
        return (x > y) - (x < y);
      });
      table.tBodies[0].append(...(down ? rows.reverse() : rows));
    });
  });
}
