// Sorting of tables and one sound at a time. The page is whole without it.
document.documentElement.classList.add("js");
document.querySelectorAll("table.sorts").forEach((table) => {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button"); // keys reach a button
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.classList.add("sortable");
    let up = true;
    button.addEventListener("click", () => {
      const key = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent.trim();
      const rows = [...body.rows].sort((a, b) => {
        const x = key(a), y = key(b), m = Number(x), n = Number(y);
        return (x !== "" && y !== "" && !isNaN(m) && !isNaN(n) ? m - n : x.localeCompare(y)) * (up ? 1 : -1);
      });
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      up = !up;
      body.append(...rows);
    });
  });
});
// wide tables and figures scroll in a box of their own
document.querySelectorAll("section table, section > svg[role=img], section details > svg[role=img]").forEach((part) => {
  if (part.id === "map" || part.parentElement.classList.contains("wide")) return;
  const box = document.createElement("div");
  box.className = "wide";
  part.replaceWith(box);
  box.append(part);
});
// which keys reach where there is something to scroll
const reachable = () => document.querySelectorAll(".wide").forEach((box) => {
  box.toggleAttribute("tabindex", false);
  if (box.scrollWidth > box.clientWidth) {
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", box.getAttribute("aria-label") ?? "Scrolls sideways");
  }
});
reachable();
addEventListener("resize", reachable);
document.addEventListener("play", (event) => {
  document.querySelectorAll("audio").forEach((other) => { if (other !== event.target) other.pause(); });
}, true);
