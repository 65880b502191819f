// Lets a reader play with the views of a page, where no kernel runs. Without it, all it uses stays readable.

const range = (label, last) => {
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0, max: last, step: 1, value: 0 });
  slider.setAttribute("aria-label", label);
  slider.className = "course-slider";
  return slider;
};

// An episode: one slider steps through the frames of all its videos, and says what each step was.
for (const scrubber of document.querySelectorAll(".course-scrubber")) {
  const tracks = [...scrubber.querySelectorAll("figure")].map((figure) => {
    const heads = [...figure.querySelectorAll("thead th")].map((head) => head.textContent);
    const rows = [...figure.querySelectorAll("tbody tr")];
    const video = figure.querySelector("video");
    const frames = Number(video?.dataset.frames) || rows.length;
    const caption = figure.querySelector("figcaption");
    return { video, frames, heads, rows, caption, end: caption.textContent };
  });
  const last = Math.max(...tracks.map((track) => track.frames)) - 1;
  const slider = range("step of the episode", last);

  const say = (track, step) => {
    const row = track.rows[step];
    if (!row) return track.end;
    const cells = [...row.cells].map((cell, column) => [track.heads[column], cell.textContent]);
    return cells.filter(([, words]) => words).map((pair) => pair.join(" ")).join(", ");
  };
  const show = (step, playing) => {
    slider.value = step;
    const words = tracks.map((track) => {
      const own = Math.min(step, track.frames - 1);
      if (track.video && track.video !== playing) {
        track.video.pause();
        const seek = () => { track.video.currentTime = ((own + 0.5) * track.video.duration) / track.frames; };
        if (track.video.readyState) seek();
        else track.video.addEventListener("loadedmetadata", seek, { once: true });
      }
      return (track.caption.textContent = say(track, own));
    });
    slider.setAttribute("aria-valuetext", words.join("; "));
  };
  for (const { video, frames } of tracks.filter((track) => track.video)) {
    video.addEventListener("timeupdate", () => {
      if (!video.paused) show(Math.min(frames - 1, Math.floor((video.currentTime * frames) / video.duration)), video);
    });
  }
  slider.addEventListener("input", () => show(Number(slider.value)));
  scrubber.prepend(slider);
  show(0);
}

// Answers of a language model: one slider goes through the checkpoints of its training.
for (const tokens of document.querySelectorAll(".course-tokens")) {
  const checkpoints = [...tokens.children];
  const slider = range("checkpoint of the training", checkpoints.length - 1);
  const show = (number) => {
    checkpoints.forEach((checkpoint, place) => { checkpoint.open = place === number; });
    slider.setAttribute("aria-valuetext", checkpoints[number].querySelector("summary").textContent);
  };
  slider.addEventListener("input", () => show(Number(slider.value)));
  slider.value = checkpoints.length - 1;
  tokens.prepend(slider);
  show(checkpoints.length - 1);
}

// A number that was turned before: its positions, one of them at a time.
for (const turned of document.querySelectorAll(".course-positions")) {
  const positions = [...turned.querySelectorAll("figure")];
  const name = turned.querySelector("summary").textContent;
  const slider = range(name, positions.length - 1);
  const show = (number) => {
    positions.forEach((position, place) => { position.hidden = place !== number; });
    slider.setAttribute("aria-valuetext", positions[number].querySelector("figcaption").textContent);
  };
  slider.addEventListener("input", () => show(Number(slider.value)));
  turned.querySelector("summary").after(slider);
  show(0);
}
