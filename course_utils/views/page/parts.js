// What both games are put together from.
"use strict";

/** An element with attributes and content: strings, elements, nothing. */
function element(tag, attributes = {}, ...content) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean") made.toggleAttribute(name, value);
    else made.setAttribute(name, value);
  }
  made.append(...content.filter((part) => part !== null));
  return made;
}

const button = (words, press, attributes = {}) => element("button", { type: "button", onclick: press, ...attributes }, words);

/** Buttons of which one is pressed. `choose` is called with its value. */
function choice(name, options, chosen, choose) {
  const buttons = options.map(([words, value]) => button(words, () => choose(press(value))));
  function press(value) {
    options.forEach(([, other], place) => buttons[place].setAttribute("aria-pressed", String(other === value)));
    return value;
  }
  press(chosen);
  const title = element("span", { class: "name", "aria-hidden": "true" }, name);
  return element("div", { class: "row", role: "group", "aria-label": name }, title, ...buttons);
}

/** The one place that a screen reader is told of by itself. It is used for the answer to what a person did. */
const say = (words) => {
  document.querySelector("#said").textContent = words;
};
