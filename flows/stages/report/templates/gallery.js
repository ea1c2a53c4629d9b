// Filters of the gallery, the map's selection and certificates in a dialog. Without it all samples are shown, and each
// certificate is reached by its link.
(() => {
  const island = document.getElementById("gallery-data");
  if (!island) return;
  const facts = JSON.parse(island.textContent);
  const cards = facts.map((_, n) => document.getElementById(`card-${n}`));
  const form = document.getElementById("filters");
  const map = document.getElementById("map");
  const dots = map ? [...map.querySelectorAll(".dot")] : [];
  const dotOf = new Map(dots.map((dot) => [Number(dot.dataset.card), dot]));
  const selected = new Set();
  document.querySelectorAll(".scripted").forEach((part) => { part.hidden = false; });
  form.hidden = false;

  // -- filters ------------------------------------------------------------------------------------------------------
  const field = (name) => form.elements.namedItem(name);
  const chosen = (name) => field(name)?.value ?? "";
  const fits = (fact, n) => {
    if (selected.size && !selected.has(n)) return false;
    if (chosen("class") && fact.class !== chosen("class")) return false;
    if (chosen("kind") && fact.kind !== chosen("kind")) return false;
    if (chosen("refusal") && !fact.refusals.includes(chosen("refusal"))) return false;
    if (!chosen("gate")) return true;
    const score = fact.scores[chosen("gate")];
    if (score === undefined || score === null) return false;
    return (chosen("low") === "" || score >= Number(chosen("low"))) &&
      (chosen("high") === "" || score <= Number(chosen("high")));
  };

  function apply() {
    let shown = 0;
    facts.forEach((fact, n) => {
      const fit = fits(fact, n);
      shown += fit;
      cards[n].hidden = !fit;
      dotOf.get(n)?.classList.toggle("dim", !fit && !selected.has(n));
    });
    document.querySelectorAll("#samples .sheet").forEach((sheet) => {
      sheet.hidden = !sheet.querySelector(".card:not([hidden])");
    });
    const gate = chosen("gate");
    form.querySelector("#shown").textContent = `${shown} of ${facts.length} samples` +
      (gate ? `; those without a score of ${gate} are left out` : "") +
      (selected.size ? "; only those selected on the map" : "");
  }

  function rangeOfGate() {
    const scores = facts.map((fact) => fact.scores[chosen("gate")]).filter((s) => typeof s === "number");
    for (const [name, end] of [["low", Math.min(...scores)], ["high", Math.max(...scores)]]) {
      const input = field(name);
      if (!input) continue;
      input.value = "";
      input.disabled = !chosen("gate");
      input.placeholder = chosen("gate") && scores.length ? String(Number(end.toPrecision(4))) : "";
    }
  }

  form.addEventListener("input", (event) => {
    if (event.target.name === "gate") rangeOfGate();
    apply();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { select([]); rangeOfGate(); apply(); }));

  // -- certificates -------------------------------------------------------------------------------------------------
  const dialog = document.getElementById("certificate");
  function open(n) {
    const birth = document.getElementById(`birth-${n}`).cloneNode(true);
    birth.removeAttribute("id");
    birth.removeAttribute("aria-labelledby");
    birth.querySelectorAll("[id]").forEach((part) => part.removeAttribute("id"));
    const close = document.createElement("button");
    close.type = "button";
    close.className = "close";
    close.textContent = "Close";
    close.addEventListener("click", () => dialog.close());
    dialog.replaceChildren(close, birth);
    dialog.showModal();
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a.born");
    if (link) {
      event.preventDefault();
      open(link.closest(".card").dataset.card);
    } else if (event.target === dialog) {
      dialog.close(); // beside it
    } else if (dialog.open && event.target.closest("#certificate a[href^='#card-']")) {
      event.preventDefault();
      dialog.close();
      show(Number(event.target.getAttribute("href").slice("#card-".length)));
    }
  });

  function show(n) { // a card that a filter may hide
    if (cards[n].hidden) form.reset();
    setTimeout(() => {
      cards[n].scrollIntoView({ block: "center" });
      cards[n].querySelector("a.born").focus({ preventScroll: true });
    });
  }

  // -- the map ------------------------------------------------------------------------------------------------------
  function select(numbers, more = false) {
    if (!more) selected.clear();
    numbers.forEach((n) => selected.add(n));
    said();
  }
  function toggle(n) {
    if (!selected.delete(n)) selected.add(n);
    said();
  }
  function said() {
    dots.forEach((dot) => {
      const on = selected.has(Number(dot.dataset.card));
      dot.classList.toggle("chosen", on);
      dot.setAttribute("aria-selected", String(on));
    });
    if (!map) return;
    document.getElementById("clear").disabled = !selected.size && !map.querySelector(".marked");
    document.getElementById("selected").textContent = selected.size ?
      `${selected.size} ${selected.size === 1 ? "point is" : "points are"} selected; the gallery shows them.` :
      "No point is selected.";
  }
  if (!map) { apply(); return; }

  document.getElementById("clear").addEventListener("click", () => {
    cards.forEach((card, n) => mark(n, false));
    select([]);
    apply();
  });
  map.setAttribute("role", "listbox");
  map.setAttribute("aria-multiselectable", "true");
  map.setAttribute("tabindex", "0");
  dots.forEach((dot) => {
    dot.setAttribute("role", "option");
    dot.setAttribute("aria-selected", "false");
    dot.setAttribute("aria-label", dot.querySelector("title").textContent);
  });

  // the other way: a card's button marks its point, whatever is selected; so does the card that one hovers or focuses
  cards.forEach((card, n) => {
    if (!dotOf.has(n)) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "mark";
    button.textContent = "mark";
    button.setAttribute("aria-label", `Mark ${facts[n].id} on the map`);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => { mark(n, !card.classList.contains("chosen")); said(); });
    card.querySelector("figcaption").append(" ", button);
    for (const [name, on] of [["mouseenter", true], ["mouseleave", false], ["focusin", true], ["focusout", false]]) {
      card.addEventListener(name, () => dotOf.get(n).classList.toggle("near", on));
    }
  });
  function mark(n, on) {
    cards[n].classList.toggle("chosen", on);
    cards[n].querySelector(".mark")?.setAttribute("aria-pressed", String(on));
    dotOf.get(n)?.classList.toggle("marked", on);
  }

  const place = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
    return [point.x, point.y];
  };
  let from = null, band = null;
  map.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    from = place(event);
    if (event.pointerType === "touch") return; // a finger scrolls
    map.setPointerCapture(event.pointerId);
  });
  map.addEventListener("pointermove", (event) => {
    if (!from || event.pointerType === "touch") return;
    const to = place(event);
    if (!band && Math.hypot(to[0] - from[0], to[1] - from[1]) < 4) return;
    if (!band) {
      band = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      band.setAttribute("class", "band");
      map.append(band);
    }
    band.setAttribute("x", Math.min(from[0], to[0]));
    band.setAttribute("y", Math.min(from[1], to[1]));
    band.setAttribute("width", Math.abs(to[0] - from[0]));
    band.setAttribute("height", Math.abs(to[1] - from[1]));
  });
  map.addEventListener("pointercancel", () => { from = null; band?.remove(); band = null; });
  map.addEventListener("pointerup", (event) => {
    if (!from) return;
    const to = place(event), more = event.shiftKey || event.ctrlKey || event.metaKey;
    if (band) {
      const inside = dots.filter((dot) => between(dot.dataset.x, from[0], to[0]) &&
        between(dot.dataset.y, from[1], to[1]));
      select(inside.map((dot) => Number(dot.dataset.card)), more);
      band.remove();
    } else {
      const [dot, distance] = nearest(to);
      const reach = event.pointerType === "touch" ? 22 : 9; // a finger is wide
      if (dot && distance <= reach) { activate(dot); toggle(Number(dot.dataset.card)); }
    }
    from = band = null;
    apply();
  });
  map.addEventListener("dblclick", (event) => {
    const [dot, distance] = nearest(place(event));
    if (dot && distance <= 9) open(dot.dataset.card);
  });
  const between = (value, a, b) => Number(value) >= Math.min(a, b) && Number(value) <= Math.max(a, b);
  const apart = (dot, [x, y]) => Math.hypot(dot.dataset.x - x, dot.dataset.y - y);
  const nearest = (to) => dots.map((dot) => [dot, apart(dot, to)])
    .reduce((best, one) => (one[1] < best[1] ? one : best), [null, Infinity]);

  let active = null;
  function activate(dot) {
    active?.classList.remove("active");
    active = dot;
    active.classList.add("active");
    map.setAttribute("aria-activedescendant", active.id);
  }
  const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  map.addEventListener("focus", () => { if (!active && dots.length) activate(dots[0]); });
  map.addEventListener("keydown", (event) => {
    if (event.key in WAYS && active) {
      const [dx, dy] = WAYS[event.key];
      const [next] = dots.map((dot) => {
        const x = dot.dataset.x - active.dataset.x, y = dot.dataset.y - active.dataset.y;
        const along = x * dx + y * dy, aside = Math.abs(x * dy) + Math.abs(y * dx);
        return [dot, dot === active || along <= 0 ? Infinity : along + 2 * aside];
      }).reduce((best, one) => (one[1] < best[1] ? one : best), [null, Infinity]);
      if (next) activate(next);
    } else if (event.key === " " && active) {
      toggle(Number(active.dataset.card));
      apply();
    } else if (event.key === "Enter" && active) {
      open(active.dataset.card);
    } else if (event.key === "Escape") {
      select([]);
      apply();
    } else return;
    event.preventDefault();
  });
  apply();
})();
