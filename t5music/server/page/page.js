"use strict";
/* The page: controls are made of the API's schemas (GET /api), a request is sent, and its news are shown as they come. */

const $ = (selector) => document.querySelector(selector);
const client = sessionStorage.client || (sessionStorage.client = Array.from(
  crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join(""));
const NAMES = { continue: "Continue", infill: "Fill in", accompany: "Accompany", compose: "Compose",
  classify: "Classify", label: "Label" };

let api = null;      // what GET /api says
let music = null;    // {name, data (base64), look} of the person's file
let region = null;   // [begin, end] in seconds
let job = null;      // the name of the request that is shown

/** Asks the API. Throws an Error in words where it refuses. */
async function call(method, path, body) {
  const headers = { "X-T5music-Client": client };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function showError(words) {
  $("#error").textContent = words;
  $("#error").hidden = !words;
}

// --------------------------------------------------------------------------------------------------------- controls

const ability = () => new FormData($("#form")).get("ability");

function controlOf(name, rule) {
  let input;
  if (rule.enum) {
    input = make("select", { name });
    if (rule.default === undefined) input.append(new Option("–", ""));
    for (const choice of rule.enum) input.append(new Option(choice, choice, false, choice === rule.default));
  } else if (rule.type === "integer" || rule.type === "number") {
    input = make("input", { name, type: "number", min: rule.minimum, max: rule.maximum,
      step: rule.type === "integer" ? 1 : "any", value: rule.default });
  } else {
    input = make("input", { name, type: "text", maxLength: rule.maxLength || 1000, placeholder: rule.placeholder || "" });
  }
  return make("label", { className: "control" },
    make("span", { textContent: rule.title || name.replaceAll("_", " ") }), input,
    make("small", { textContent: rule.description || "" }));
}

/** Draws the controls of the ability that is chosen; what was typed stays where the name is the same. */
function drawControls() {
  const typed = Object.fromEntries(new FormData($("#form")));
  const places = { plain: $("#controls"), promise: $("#promises section"), drawing: $("#drawing section") };
  for (const place of Object.values(places)) place.replaceChildren();
  const chosen = api.abilities[ability()];
  for (const [name, rule] of Object.entries(chosen.schema.properties)) {
    if (name === "music" || name === "name" || name === "region") continue;
    const control = controlOf(name, rule);
    const input = control.querySelector("[name]");
    const fits = !rule.enum || rule.enum.includes(typed[name]);
    if (typed[name] && fits) input.value = typed[name];
    places[rule.promise ? "promise" : rule.drawing ? "drawing" : "plain"].append(control);
  }
  $("#promises").hidden = !places.promise.children.length;
  $("#drawing").hidden = !places.drawing.children.length;
  $("#prompt").hidden = !chosen.needs_music;
  $("#own").hidden = !chosen.needs_music || !music;
  $("#own").classList.toggle("choosing", ability() === "infill");
  showRegion();
  $("#go").disabled = chosen.needs_music && !music;
}

function fields() {
  const { properties } = api.abilities[ability()].schema;
  const values = {};
  for (const [name, rule] of Object.entries(properties)) {
    const input = document.querySelector(`#form [name="${name}"]`);
    if (!input || input.value === "") continue;
    const value = rule.type === "integer" || rule.type === "number" ? Number(input.value) : input.value;
    if (value !== rule.default) values[name] = value;  // what nobody has touched is not set
  }
  if (properties.music) Object.assign(values, { music: music.data, name: music.name.slice(-200) });
  if (properties.region && region) values.region = region;
  return values;
}

// ---------------------------------------------------------------------------------------------------- one's own music

async function take(file) {
  if (!file) return;
  showError("");
  if (file.size > api.limits.megabytes * 1e6) {
    showError(`${file.name} is larger than ${api.limits.megabytes} MB, more than this server takes.`);
    return;
  }
  try {
    const address = await new Promise((done, fail) => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result);
      reader.onerror = () => fail(new Error(`${file.name} cannot be read.`));
      reader.readAsDataURL(file);
    });
    const data = address.slice(address.indexOf(",") + 1);
    const look = await call("POST", "/api/look", { music: data, name: file.name.slice(-200) });
    music = { name: file.name, data, look };
  } catch (error) {
    music = null;
    showError(error.message);
  }
  region = null;
  $("#file-name").textContent = music ? music.name : "choose another file";
  if (music) {
    const place = $("#own"), { look } = music;
    place.querySelector(".facts").textContent = `${look.notes} notes, ${look.bars} bars, ${look.seconds.toFixed(1)} s`;
    place.querySelector(".picture").innerHTML = look.roll;
    showLegend(place.querySelector(".legend"), look.legend);
  }
  drawControls();
}

function showLegend(place, legend) {
  place.replaceChildren(...legend.map(([name, colour]) => {
    const key = make("span", { className: "key" });
    key.innerHTML = `<svg width="12" height="12"><rect width="12" height="12"/></svg> `;
    key.querySelector("rect").setAttribute("fill", colour);
    key.append(name);
    return key;
  }));
}

/** The region to fill in is drawn on the roll with the pointer. */
function chooseRegion() {
  const stage = $("#own .stage");
  let from = null;
  const second = (event) => {
    const svg = stage.querySelector("svg");
    return clockOf(svg).second(event.clientX - svg.getBoundingClientRect().left);
  };
  stage.addEventListener("pointerdown", (event) => {
    if (ability() !== "infill" || !stage.querySelector("svg")) return;
    from = second(event);
    stage.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  stage.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const to = second(event);
    region = [Math.min(from, to), Math.max(from, to)].map((value) => Math.round(value * 1000) / 1000);
    showRegion();
  });
  const end = () => {
    if (from === null) return;
    from = null;
    if (region && region[1] - region[0] < 0.05) region = null;  // a click takes the region away
    showRegion();
  };
  stage.addEventListener("pointerup", end);
  stage.addEventListener("pointercancel", end);
  $("#region-fields").oninput = () => {
    const [begin, finish] = [$("#begin"), $("#end")].map((input) => (input.value === "" ? NaN : Number(input.value)));
    region = begin < finish ? [begin, finish] : null;
    showRegion();
  };
}

function showRegion() {
  const shade = $("#own .region"), svg = $("#own .stage svg"), words = $("#region-words");
  const infills = ability() === "infill";
  shade.hidden = !(infills && region && svg);
  words.hidden = $("#region-fields").hidden = !infills;
  if (document.activeElement !== $("#begin") && document.activeElement !== $("#end")) {
    $("#begin").value = region ? region[0].toFixed(2) : "";
    $("#end").value = region ? region[1].toFixed(2) : "";
  }
  words.textContent = region ? `From ${region[0].toFixed(1)} to ${region[1].toFixed(1)} s is written anew.`
    : "Draw over the part that is to be written anew; without a region, the middle is.";
  if (shade.hidden) return;
  const clock = clockOf(svg);
  shade.style.left = `${clock.pixel(region[0])}px`;
  shade.style.width = `${clock.pixel(region[1]) - clock.pixel(region[0])}px`;
}

// ------------------------------------------------------------------------------------------------------------- answers

function card(number, several) {
  const former = $(`#result-${number}`);
  if (former) return former;
  const result = make("article", { className: "card", id: `result-${number}` });
  result.innerHTML = `<h2></h2><p class="facts"></p><div class="sound"></div><p class="legend"></p>
    <div class="scroll"><div class="stage"><div class="picture"></div><div class="cursor" hidden></div></div></div>
    <ul class="remarks"></ul><p class="files"></p>
    <details class="score" hidden><summary>Score</summary></details>`;
  const alone = ability() === "label" ? "With its labels" : "The new music";
  result.querySelector("h2").textContent = several ? `Variant ${number + 1}` : alone;
  $("#results").append(result);
  return result;
}

/** Shows a result as far as it is: while it is written, the roll grows. */
async function showResult(state, number) {
  const result = state.results[number], over = state.state === "done";
  const place = card(number, state.variants > 1), base = `/api/jobs/${state.job}/${number}`;
  place.querySelector(".facts").textContent = result.facts;
  showLegend(place.querySelector(".legend"), result.legend);
  const key = `${result.facts} ${result.seconds}`;
  if (place.dataset.key !== key) {
    const response = await fetch(`${base}/roll`);
    if (response.ok) {
      const picture = place.querySelector(".picture"), scroll = place.querySelector(".scroll");
      picture.innerHTML = await response.text();
      place.dataset.key = key;
      if (!over) scroll.scrollLeft = scroll.scrollWidth;
    }
  }
  if (!over || place.dataset.over) return;
  place.dataset.over = "yes";
  const svg = place.querySelector("svg.roll");
  if (svg) place.querySelector(".scroll").scrollLeft = clockOf(svg).pixel(result.begin) - 120;
  place.querySelector(".remarks").replaceChildren(...result.remarks.map((remark) => make("li", { textContent: remark })));
  const files = place.querySelector(".files");
  files.replaceChildren("Keep it as ");
  for (const suffix of api.formats.filter((ending) => ![".html", ".midi", ".xml"].includes(ending))) {
    files.append(make("a", { href: `${base}/file${suffix}`, textContent: suffix.slice(1),
      download: result.stem + suffix }));
  }
  if (result.notes) {
    const sound = place.querySelector(".sound");
    const response = await fetch(`${base}/sound`);
    if (response.ok) {
      sound.replaceChildren(make("audio", { controls: true, src: URL.createObjectURL(await response.blob()) }));
      couple(place);
    } else {
      sound.replaceChildren(make("p", { className: "none", textContent: `No sound: ${(await response.json()).error}` }));
    }
    const score = place.querySelector(".score");
    score.hidden = !api.formats.includes(".svg");
    score.addEventListener("toggle", async () => {
      if (!score.open || score.querySelector("img, p")) return;
      const answer = await fetch(`${base}/file.svg`);
      score.append(answer.ok
        ? make("img", { alt: "score", src: URL.createObjectURL(await answer.blob()) })
        : make("p", { className: "none", textContent: (await answer.json()).error }));
    });
  }
}

function showLabels(labels) {
  const place = $("#labels");
  place.hidden = !labels;
  if (!labels) return;
  place.replaceChildren(make("h2", { textContent: "Labels" }), ...Object.entries(labels).map(([name, share]) =>
    make("div", { className: "label-row" }, make("span", { textContent: name }), make("progress", { max: 1, value: share }),
      make("span", { textContent: `${(100 * share).toFixed(1)} %` }))));
}

function showStatus(state) {
  const place = $("#status"), over = !["waiting", "working"].includes(state.state);
  place.hidden = over;
  $("#stop").hidden = over;
  const bar = place.querySelector("progress");
  let words = `Waiting: ${state.told}.`;
  if (state.state === "working") {
    const variant = state.variants > 1 ? `Variant ${Math.max(state.results.length, 1)} of ${state.variants}, ` : "";
    words = state.words ? `${variant}bar ${state.bar || "…"}: ${state.words} of ${state.words_at_most} words at most`
      : "The model reads …";
  }
  place.querySelector("p").textContent = words;
  if (state.words && state.state === "working") bar.value = state.words / state.words_at_most;
  else bar.removeAttribute("value");
}

/** Sends the request, and shows its news until it is over. */
async function ask() {
  const mine = {};
  ask.current = mine;
  showError("");
  $("#results").replaceChildren();
  $("#whole").hidden = true;
  showLabels(null);
  try {
    if (job) call("DELETE", `/api/jobs/${job}`).catch(() => {});
    let state = await call("POST", `/api/${ability()}`, fields());
    job = state.job;
    $("#results").classList.toggle("several", state.variants > 1);
    for (;;) {
      if (ask.current !== mine) return;
      showStatus(state);
      for (let number = 0; number < state.results.length; number += 1) await showResult(state, number);
      if (!["waiting", "working"].includes(state.state)) break;
      state = await call("GET", `/api/jobs/${state.job}?since=${state.version}`);
    }
    showLabels(state.labels);
    showError(state.error);
    if (state.state === "done" && state.results.length) {
      $("#whole").replaceChildren("All in one file: ", make("a", { href: `/api/jobs/${state.job}/page.html`,
        textContent: "page", download: `${state.results[0].stem}.html` }));
      $("#whole").hidden = false;
    }
  } catch (error) {
    $("#status").hidden = true;
    $("#stop").hidden = true;
    showError(error.message);
  }
}

// --------------------------------------------------------------------------------------------------------------- begin

async function begin() {
  try {
    api = await call("GET", "/api");
  } catch (error) {
    showError(error.message);
    return;
  }
  $("#model").textContent = `${api.model}, t5music ${api.t5music}`;
  Object.entries(api.abilities).forEach(([name, { description }], place) => {
    $("#abilities").append(make("label", { className: "ability", title: description },
      make("input", { type: "radio", name: "ability", value: name, checked: place === 0, onchange: drawControls }),
      make("span", { textContent: NAMES[name] || name })));
  });
  drawControls();
  chooseRegion();
  $("#file").onchange = (event) => take(event.target.files[0]);
  const drop = $(".drop");
  drop.ondragover = (event) => { event.preventDefault(); drop.classList.add("over"); };
  drop.ondragleave = () => drop.classList.remove("over");
  drop.ondrop = (event) => { event.preventDefault(); drop.classList.remove("over"); take(event.dataTransfer.files[0]); };
  $("#form").onsubmit = (event) => { event.preventDefault(); ask(); };
  $("#stop").onclick = () => { if (job) call("DELETE", `/api/jobs/${job}`).catch((error) => showError(error.message)); };
}

begin();
