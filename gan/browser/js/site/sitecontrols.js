// The controls of the page without a server: language, models, data size, training time, recipe, moment.

import { shortNumber } from "../film/charts.js";
import { element } from "../shared/dom.js";

/**
 * A row of buttons, one of them pressed: `makeChoice(label, onChoose)` -> `{node, show(options, chosen)}` with options
 * [{value, label, lang}]. It is hidden if there are fewer than two options.
 */
export function makeChoice(label, onChoose) {
  const buttons = element("div", { class: "row" });
  const node = element("div", { class: "site-choice", role: "group", "aria-label": label }, element("span", { class: "quiet" }, label), buttons);
  let shown = "";

  function show(options, chosen) {
    node.hidden = options.length < 2;
    const wanted = JSON.stringify(options);
    if (wanted !== shown) {
      buttons.replaceChildren(...options.map((option) => choiceButton(option, onChoose)));
      shown = wanted;
    }
    options.forEach(({ value }, i) => buttons.children[i].setAttribute("aria-pressed", String(value === chosen)));
  }

  return { node, show };
}

function choiceButton({ value, label, lang }, onChoose) {
  return element("button", { type: "button", lang: lang ?? null, onclick: () => onChoose(value) }, label);
}

/**
 * `makeControls(say, offered, onChange)` -> `{node, show(state, moments)}`.
 *
 * offered: {models, sizes (ascending), budgets, recipes}, each [{value, label}]; the model "" is the comparison. moments:
 * [{value, label}] of the run that is shown. `onChange(changes)`: the parts of the state that the visitor changed.
 */
export function makeControls(say, offered, onChange) {
  const models = element("select", { onchange: () => onChange({ model: models.value }) });
  models.append(...offered.models.map(({ value, label }) => element("option", { value }, label)));
  const modelChoice = element("label", { class: "site-choice" }, element("span", { class: "quiet" }, say("site_models")), models);
  const size = makeSizeSlider(say, offered.sizes, onChange);
  const budget = makeChoice(say("site_budget"), (value) => onChange({ budget: value }));
  const recipe = makeChoice(say("site_recipe"), (value) => onChange({ recipe: value }));
  const moment = makeChoice(say("site_moment"), (value) => onChange({ moment: value }));
  const comparison = element("div", { class: "site-comparison" }, size.node, element("div", { class: "site-switches" }, budget.node, recipe.node, moment.node));
  const node = element("section", { class: "site-controls", "aria-label": say("site_controls") }, modelChoice, comparison);

  function show(state, moments) {
    modelChoice.hidden = offered.models.length < 2;
    models.value = state.model;
    comparison.hidden = state.model !== "";
    size.show(state.size);
    budget.show(offered.budgets, state.budget);
    recipe.show(offered.recipes, state.recipe);
    moment.show(moments, state.moment);
  }

  return { node, show };
}

function makeSizeSlider(say, sizes, onChange) {
  const input = element("input", { type: "range", min: 0, max: sizes.length - 1, step: 1, class: "site-size", "aria-label": say("site_size") });
  const value = element("output", { class: "site-amount" });
  const marks = sizes.map(({ value: count }) => element("span", {}, shortNumber(count)));
  const scale = element("div", { class: "site-scale quiet", "aria-hidden": "true" }, ...marks);
  const head = element("div", { class: "row site-size-head" }, element("span", { class: "quiet" }, say("site_size")), value);
  const node = element("div", { class: "site-slider", hidden: sizes.length < 2 }, head, input, scale);
  input.addEventListener("input", () => onChange({ size: sizes[Number(input.value)].value }));

  return {
    node,
    show(chosen) {
      const index = sizes.findIndex((size) => size.value === chosen);
      input.value = index;
      value.textContent = sizes[index].label;
      input.setAttribute("aria-valuetext", sizes[index].label);
      marks.forEach((mark, i) => mark.classList.toggle("site-here", i === index));
    },
  };
}
