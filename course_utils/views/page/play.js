// The game: who plays, how fast, what is seen and what the agent thinks of it.
"use strict";

const YOU = "you";
const SPEEDS = [["full speed", 1], ["a quarter", 0.25], ["a tenth", 0.1]];
const REST = 1.5; // seconds between two episodes of an agent

class Game {
  constructor(world, agents, place) {
    this.world = world;
    this.agents = agents.map((agent) => ({ ...agent, layers: unpack(agent.layers) }));
    this.player = this.thinker = this.agents[0];
    this.speed = 1;
    this.held = 0;
    this.tapped = 0; // a key that was pressed since the last step, however short
    this.played = new Map();
    this.running = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.build(place);
    this.start(0);
    if (!this.running) say("Paused, because your system asks for less motion. Press Play.");
    this.last = performance.now();
    this.saved = 0;
    requestAnimationFrame((now) => this.frame(now));
  }

  // What is shown

  build(place) {
    const { world } = this;
    const players = [...this.agents.map((agent) => [agent.name, agent]), [YOU, YOU]];
    this.facts = element("span");
    this.count = element("span");
    this.record = element("p", { class: "quiet" });
    this.stage = element("div", { id: "stage", tabindex: "0", role: "group", "aria-label": `${world.name}. ${world.keys} Space pauses.` });
    this.stage.innerHTML = world.picture;
    this.pause = button("", () => this.run(!this.running));
    this.seed = element("input", { type: "number", min: "0", max: "4294967295", step: "1", value: "0" });
    this.seed.addEventListener("change", () => this.start(this.chosenSeed(), true));
    this.pushes = element("div", { class: "row", role: "group", "aria-label": world.turns ? "Move by hand" : "Push by hand" },
      this.push("◀ left", -1), world.turns ? this.push("stay", 0) : null, this.push("right ▶", 1));
    this.title = element("h2");
    this.bars = world.actions.map((words) => {
      const fill = element("span", { class: "fill" });
      const number = element("output", { "aria-live": "off" });
      return { fill, number, row: element("div", { class: "bar" }, element("span", {}, words), element("span", { class: "way", "aria-hidden": "true" }, fill), number) };
    });
    this.doubt = element("p", { class: "quiet" });
    place.append(
      choice("Who plays", players, this.player, (player) => this.choose(player)),
      this.stage,
      element("p", { class: "facts" }, this.count, this.facts),
      this.pushes,
      element("div", { class: "row" }, this.pause, button("One step", () => this.once()),
        button("New episode", () => this.start((this.number + 1) >>> 0, true)), element("label", {}, "seed ", this.seed)),
      choice("Speed", SPEEDS, this.speed, (speed) => { this.speed = speed; }),
      element("section", { "aria-label": "What the agent thinks" }, this.title, ...this.bars.map((bar) => bar.row), this.doubt),
      this.record,
      element("p", { class: "quiet" }, `${world.keys} Space pauses. In ${world.name} ${world.how}.`),
    );
    document.addEventListener("keydown", (event) => this.key(event, true));
    document.addEventListener("keyup", (event) => this.key(event, false));
    addEventListener("blur", () => { this.held = 0; });
    this.run(this.running);
  }

  push(words, side) {
    const release = () => { this.held = 0; };
    const made = button(words, () => { if (this.byTurns()) this.turn(side); }, { class: "push" });
    made.addEventListener("pointerdown", () => this.hold(side));
    for (const end of ["pointerup", "pointercancel", "pointerleave"]) made.addEventListener(end, release);
    // Enter or space on the button is a push, too.
    made.addEventListener("keydown", (event) => { if ([" ", "Enter"].includes(event.key)) this.hold(side); });
    made.addEventListener("keyup", release);
    return made;
  }

  draw() {
    const { world, state, thinker } = this;
    world.draw(this.stage, state, this.done, thinker.looks);
    this.facts.textContent = world.facts(state);
    this.count.textContent = `step ${this.steps} of ${world.limit}, return ${world.score(this.total)}`;
    this.pushes.hidden = this.player !== YOU;
    const { numbers: said, action } = this.opinion(thinker);
    const more = this.player === YOU ? " in your place" : "";
    this.title.textContent = `${thinker.name}${more}: ${{ values: "values", probabilities: "probabilities", torque: "torque" }[thinker.says]}`;
    this.low = Math.min(this.low, ...said);
    this.high = Math.max(this.high, ...said);
    this.bars.forEach((bar, place) => {
      const [from, to] = this.reach(thinker.says, said[place]);
      bar.fill.style.left = `${100 * from}%`;
      bar.fill.style.width = `${100 * Math.max(0.005, to - from)}%`;
      bar.number.textContent = said[place].toFixed(3);
      bar.row.classList.toggle("taken", thinker.says === "torque" || place === action);
    });
    const name = (player) => (player === YOU ? YOU : player.name);
    const scores = [...this.played].map(([player, { best, won, games }]) =>
      `${name(player)} ${world.wins ? `${won} of ${games}` : world.score(best)}`);
    this.record.textContent = scores.length ? `${world.wins ?? "Best return so far"}: ${scores.join(", ")}.` : "No episode is over yet.";
  }

  /** From where to where a bar goes, as shares of its width. */
  reach(says, number) {
    if (says === "probabilities") return [0, number];
    if (says === "torque") return [0.5 + Math.min(0, number) / 4, 0.5 + Math.max(0, number) / 4];
    return [0, (number - this.low) / (this.high - this.low || 1)];
  }

  // What is decided

  /** What an agent says of the state, as it is shown, and what it would do. */
  opinion(agent, state = this.state) {
    const output = think(agent.layers, this.world.observe(state, agent.looks));
    if (agent.says === "torque") {
      const torque = Math.max(-this.world.most, Math.min(this.world.most, output[0]));
      return { numbers: [torque], action: torque };
    }
    return { numbers: agent.says === "probabilities" ? softmax(output) : output, action: best(output) };
  }

  start(seed, asked = false) {
    this.number = seed;
    this.seed.value = seed;
    this.state = this.world.reset(dice(seed));
    Object.assign(this, { steps: 0, total: 0, tapped: 0, done: null, over: false, waited: 0, low: Infinity, high: -Infinity });
    this.asked ||= asked;
    this.draw();
  }

  step() {
    const { world } = this;
    const action = this.player === YOU ? world.byHand(this.held || this.tapped, this.steps) : this.opinion(this.player).action;
    const { state, reward, terminated } = world.step(this.state, action);
    Object.assign(this, { state, done: action, tapped: 0, total: this.total + reward, steps: this.steps + 1 });
    this.over = terminated || this.steps >= world.limit;
    if (this.over) this.end(terminated);
  }

  end(terminated) {
    const { best, won, games } = this.played.get(this.player) ?? { best: -Infinity, won: 0, games: 0 };
    this.played.set(this.player, { best: Math.max(best, this.total), won: won + (this.total > 0), games: games + 1 });
    const why = terminated ? this.world.ended(this.total) : `The clock ends an episode after ${this.world.limit} steps`;
    // An agent plays one episode after the other; only the end of what a person asked for is told aloud.
    if (this.asked || this.player === YOU) say(`${why}: ${this.steps} steps, return ${this.world.score(this.total)}.`);
    this.asked = false;
  }

  // What a person does

  choose(player) {
    this.player = player;
    if (player !== YOU) this.thinker = player;
    this.held = 0;
    this.start(this.number, true);
    say(player === YOU ? `You play. ${this.world.keys}` : `${player.name} plays.`);
    if (player === YOU) this.stage.focus(); // where space pauses, and does not press the button again
  }

  /** A side that is pressed: it holds until it is let go, and for one step at least. */
  hold(side) {
    if (!this.byTurns()) this.held = this.tapped = side;
  }

  byTurns() {
    return Boolean(this.world.turns) && !this.running && this.player === YOU;
  }

  /** One step by hand in a paused game, and what came of it in words. */
  turn(side) {
    if (this.over) {
      this.start((this.number + 1) >>> 0, true);
    } else {
      this.tapped = side;
      this.step();
      this.draw();
    }
    if (!this.over) say(`${this.world.facts(this.state)}.`);
  }

  run(running) {
    this.running = running;
    this.pause.textContent = running ? "Pause" : "Play";
  }

  once() {
    this.run(false);
    if (this.over) this.start((this.number + 1) >>> 0, true);
    else this.step();
    this.draw();
  }

  chosenSeed() {
    const seed = Math.floor(Number(this.seed.value));
    return Number.isFinite(seed) && seed >= 0 ? seed >>> 0 : 0;
  }

  key(event, down) {
    const side = { ArrowLeft: -1, ArrowRight: 1, ...(this.world.turns && { ArrowDown: 0 }) }[event.key];
    if (event.target.tagName === "INPUT" || event.altKey || event.ctrlKey || event.metaKey) return;
    if (side !== undefined) {
      if (this.player === YOU) event.preventDefault();
      if (!down) this.held = this.held === side ? 0 : this.held;
      else if (!this.byTurns()) this.hold(side);
      else if (!event.repeat) this.turn(side);
    } else if (event.key === " " && event.target.tagName !== "BUTTON" && event.target.tagName !== "SUMMARY") {
      event.preventDefault();
      if (down && !event.repeat) this.run(!this.running);
    }
  }

  // Time

  frame(now) {
    const passed = Math.min(0.1, (now - this.last) / 1000);
    this.last = now;
    if (this.running && this.over) {
      this.waited += passed;
      if (this.waited > REST) this.start((this.number + 1) >>> 0);
    } else if (this.running) {
      this.saved += passed * this.speed;
      for (; this.saved >= this.world.seconds && !this.over; this.saved -= this.world.seconds) this.step();
      this.draw();
    }
    requestAnimationFrame((next) => this.frame(next));
  }
}
