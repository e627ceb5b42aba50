// Tables sort by a click on a title: by the number a cell begins with, else by its text. A second click turns them round.
for (const table of document.querySelectorAll("table")) {
  const titles = [...table.querySelectorAll("thead th")];
  titles.forEach((title, column) => {
    title.classList.add("sorts");
    title.tabIndex = 0;
    const sort = () => {
      const down = title.getAttribute("aria-sort") === "ascending";
      titles.forEach((other) => other.removeAttribute("aria-sort"));
      title.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      const key = (row) => (row.cells[column] ? row.cells[column].textContent.trim() : "");
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [parseFloat(key(a)), parseFloat(key(b))];
        const order = isNaN(x) || isNaN(y) ? key(a).localeCompare(key(b)) : x - y;
        return down ? -order : order;
      });
      body.append(...rows);
    };
    title.addEventListener("click", sort);
    title.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  });
}
// Paper has no clicks: everything folded is opened for it.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => (d.open = true)));
