// Asks one rater: consent, then the blocks in the order of the rater's number, practice first. Answers are kept on this
// device after each one, and leave it only as a file that the rater saves.
(() => {
  const kit = JSON.parse(document.getElementById("kit-data").textContent);
  const page = document.getElementById("page");
  const FORMAT = "emoforge-rater-answers 1";
  let state = null; // { rater, consent, answers: [{trial, answer, ms}] }
  let steps = [];
  let kept = true;

  // -- small helpers ------------------------------------------------------------------------------------------------
  function make(tag, facts = {}, ...parts) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(facts)) {
      if (name === "text") element.textContent = value;
      else if (name === "on") Object.entries(value).forEach(([what, how]) => element.addEventListener(what, how));
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null) element.setAttribute(name, value);
    }
    element.append(...parts);
    return element;
  }
  const paragraphs = (texts) => texts.map((text) => make("p", { text }));
  function show(...parts) {
    page.replaceChildren(...parts);
    page.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  const say = (text) => { document.getElementById("said").textContent = text; };

  // -- what is kept on this device ----------------------------------------------------------------------------------
  const place = (rater) => `emoforge-rater ${kit.kit} ${rater}`;
  function keep() {
    try {
      localStorage.setItem(place(state.rater), JSON.stringify(state));
    } catch {
      kept = false; // a browser may refuse; the file at the end holds all of it
    }
  }
  function remembered(rater) {
    try {
      const before = JSON.parse(localStorage.getItem(place(rater)));
      return before && before.rater === rater && Array.isArray(before.answers) ? before : null;
    } catch {
      return null;
    }
  }

  // -- the way of one rater -----------------------------------------------------------------------------------------
  function wayOf(rater) {
    const row = (rater - 1) % kit.raters;
    return kit.orders[row].flatMap((b) => {
      const block = kit.blocks[b];
      const trial = (i, practice) => ({ block, trial: block.trials[i], practice, swap: (row + i) % 2 === 1 });
      return [{ block }, ...block.practice.map((i) => trial(i, true)), ...block.orders[row].map((i) => trial(i, false))];
    });
  }
  function next() {
    const answered = new Set(state.answers.map((answer) => answer.trial));
    const trials = steps.filter((step) => step.trial);
    const at = steps.findIndex((step) => step.trial && !answered.has(step.trial.code));
    const bar = document.getElementById("progress");
    bar.max = trials.length;
    bar.value = trials.filter((step) => answered.has(step.trial.code)).length;
    say(kept ? `${bar.value} of ${bar.max} answered, kept on this device` :
      `${bar.value} of ${bar.max} answered; this browser keeps nothing: do not close the page before you saved`);
    if (at < 0) return finish();
    const before = steps[at - 1];
    return before && !before.trial && !before.seen ? introduce(before) : ask(steps[at]);
  }

  function start() {
    const rater = make("input", { type: "number", id: "rater", min: 1, max: kit.raters, required: true, inputmode: "numeric" });
    const agree = make("input", { type: "checkbox", id: "agree", required: true });
    const problem = make("p", { class: "error", role: "alert" });
    const form = make("form", {
      novalidate: true,
      on: {
        submit: (event) => {
          event.preventDefault();
          const number = Number(rater.value);
          if (!agree.checked) problem.textContent = "Please tick that you agree, or close the page.";
          else if (!Number.isInteger(number) || number < 1 || number > kit.raters) {
            problem.textContent = `Please give your rater's number, 1 to ${kit.raters}.`;
          } else begin(number);
        },
      },
    },
    make("label", { class: "choice" }, agree, "I have read this and agree to take part."),
    make("p", {}, make("label", {}, `Your rater's number (1 to ${kit.raters}) `, rater)),
    problem,
    make("button", { type: "submit", text: "Begin" }));
    show(make("h1", { text: "A study of raters" }), ...paragraphs(kit.consent), form);
  }
  function begin(number) {
    const before = remembered(number);
    state = before ?? { rater: number, consent: true, answers: [] };
    steps = wayOf(number);
    keep();
    show(make("h1", { text: before?.answers.length ? "Welcome back" : "Before you begin" }),
      ...(before?.answers.length ? paragraphs([`${before.answers.length} answers are here already; you go on where you were.`]) : []),
      ...paragraphs(kit.instructions),
      make("button", { type: "button", text: "Go on", on: { click: next } }));
    page.querySelector("button").focus();
  }
  function introduce(step) {
    step.seen = true;
    show(make("h1", { text: step.block.title }), make("p", { text: step.block.question }),
      make("p", { class: "note", text: "The first ones are for practice and do not count." }),
      make("button", { type: "button", text: "Go on", on: { click: next } }));
    page.querySelector("button").focus();
  }

  // -- one trial ----------------------------------------------------------------------------------------------------
  function sample(code, caption, onPlay) {
    const item = kit.items[code];
    const figure = make("figure");
    if (item.text !== undefined) figure.append(make("blockquote", { dir: "auto", text: item.text }));
    else if (item.type.startsWith("image/")) {
      figure.append(make("img", { src: `data:${item.type};base64,${item.data}`, alt: caption || "The sample to judge" }));
    } else {
      figure.append(make("audio", {
        controls: true, preload: "auto", src: `data:${item.type};base64,${item.data}`,
        "aria-label": caption || "The sample to judge", on: { play: onPlay },
      }));
    }
    if (caption) figure.append(make("figcaption", { text: caption }));
    return figure;
  }
  function ask(step) {
    const { block, trial } = step, pairs = block.task === "pairs";
    const items = pairs && step.swap ? [...trial.items].reverse() : trial.items;
    const captions = items.length < 2 ? [""] : pairs ? ["A", "B"] : ["to judge", "reference"];
    const unheard = new Set(items.filter((code) => kit.items[code].type?.startsWith("audio/")));
    const options = pairs ? items.map((code, i) => [code, captions[i]]) : block.options;
    const began = performance.now();
    const go = make("button", { type: "submit", text: "Next", disabled: true });
    const hint = make("p", { class: "note", role: "status" });
    const choices = options.map(([value, label], i) => make("label", { class: "choice" },
      make("input", { type: "radio", name: "answer", value, on: { change: ready } }),
      make("span", { text: label }), make("kbd", { text: String(i + 1) })));
    function ready() {
      const waits = unheard.size > 0;
      choices.forEach((choice) => { choice.firstChild.disabled = waits; });
      go.disabled = waits || !choices.some((choice) => choice.firstChild.checked);
      hint.textContent = waits ? `Play ${items.length > 1 ? "both sounds" : "the sound"} first.` : "";
    }
    const samples = items.map((code, i) => sample(code, captions[i], () => { unheard.delete(code); ready(); }));
    const wanted = trial.check && (pairs ? captions[items.indexOf(trial.check)] : options.find((o) => o[0] === trial.check)[1]);
    const form = make("form", {
      on: {
        submit: (event) => {
          event.preventDefault();
          const chosen = choices.find((choice) => choice.firstChild.checked);
          if (!chosen || unheard.size) return;
          state.answers.push({ trial: trial.code, answer: chosen.firstChild.value, ms: Math.round(performance.now() - began) });
          keep();
          next();
        },
      },
    },
    make("fieldset", {}, make("legend", {
      text: wanted ? `This one checks that you read: please choose "${wanted}".` : block.question,
    }), ...choices), hint, go);
    show(make("h1", { text: block.title }),
      ...(step.practice ? [make("p", { class: "note practice", text: "For practice: this answer does not count." })] : []),
      make("div", { class: "samples" }, ...samples), form);
    ready();
    page.keys = (event) => {
      const sounds = [...page.querySelectorAll("audio")];
      const number = Number(event.key) - 1, letter = "ab".indexOf(event.key.toLowerCase());
      if (event.key >= "1" && event.key <= "9" && choices[number] && !choices[number].firstChild.disabled) {
        choices[number].firstChild.checked = true;
        choices[number].firstChild.focus();
        ready();
      } else if (event.key === " " && sounds.length && event.target.tagName !== "BUTTON") play(sounds[0]);
      else if (sounds.length > 1 && letter >= 0) play(sounds[letter]);
      else if (event.key === "Enter" && !go.disabled && event.target !== go) go.click();
      else return;
      event.preventDefault();
    };
  }
  function play(sound) {
    page.querySelectorAll("audio").forEach((other) => { if (other !== sound) other.pause(); });
    sound.currentTime = 0;
    sound.play().catch(() => say("This browser cannot play the sound."));
  }
  document.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey && page.querySelector("fieldset")) page.keys?.(event);
  });

  // -- the end ------------------------------------------------------------------------------------------------------
  function finish() {
    const whole = { format: FORMAT, kit: kit.kit, rater: state.rater, consent: true, finished: true, answers: state.answers };
    const url = URL.createObjectURL(new Blob([JSON.stringify(whole, null, 1)], { type: "application/json" }));
    const name = `answers-${kit.kit}-${state.rater}.json`;
    show(make("h1", { text: "Thank you" }),
      make("p", { text: "That was all. Save your answers and send the file to the person who asked you." }),
      make("a", { id: "save", href: url, download: name }, make("button", { type: "button", tabindex: "-1", text: `Save ${name}` })));
    page.querySelector("a").focus();
  }
  window.addEventListener("beforeunload", (event) => { if (state && !kept) event.preventDefault(); });
  start();
})();
