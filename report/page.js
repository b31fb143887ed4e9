"use strict";
// Unfolds everything, or folds it again: what is open is what is printed.
(() => {
  const button = document.getElementById("unfold");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    const open = button.textContent === "Unfold all";
    for (const folded of document.querySelectorAll("details")) folded.open = open;
    button.textContent = open ? "Fold all" : "Unfold all";
  });
})();
// The sample browser: fills the filters, lists the questions they leave, a page at a time. Texts
// are only ever set as text, never as markup, and each in a direction of its own.
(() => {
  const embedded = document.getElementById("sample-data");
  if (!embedded) return;
  const data = JSON.parse(embedded.textContent);
  const PAGE = 10;
  const field = (name) => document.getElementById(name);
  const inputs = ["task", "variant", "outcome", "group", "text"].map((name) => field(`by-${name}`));
  const [byTask, byVariant, byOutcome, byGroup, byText] = inputs;
  const OUTCOMES = {
    "": "any outcome",
    differ: "variants differ",
    lost: "lost against merged",
    gained: "gained against merged",
    right: "right",
    wrong: "wrong",
    undecided: "undecided",
    tied: "tied",
  };
  const baseline = data.variants.indexOf(data.baseline);
  let page = 0;

  const make = (tag, css, text) => {
    const element = document.createElement(tag);
    if (css) element.className = css;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const prose = (css, text) => {
    const element = make("div", `text ${css}`, text);
    element.dir = "auto";
    return element;
  };
  const fill = (select, options) => {
    const chosen = select.value;
    select.replaceChildren(...options.map(([value, words]) => new Option(words, value)));
    if (options.some(([value]) => value === chosen)) select.value = chosen;
  };

  // The outcome of each variant, by its number; undefined where it was not measured.
  const outcomes = data.entries.map((entry) => {
    const found = [];
    for (const answer of entry.answers) {
      for (const [variant] of answer.by) found[variant] = answer.outcome;
    }
    return found;
  });
  const texts = data.entries.map((entry) =>
    [entry.id, entry.gold, ...entry.parts.map((part) => part[1]), ...entry.answers.map((one) => one.text), ...entry.after.map((part) => part[1])]
      .join("\n").toLowerCase());

  const isOf = (found, outcome, variant) => {
    const own = found[variant];
    if (own === undefined) return false;
    if (outcome !== "lost" && outcome !== "gained") return own === outcome;
    const before = found[baseline];
    if (before === undefined || before === "" || own === "") return false;
    return outcome === "lost"
      ? before === "right" && own !== "right"
      : before !== "right" && own === "right";
  };
  const matches = (index) => {
    const entry = data.entries[index];
    const found = outcomes[index];
    if (byTask.value && entry.task !== byTask.value) return false;
    if (byGroup.value && entry.group !== byGroup.value) return false;
    if (byText.value && !texts[index].includes(byText.value.toLowerCase())) return false;
    const variant = byVariant.value === "" ? null : Number(byVariant.value);
    if (byOutcome.value === "differ") {
      const known = found.filter((one) => one);
      return known.some((one) => (one === "right") !== (known[0] === "right"));
    }
    if (byOutcome.value === "") return variant === null || found[variant] !== undefined;
    const asked = variant === null ? data.variants.map((_, number) => number) : [variant];
    return asked.some((number) => isOf(found, byOutcome.value, number));
  };

  const answerOf = (answer) => {
    const row = make("li", `answer ${answer.outcome}`);
    const by = answer.by.map(([variant, note]) =>
      data.variants[variant] + (note ? ` (${note})` : "")).join(", ");
    const head = make("div", "by");
    if (answer.outcome) head.append(make("span", "mark", answer.outcome));
    head.append(by);
    row.append(head, prose("", answer.text));
    return row;
  };
  const shown = (entry) => {
    const item = make("li", "entry");
    const head = make("h3", "", entry.task);
    head.append(make("span", "note", ` ${entry.group} · ${entry.id}`));
    item.append(head);
    for (const [title, text] of entry.parts) {
      item.append(make("div", "part", title), prose("", text));
    }
    if (entry.gold) item.append(make("div", "part", "Right answer"), prose("gold", entry.gold));
    const list = make("ul", "answers");
    list.append(...entry.answers.map(answerOf));
    item.append(make("div", "part", "Answers"), list);
    for (const [title, text] of entry.after) {
      item.append(make("div", "part", title), prose("", text));
    }
    return item;
  };

  const draw = () => {
    const found = data.entries.map((_, index) => index).filter(matches);
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(page, pages - 1);
    const slice = found.slice(page * PAGE, (page + 1) * PAGE);
    field("entries").replaceChildren(...slice.map((index) => shown(data.entries[index])));
    field("entries").start = page * PAGE + 1;
    field("found").textContent =
      `${found.length} of the ${data.entries.length} questions on this page match.`;
    field("place").textContent = `Page ${page + 1} of ${pages}`;
    field("pages").hidden = pages === 1;
    field("previous").disabled = page === 0;
    field("next").disabled = page === pages - 1;
  };
  const groups = () => {
    const inTask = data.entries.filter((entry) => !byTask.value || entry.task === byTask.value);
    const names = [...new Set(inTask.map((entry) => entry.group))].filter(Boolean).sort();
    fill(byGroup, [["", "all"], ...names.map((name) => [name, name])]);
  };
  const change = () => { page = 0; groups(); draw(); };
  const turn = (step) => {
    page += step;
    draw();
    field("samples").scrollIntoView();
    field("found").focus({ preventScroll: true });
  };

  const tasks = [...new Set(data.entries.map((entry) => entry.task))];
  fill(byTask, [["", "all"], ...tasks.map((name) => [name, name])]);
  fill(byVariant, [["", "any"], ...data.variants.map((name, number) => [String(number), name])]);
  fill(byOutcome, Object.entries(OUTCOMES));
  for (const input of inputs) input.addEventListener("input", change);
  field("filters").addEventListener("submit", (event) => event.preventDefault());
  field("filters").addEventListener("reset", () => setTimeout(change));
  field("previous").addEventListener("click", () => turn(-1));
  field("next").addEventListener("click", () => turn(1));
  for (const button of document.querySelectorAll("button.flip")) {
    button.addEventListener("click", () => {
      byTask.value = button.dataset.task;
      byVariant.value = String(data.variants.indexOf(button.dataset.variant));
      byOutcome.value = button.dataset.outcome;
      byGroup.value = "";
      byText.value = "";
      change();
      field("samples").scrollIntoView();
      byOutcome.focus({ preventScroll: true });
    });
  }
  field("filters").hidden = false;
  change();
})();
