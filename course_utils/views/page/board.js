// A board game against agents whose values for each position stand in a table.
"use strict";

const SIGNS = ["X", "O"];

class BoardGame {
  constructor({ rows, columns, line }, agents, place) {
    Object.assign(this, { rows, columns, line, agents, agent: agents[0], yours: 0, thoughts: false, moves: [] });
    this.build(place);
    this.start();
  }

  build(place) {
    const size = this.rows * this.columns;
    this.cells = Array.from({ length: size }, (_, cell) => button("", () => this.click(cell)));
    this.grid = element("div", { class: "cells", role: "group", "aria-label": "Board" }, ...this.cells);
    this.grid.style.gridTemplateColumns = `repeat(${this.columns}, 1fr)`;
    this.grid.addEventListener("keydown", (event) => this.key(event));
    const shown = button("show what the agent thinks of each move", () => {
      this.thoughts = !this.thoughts;
      shown.setAttribute("aria-pressed", String(this.thoughts));
      this.draw();
    }, { "aria-pressed": "false" });
    place.append(
      this.agents.length > 1 ? choice("Against", this.agents.map((agent) => [agent.name, agent]), this.agent, (agent) => { this.agent = agent; this.start(); }) : null,
      choice("Who begins", [["I begin", 0], ["the agent begins", 1]], 0, (side) => { this.yours = side; this.start(); }),
      this.grid,
      element("div", { class: "row" }, button("New game", () => this.start()), shown),
      element("p", { class: "quiet" }, `${this.line} in a row win. Arrow keys move over the board, Enter plays. Values are those of whoever is to move.`),
    );
  }

  name(cell) {
    return `row ${Math.floor(cell / this.columns) + 1}, column ${(cell % this.columns) + 1}`;
  }

  owner(cell) {
    const number = this.moves.indexOf(cell);
    return number < 0 ? -1 : number % 2;
  }

  /** Values of the free cells, as the player to move; null for those that are taken. */
  values(moves = this.moves) {
    const owners = this.cells.map((_, cell) => moves.indexOf(cell)).map((number) => (number < 0 ? "-" : number % 2));
    return this.agent.table[owners.join("")];
  }

  answer(moves = this.moves) {
    const values = this.values(moves);
    return values.indexOf(Math.max(...values.filter((value) => value !== null)));
  }

  won() {
    const last = this.moves.at(-1);
    if (last === undefined) return false;
    const at = (row, column) => row >= 0 && row < this.rows && column >= 0 && column < this.columns && this.owner(row * this.columns + column) === this.owner(last);
    const [row, column] = [Math.floor(last / this.columns), last % this.columns];
    const reach = (down, right) => {
      let count = 0;
      while (at(row + (count + 1) * down, column + (count + 1) * right)) count += 1;
      return count;
    };
    return [[0, 1], [1, 0], [1, 1], [1, -1]].some(([down, right]) => 1 + reach(down, right) + reach(-down, -right) >= this.line);
  }

  get over() {
    return this.won() || this.moves.length === this.cells.length;
  }

  get turn() {
    return this.moves.length % 2;
  }

  start() {
    this.moves = [];
    this.goOn();
  }

  click(cell) {
    if (this.over) say("The game is over. Begin a new one.");
    else if (this.owner(cell) >= 0) say(`${this.name(cell)} is taken. Choose a free cell.`);
    else {
      this.moves.push(cell);
      this.goOn();
    }
  }

  goOn() {
    let words = "";
    if (!this.over && this.turn !== this.yours) {
      this.moves.push(this.answer());
      words = `${this.agent.name} plays ${this.name(this.moves.at(-1))}. `;
    }
    this.draw();
    say(words + this.outcome());
  }

  outcome() {
    if (this.won()) return this.turn === this.yours ? `${this.agent.name} has won.` : "You have won.";
    return this.over ? "A draw." : `Your turn, with ${SIGNS[this.yours]}.`;
  }

  draw() {
    const values = this.thoughts && !this.over ? this.values() : null;
    this.cells.forEach((cell, place) => {
      const owner = this.owner(place);
      const sign = owner < 0 ? "" : SIGNS[owner];
      const thought = owner < 0 && values ? values[place].toFixed(2) : "";
      cell.textContent = sign || thought;
      cell.className = `${sign && "sign"} ${place === this.moves.at(-1) ? "last" : ""}`;
      cell.setAttribute("aria-label", `${this.name(place)}: ${sign || "free"}${thought && `, ${thought}`}`);
    });
  }

  key(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns }[event.key];
    const from = this.cells.indexOf(event.target);
    if (!by || from < 0) return;
    event.preventDefault();
    this.cells[from + by]?.focus();
  }
}
