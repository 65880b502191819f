// Begins the game that the page is about. `course` is there for whoever looks under the bonnet in the console.
"use strict";

const place = document.querySelector("#game");
globalThis.course = {
  game: PAGE.board ? new BoardGame(PAGE.board, PAGE.agents, place) : new Game(WORLDS[PAGE.world], PAGE.agents, place),
};
