"use strict";
/* The player: a cursor over the piano roll moves with the sound, a click on the roll moves the sound there. */

/** Seconds <-> pixels of a piano roll, as its SVG says (see roll_svg.py). */
function clockOf(svg) {
  const rate = Number(svg.dataset.rate), left = Number(svg.dataset.left), seconds = Number(svg.dataset.seconds);
  return {
    seconds,
    pixel: (second) => left + second * rate,
    second: (pixel) => Math.min(Math.max((pixel - left) / rate, 0), seconds),
  };
}

/** Couples the sound of a card with its roll; to be called again when either is replaced. */
function couple(card) {
  const audio = card.querySelector("audio"), stage = card.querySelector(".stage");
  const cursor = stage && stage.querySelector(".cursor"), svg = stage && stage.querySelector("svg");
  if (!audio || !svg || !cursor) return;
  const clock = clockOf(svg), scroll = stage.parentElement;

  function draw() {
    const x = clock.pixel(audio.currentTime);
    cursor.hidden = false;
    cursor.style.transform = `translateX(${x}px)`;
    if (!audio.paused && (x < scroll.scrollLeft || x > scroll.scrollLeft + 0.9 * scroll.clientWidth)) {
      scroll.scrollLeft = x - 0.1 * scroll.clientWidth;
    }
    if (!audio.paused && !audio.ended) requestAnimationFrame(draw);
  }

  audio.onplay = () => {
    for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
    draw();
  };
  audio.onseeked = draw;
  svg.onclick = (event) => {
    audio.currentTime = clock.second(event.clientX - svg.getBoundingClientRect().left);
    draw();
  };
}

for (const card of document.querySelectorAll(".card")) couple(card);
