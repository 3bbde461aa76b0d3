// The page without a server: shows the models exported by gan/browser/site.py with the same parts as the app.

import { element } from "../shared/dom.js";
import { makeFilm } from "../film/film.js";
import { readLink, writeLink } from "./link.js";
import { scriptAssets } from "../shared/loading.js";
import { makePlayground } from "../playground/playground.js";
import { makeChoice, makeControls } from "./sitecontrols.js";
import { makeAmounts, makeFindings } from "./sitefindings.js";
import { speaker } from "../shared/words.js";

const LANGUAGES = [
  { value: "en", label: "English", lang: "en" },
  { value: "ja", label: "日本語", lang: "ja" },
];
const USUAL_SIZE = 6000; // shown first, as in the app

/** `data`: {words, models, classifier, columns, recipes, budgets, request} as gan/browser/site.py writes it. */
export function startSite(data) {
  const assets = scriptAssets();
  const offered = offeredBy(data);
  const defaults = defaultsOf(data, offered);
  let state = readLink(location.hash, offered, defaults);
  let starts = 0; // counts the requests that came from an address
  let page = null;

  function take(next) {
    const another = next.lang !== state.lang;
    state = next;
    if (another) build();
    else page.show(state, starts);
  }

  function change(changes) {
    take({ ...state, ...changes });
    remember(writeLink(state, defaults));
  }

  /** The page in the language of the state. */
  function build() {
    const focused = page?.node.contains(document.activeElement) && document.activeElement.getAttribute("lang");
    page?.destroy();
    page?.node.remove();
    const say = speaker(data.words, state.lang);
    page = makePage(say, data, { assets, offered, onChange: change, onRequest });
    document.documentElement.lang = state.lang;
    document.title = say("site_title");
    document.body.append(page.node);
    page.show(state, starts);
    if (focused) page.node.querySelector(`button[lang="${state.lang}"]`).focus();
  }

  function onRequest(request) {
    state = { ...state, request };
    remember(writeLink(state, defaults));
  }

  addEventListener("hashchange", () => {
    starts += 1;
    take(readLink(location.hash, offered, defaults));
  });
  build();
}

/** Writes the state into the address. Some browsers refuse this for a page from a disk; nothing else depends on it. */
function remember(link) {
  try {
    history.replaceState(null, "", `#${link}`);
  } catch {
    // only the address is stale then
  }
}

function offeredBy({ models, recipes, budgets }) {
  const compared = models.filter((model) => !model.alone);
  return {
    lang: LANGUAGES.map(({ value }) => value),
    model: ["", ...models.filter((model) => model.alone).map((model) => model.name)],
    size: [...new Set(compared.map((model) => model.size))].sort((one, other) => one - other),
    budget: budgets,
    recipe: recipes,
    moment: ["final", "best"],
  };
}

function defaultsOf({ request }, offered) {
  const spoken = (navigator.languages ?? [navigator.language]).map((name) => name.split("-")[0]);
  return {
    lang: spoken.find((language) => offered.lang.includes(language)) ?? "en",
    model: "",
    size: offered.size.includes(USUAL_SIZE) ? USUAL_SIZE : offered.size[0],
    budget: offered.budget[0],
    recipe: offered.recipe[0],
    moment: "final",
    request,
  };
}

/** The whole page in one language: `{node, show(state, starts), destroy()}`. */
function makePage(say, data, { assets, offered, onChange, onRequest }) {
  const languages = makeChoice(say("site_language"), (lang) => onChange({ lang }));
  const controls = makeControls(say, labelled(say, data, offered), onChange);
  const about = element("div", { class: "site-about quiet" });
  const absent = element("p", { class: "message", role: "status", hidden: true }, say("site_absent"));
  const findings = makeFindings(say);
  const playground = makePlayground(say, { assets, onRelease: onRequest, onFocus: () => {}, onFail: () => {} });
  const film = makeFilm(say, { assets });
  const amounts = makeAmounts(say);
  const note = element("p", {});
  const latents = element("section", {}, element("h2", {}, say("site_latents_title")), note, playground.node);
  const curvesNote = element("p", { class: "quiet" }, say("site_curves_note"));
  const curves = element("section", {}, element("h2", {}, say("site_curves_title")), curvesNote, film.node);
  const trained = element("div", { class: "site-trained" }, findings.node, latents, curves, amounts.node);
  const header = element("header", { class: "row site-head" }, element("h1", {}, say("site_title")), languages.node);
  const lead = element("p", {}, say("site_lead"));
  const footer = element("footer", { class: "quiet" }, element("p", {}, say("site_footer")));
  const node = element("div", { class: "site" }, header, element("main", {}, lead, controls.node, about, absent, trained), footer);

  function show(state, starts) {
    languages.show(LANGUAGES, state.lang);
    const moments = data.models.filter((model) => matches(model, state));
    const chosen = chosenOf(data.models, state, moments);
    controls.show({ ...state, moment: chosen?.snapshot }, moments.map((model) => momentOption(say, model)));
    lead.hidden = Boolean(chosen?.alone); // it describes the comparison
    absent.hidden = Boolean(chosen);
    trained.hidden = !chosen;
    about.replaceChildren(...(chosen ? aboutLines(say, chosen) : []));
    if (!chosen) return;
    const others = chosen.alone ? [] : finalsOf(data.models, chosen).filter((model) => model.size !== chosen.size);
    const beside = [...others, chosen].sort(bySize);
    note.textContent = latentsNote(say, chosen);
    findings.show(chosen);
    playground.show({
      chosen: chosen.name,
      cells: beside.map((model) => model.cell),
      classifier: data.classifier,
      columns: data.columns,
      start: { id: String(starts), request: state.request },
    });
    film.show({ chosen: chosen.name, cells: beside.map((model) => model.film), start: chosen.place });
    amounts.show(chosen.alone ? [] : linesOf(say, data, chosen), chosen);
  }

  const destroy = () => [playground, film, amounts].forEach((part) => part.destroy());
  return { node, show, destroy };
}

/** The choices with their labels. */
function labelled(say, { models }, offered) {
  const alone = models.filter((model) => model.alone).map((model) => ({ value: model.name, label: `${leadOf(say, model)} (${model.name})` }));
  return {
    models: [{ value: "", label: say("site_comparison") }, ...alone],
    sizes: offered.size.map((size) => ({ value: size, label: sizeLabel(say, models.find((model) => !model.alone && model.size === size)) })),
    budgets: offered.budget.map((budget) => ({ value: budget, label: budgetLabel(say, models, budget) })),
    recipes: offered.recipe.map((recipe) => ({ value: recipe, label: say(`site_recipe_${recipe}`) })),
  };
}

function sizeLabel(say, { size, cell }) {
  return say("site_amount", { count: size, share: cell.title.split("\n")[1] });
}

function budgetLabel(say, models, budget) {
  const { step } = models.find((model) => !model.alone && model.snapshot === "final" && model.budget === budget);
  return say(`site_budget_${budget}`, { step });
}

function momentOption(say, { snapshot, step }) {
  return { value: snapshot, label: say(`site_moment_${snapshot}`, { step }) };
}

function leadOf(say, { size, source, recipe, step, seed }) {
  return say("site_own_lead", { count: size, source: say(`site_source_${source}`), recipe: say(`site_recipe_${recipe}`), step, seed: String(seed) });
}

/** The lines about a model above its results. */
function aboutLines(say, model) {
  const words = [model.alone ? leadOf(say, model) : say("site_updates_done", { step: model.step, count: model.size })];
  if (model.alone && model.continued !== null) words.push(say("site_continued", { step: model.continued }));
  if (model.imported) words.push(say("site_imported"));
  return words.map((line) => element("p", {}, line));
}

function latentsNote(say, { alone, verdicts }) {
  const note = say(alone ? "site_own_latents_note" : "site_latents_note");
  return verdicts.some(({ kind }) => kind === "one_picture") ? `${note} ${say("site_collapsed_note")}` : note;
}

function matches(model, { size, budget, recipe }) {
  return !model.alone && model.size === size && model.budget === budget && model.recipe === recipe;
}

function chosenOf(models, state, moments) {
  if (state.model) return models.find((model) => model.alone && model.name === state.model);
  return moments.find((model) => model.snapshot === state.moment) ?? moments.find((model) => model.snapshot === "final");
}

/** The final models of all sizes with a budget and a recipe. */
function finalsOf(models, { budget, recipe }) {
  const same = (model) => !model.alone && model.budget === budget && model.recipe === recipe;
  return models.filter((model) => same(model) && model.snapshot === "final").sort(bySize);
}

function bySize(one, other) {
  return one.size - other.size;
}

/** The final models with the budget of the chosen one, one line per recipe. */
function linesOf(say, { models, recipes }, chosen) {
  const lineOf = (recipe) => ({ label: say(`site_recipe_${recipe}`), models: finalsOf(models, { ...chosen, recipe }) });
  return recipes.map(lineOf).filter((line) => line.models.length);
}
