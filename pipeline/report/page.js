for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, n) => {
    const text = row.cells[n].textContent;
    return n ? (Number.isNaN(parseFloat(text)) ? Infinity : parseFloat(text)) : text;
  };
  heads.forEach((head, n) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
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
