// A Streamlit component that fetches its script once. Streamlit would send the text of a script with every message.

const modules = new Map();

/** `data.script`: the URL of the component's script; the rest is for that. State: "failed" if it cannot be loaded. */
export default function component(given) {
  const { script } = given.data;
  let cleanup = () => {};
  if (!modules.has(script)) modules.set(script, fetchModule(script));
  modules.get(script).then(
    (module) => {
      if (given.parentElement.isConnected) cleanup = module.default(given);
    },
    (error) => {
      console.error(error);
      modules.delete(script); // the next message tries again
      given.setStateValue("failed", "unknown");
    },
  );
  return () => cleanup();
}

/** Not `import(url)`: Streamlit serves scripts as plain text, which browsers refuse to import. */
async function fetchModule(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  const blob = new Blob([await answer.text()], { type: "text/javascript" });
  return import(URL.createObjectURL(blob));
}
