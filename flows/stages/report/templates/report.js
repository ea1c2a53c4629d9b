// Sorting of tables and one sound at a time. The page is whole without it.
document.documentElement.classList.add("js");
document.querySelectorAll("table.sorts").forEach((table) => {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((head, column) => {
    head.classList.add("sortable");
    let up = true;
    head.addEventListener("click", () => {
      const key = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent.trim();
      const rows = [...body.rows].sort((a, b) => {
        const x = key(a), y = key(b), m = Number(x), n = Number(y);
        return (x !== "" && y !== "" && !isNaN(m) && !isNaN(n) ? m - n : x.localeCompare(y)) * (up ? 1 : -1);
      });
      up = !up;
      body.append(...rows);
    });
  });
});
document.addEventListener("play", (event) => {
  document.querySelectorAll("audio").forEach((other) => { if (other !== event.target) other.pause(); });
}, true);
