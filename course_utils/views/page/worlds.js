// The worlds: what a step does, what is seen of a state, and how it is drawn.
"use strict";

/** Random numbers from 0 to 1 that a seed repeats (mulberry32). */
function dice(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 1831565813) >>> 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
}

const between = (random, low, high) => low + (high - low) * random();

// Gymnasium's CartPole-v1, its constants and its order of operations:
// https://gymnasium.farama.org/environments/classic_control/cart_pole
const CARTPOLE = {
  name: "CartPole-v1",
  seconds: 0.02,
  limit: 500,
  actions: ["push left", "push right"],
  keys: "Arrow keys push the cart. While you hold none, pushes to both sides take turns.",
  how: "each step that the pole stays up earns 1; 500 is all there is",
  ended: () => "The pole fell, or the cart left the track",
  score: (total) => `${total}`,
  reset: (random) => [0, 0, 0, 0].map(() => between(random, -0.05, 0.05)),
  observe: (state) => state.map(Math.fround),
  step([x, speed, angle, spin], action) {
    const force = action === 1 ? 10 : -10;
    const cos = Math.cos(angle);
    const sin = Math.sin(angle);
    const temp = (force + 0.05 * (spin * spin) * sin) / 1.1;
    const twist = (9.8 * sin - cos * temp) / (0.5 * (4 / 3 - (0.1 * (cos * cos)) / 1.1));
    const push = temp - (0.05 * twist * cos) / 1.1;
    const state = [x + 0.02 * speed, speed + 0.02 * push, angle + 0.02 * spin, spin + 0.02 * twist];
    const fallen = Math.abs(state[0]) > 2.4 || Math.abs(state[2]) > (12 * 2 * Math.PI) / 360;
    return { state, reward: 1, terminated: fallen };
  },
  // Who plays by hand pushes by turns while no key is held.
  byHand: (held, steps) => (held === 0 ? steps % 2 : held > 0 ? 1 : 0),
  picture: `<svg viewBox="0 0 600 240" role="img" aria-label="A cart on a track, with a pole on it">
    <line class="track" x1="0" y1="200" x2="600" y2="200"></line>
    <line class="track" x1="30" y1="185" x2="30" y2="215"></line>
    <line class="track" x1="570" y1="185" x2="570" y2="215"></line>
    <g id="moves"><path class="force" id="force"></path><rect class="cart" x="-35" y="-18" width="70" height="36" rx="4"></rect>
    <g id="turns"><line class="pole" x1="0" y1="-14" x2="0" y2="-130"></line></g>
    <circle class="axle" cx="0" cy="-14" r="4"></circle></g></svg>`,
  draw(picture, [x, , angle], action) {
    picture.querySelector("#moves").setAttribute("transform", `translate(${300 + 112.5 * x} 182)`);
    picture.querySelector("#turns").setAttribute("transform", `rotate(${(angle * 180) / Math.PI} 0 -14)`);
    const side = action === null ? 0 : action === 1 ? 1 : -1;
    const arrow = side ? `M ${42 * side} 0 h ${26 * side} m ${-9 * side} -8 l ${9 * side} 8 l ${-9 * side} 8` : "";
    picture.querySelector("#force").setAttribute("d", arrow);
  },
  facts: ([x, , angle]) => `cart at ${x.toFixed(2)}, pole at ${((angle * 180) / Math.PI).toFixed(1)}°`,
};

// Gymnasium's Pendulum-v1: https://gymnasium.farama.org/environments/classic_control/pendulum
const PENDULUM = {
  name: "Pendulum-v1",
  seconds: 0.05,
  limit: 200,
  actions: ["torque"],
  most: 2,
  keys: "Arrow keys turn the pendulum with a torque of 2. While you hold none, there is no torque.",
  how: "each step costs: the farther from upright, the more; 0 is the best there is",
  ended: () => "The clock ran out",
  score: (total) => total.toFixed(0),
  reset: (random) => [between(random, -Math.PI, Math.PI), between(random, -1, 1)],
  observe: ([angle, spin]) => [Math.cos(angle), Math.sin(angle), spin].map(Math.fround),
  step([angle, spin], action) {
    const torque = Math.fround(Math.max(-2, Math.min(2, action))); // an action is a number of 32 bits there
    const turn = 2 * Math.PI;
    const off = ((((angle + Math.PI) % turn) + turn) % turn) - Math.PI;
    const cost = off * off + 0.1 * (spin * spin) + 0.001 * (torque * torque);
    const faster = spin + (15 * Math.sin(angle) + Math.fround(3 * torque)) * 0.05;
    const held = Math.max(-8, Math.min(8, faster));
    return { state: [angle + held * 0.05, held], reward: -cost, terminated: false };
  },
  // Angles grow against the clock, so the right arrow turns with it.
  byHand: (held) => -2 * held,
  picture: `<svg viewBox="0 0 600 260" role="img" aria-label="A pendulum that hangs on an axle">
    <path class="force" id="force"></path>
    <g id="turns"><line class="pole" x1="300" y1="130" x2="300" y2="30"></line></g>
    <circle class="axle" cx="300" cy="130" r="6"></circle></svg>`,
  draw(picture, [angle], action) {
    picture.querySelector("#turns").setAttribute("transform", `rotate(${(-angle * 180) / Math.PI} 300 130)`);
    const torque = Math.max(-2, Math.min(2, action ?? 0));
    const end = torque * 0.7;
    const [x, y] = [300 - 40 * Math.sin(end), 130 - 40 * Math.cos(end)];
    const bow = Math.abs(torque) < 0.05 ? "" : `M 300 90 A 40 40 0 0 ${torque > 0 ? 0 : 1} ${x} ${y}`;
    picture.querySelector("#force").setAttribute("d", bow);
  },
  facts([angle, spin]) {
    const off = Math.atan2(Math.sin(angle), Math.cos(angle));
    return `${((off * 180) / Math.PI).toFixed(0)}° from upright, ${spin.toFixed(1)} radians a second`;
  },
};

// Lesson 11's Catch behind CatFrames: a ball falls through 9 by 9 pixels. `seen` holds what each frame so far has shown.
const SIZE = 9;
const CELL = 30; // of the drawing, a pixel of the game

const CATCH = {
  name: "Catch",
  seconds: 0.4,
  limit: SIZE - 1,
  actions: ["left", "stay", "right"],
  turns: true, // who plays by hand may take it step by step
  keys: "Arrow keys left and right move the paddle one column a step. While you hold none, it stays. "
    + "While paused, each press is one step: left, right, or down to stay.",
  how: "a ball that is caught earns 1, one that is missed costs 1. Outlined: the ball in earlier frames, as far as the agent sees them",
  wins: "Caught so far",
  ended: (total) => (total > 0 ? "Caught" : "Missed"),
  score: (total) => `${total}`,
  reset(random) {
    const [column, paddle, drift] = [[0, SIZE], [1, SIZE - 1], [-2, 3]].map(([low, high]) => Math.floor(between(random, low, high)));
    return { column, drift, seen: [{ row: 0, column, paddle }] };
  },
  /** As many frames as the agent looks at, the newest last; before the first one there was the first one. */
  frames: ({ seen }, looks) =>
    Array.from({ length: looks }, (_, place) => seen[Math.max(0, seen.length - looks + place)]),
  observe(state, looks) {
    return CATCH.frames(state, looks).flatMap(({ row, column, paddle }) => {
      const picture = Array(SIZE * SIZE).fill(0);
      for (const side of [-1, 0, 1]) picture[(SIZE - 1) * SIZE + paddle + side] = 1;
      picture[row * SIZE + column] = 1;
      return picture;
    });
  },
  step({ column: from, drift, seen }, action) {
    const now = seen.at(-1);
    const paddle = Math.max(1, Math.min(SIZE - 2, now.paddle + action - 1));
    const last = SIZE - 1;
    const row = now.row + 1;
    const to = from + drift;
    const column = last - Math.abs(last - Math.abs(to)); // the walls
    const state = { column, drift: to < 0 || to > last ? -drift : drift, seen: [...seen, { row, column, paddle }] };
    const landed = row === last;
    const caught = Math.abs(column - paddle) <= 1;
    return { state, reward: landed ? (caught ? 1 : -1) : 0, terminated: landed };
  },
  byHand: (held) => held + 1,
  picture: `<svg class="field" viewBox="-4 -4 ${SIZE * CELL + 8} ${SIZE * CELL + 8}" role="img" aria-label="A ball that falls towards a paddle">
    <path class="grid" d="${Array.from({ length: SIZE + 1 }, (_, at) => `M ${at * CELL} 0 v ${SIZE * CELL} M 0 ${at * CELL} h ${SIZE * CELL}`).join(" ")}"></path>
    <g id="before"></g>
    <rect class="cart" id="paddle" y="${(SIZE - 1) * CELL}" width="${3 * CELL}" height="${CELL}"></rect>
    <rect class="ball" id="ball" width="${CELL - 6}" height="${CELL - 6}"></rect></svg>`,
  draw(picture, state, action, looks) {
    const place = (box, { row, column }) => {
      box.setAttribute("x", column * CELL + 3);
      box.setAttribute("y", row * CELL + 3);
    };
    const frames = CATCH.frames(state, looks);
    const { row, column, paddle } = frames.at(-1);
    picture.querySelector("#paddle").setAttribute("x", (paddle - 1) * CELL);
    place(picture.querySelector("#ball"), { row, column });
    const before = picture.querySelector("#before");
    before.replaceChildren(...frames.slice(0, -1).filter((frame) => frame.row < row).map((frame) => {
      const box = picture.querySelector("#ball").cloneNode();
      box.removeAttribute("id");
      box.setAttribute("class", "was");
      place(box, frame);
      return box;
    }));
  },
  facts({ seen }) {
    const { row, column, paddle } = seen.at(-1);
    return `ball in row ${row + 1} of ${SIZE}, column ${column + 1}; paddle at column ${paddle + 1}`;
  },
};

const WORLDS = Object.fromEntries([CARTPOLE, PENDULUM, CATCH].map((world) => [world.name, world]));
