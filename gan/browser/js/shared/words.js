// Interface texts; they are in words/*.json, with the same keys in every language.

/**
 * `speaker(table, "ja")` -> `say(key, facts)`: the text of `key` with every `{name}` replaced by `facts.name`; numbers
 * are formatted for the language.
 */
export function speaker(table, language) {
  const words = table[language] ?? table.en;
  const number = new Intl.NumberFormat(language);
  const say = (key, facts = {}) => {
    if (!(key in words)) throw new Error(`no words for ${key}`);
    return words[key].replace(/\{(\w+)\}/g, (whole, name) => {
      const fact = facts[name];
      return fact === undefined ? whole : typeof fact === "number" ? number.format(fact) : fact;
    });
  };
  say.language = language;
  say.percent = (share) =>
    new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 }).format(share);
  return say;
}
