// Labelling in the browser. All that is saved is checked by the server again.
"use strict";

const $ = (id) => document.getElementById(id);
const SPLITS = ["train", "val", "test"];
const PER_PAGE = 12; // thumbnails
const HANDLES = [[0, 0], [.5, 0], [1, 0], [1, .5], [1, 1], [.5, 1], [0, 1], [0, .5]];
const canvas = $("canvas"), context = canvas.getContext("2d");

const S = {
  mode: "live", frame: -1, picture: null, revision: null, width: 0, height: 0, image: null,
  boxes: [], chosen: -1, name: "", split: "train", session: "train", dirty: false, undo: [], redo: [],
  classes: [], model: false, ended: false, pictures: [], page: 0, warned: false, untaken: false, busy: false, lap: 0, drag: null,
};

// ------------------------------------------------------------------------------------ the server

async function ask(path, body) {
  let reply;
  try {
    reply = await fetch(path, body === undefined ? {} : {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    throw new Error("The program does not answer: has it ended?");
  }
  const told = await reply.json();
  if (!reply.ok) throw new Error(told.error);
  return told;
}

async function pictureOf(path) {
  const reply = await fetch(path);
  if (!reply.ok) throw new Error((await reply.json()).error);
  return createImageBitmap(await reply.blob());
}

// One thing at a time: a second press while the first is on its way does nothing.
async function alone(work) {
  if (S.busy) return;
  S.busy = true;
  try { await work(); } catch (error) { say(error.message, true); } finally { S.busy = false; show(); }
}

function say(text, bad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

// ---------------------------------------------------------------------------------- live picture

async function live() {
  const lap = ++S.lap;
  Object.assign(S, { mode: "live", picture: null, revision: null, boxes: [], chosen: -1, dirty: false,
    undo: [], redo: [], warned: false, split: S.session });
  say("Live. Space freezes.");
  show();
  while (S.mode === "live" && S.lap === lap) {
    try {
      const reply = await fetch(`api/live.jpg?after=${S.image && !S.stale ? S.frame : -1}`);
      if (S.mode !== "live" || S.lap !== lap) return;
      if (reply.status === 204) {
        if (reply.headers.get("X-Ended")) { await ended(); return; }
        continue;
      }
      if (!reply.ok) throw new Error((await reply.json()).error);
      const image = await createImageBitmap(await reply.blob());
      if (S.mode !== "live" || S.lap !== lap) return;
      Object.assign(S, { image, stale: false, frame: Number(reply.headers.get("X-Frame")),
        width: image.width, height: image.height });
      draw();
    } catch (error) {
      say("The program does not answer: has it ended?", true);
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
}

async function ended() {
  S.ended = true;
  const state = await ask("api/state");
  say(state.error || "The source has ended. Its last frame can be labelled, and saved pictures corrected.", !!state.error);
  show();
}

// Whether what was drawn may be left behind: asked for twice, it may.
function mayLeave(key) {
  if (!S.dirty || S.warned) return true;
  S.warned = true;
  say(`Not saved yet: S saves; ${key} again drops the changes.`, true);
  return false;
}

async function take(told) {
  if (told.saved) return open(told.saved);
  const image = await pictureOf(`api/frame.jpg?frame=${told.frame}`);
  Object.assign(S, { mode: "frozen", image, frame: told.frame, width: told.width, height: told.height,
    picture: null, revision: null, boxes: [], chosen: -1, dirty: false, undo: [], redo: [],
    warned: false, untaken: false, stale: true, split: S.session });
  say("Frozen. Drag to draw a box.");
  show();
  if (S.model) await suggest();
}

const freeze = () => alone(async () => {
  if (S.mode === "live") await take(await ask("api/freeze", { frame: S.frame }));
  else if (mayLeave("Space")) { S.busy = false; live(); }
});

const next = () => alone(async () => {
  if (mayLeave("N")) await take(await ask("api/next", { frame: S.frame }));
});

async function suggest() {
  say("The model is looking…");
  const body = S.mode === "saved" ? { picture: S.picture } : { frame: S.frame };
  const found = (await ask("api/suggest", body)).suggestions;
  S.boxes = S.boxes.filter((box) => !box.score)
    .concat(found.map((box) => ({ ...box, origin: null })));
  S.chosen = -1;
  say(found.length ? `${found.length} suggested: accept, change or dismiss them.` : "The model suggests nothing.");
  show();
}

// ----------------------------------------------------------------------------------------- saving

const save = () => alone(async () => {
  if (S.mode === "live") throw new Error("Freeze a frame first: Space.");
  const left = S.boxes.filter((box) => box.score).length;
  if (left && !S.untaken) {
    S.untaken = true;
    throw new Error(`${left} suggested, neither accepted nor dismissed: Save again leaves ${left > 1 ? "them" : "it"} out.`);
  }
  const boxes = S.boxes.filter((box) => !box.score)
    .map(({ name, corners, origin }) => ({ name, corners, origin }));
  const body = { boxes, split: S.split };
  const told = S.mode === "saved"
    ? await ask("api/change", { ...body, picture: S.picture, revision: S.revision })
    : await ask("api/save", { ...body, frame: S.frame });
  counts(told.counts);
  adopt(told, S.image);
  await list(told.picture);
  const what = boxes.length ? `${boxes.length} box${boxes.length > 1 ? "es" : ""}` : "without any object";
  say(`Saved in ${told.split}: ${told.picture}, ${what}.` + (left ? ` ${left} suggested not taken.` : ""));
});

function adopt(told, image) {
  Object.assign(S, { mode: "saved", image, picture: told.picture, revision: told.revision, width: told.width,
    height: told.height, boxes: told.boxes, chosen: -1, dirty: false, undo: [], redo: [], warned: false,
    untaken: false, stale: true, split: told.split || S.session });
}

async function open(name) {
  const told = await ask(`api/picture?picture=${encodeURIComponent(name)}`);
  adopt(told, await pictureOf(`api/picture.jpg?picture=${encodeURIComponent(name)}`));
  const state = told.annotated ? "" : " It is not annotated yet.";
  say(`Saved picture ${name}.${state}${told.split ? "" : " No list names it: choose a split and save."}`);
  S.page = Math.floor((S.pictures.length - 1 - S.pictures.indexOf(name)) / PER_PAGE);
  thumbs();
  show();
}

const browse = (name) => alone(async () => { if (mayLeave("this")) await open(name); });

function step(by) {
  if (!S.pictures.length) return;
  const at = S.pictures.indexOf(S.picture);
  const to = at < 0 ? S.pictures.length - 1 : Math.min(Math.max(at + by, 0), S.pictures.length - 1);
  if (to !== at) browse(S.pictures[to]);
}

async function list(name) {
  S.pictures = (await ask("api/pictures")).pictures;
  if (name) S.page = Math.floor((S.pictures.length - 1 - S.pictures.indexOf(name)) / PER_PAGE);
  thumbs();
}

// ----------------------------------------------------------------------------------------- boxes

const copy = (boxes) => boxes.map((box) => ({ ...box, corners: [...box.corners] }));

function remember(before = copy(S.boxes)) {
  S.undo.push({ boxes: before, split: S.split });
  S.redo = [];
  S.dirty = true;
  S.warned = false;
}

function travel(from, to) {
  if (!from.length) return;
  to.push({ boxes: copy(S.boxes), split: S.split });
  const then = from.pop();
  Object.assign(S, { boxes: then.boxes, split: then.split, chosen: -1, dirty: true, warned: false });
  show();
}

const undo = () => travel(S.undo, S.redo);
const redo = () => travel(S.redo, S.undo);

function remove(index = S.chosen) {
  if (S.mode === "live" || index < 0 || index >= S.boxes.length) return;
  remember();
  S.boxes.splice(index, 1);
  S.chosen = -1;
  show();
}

function choose(name) {
  S.name = name;
  if (S.chosen >= 0) reclass(S.chosen, name);
  else show();
}

function reclass(index, name) {
  const box = S.boxes[index];
  if (box.name !== name) {
    remember();
    S.boxes[index] = { ...box, name, score: undefined };
  }
  show();
}

function add() {
  if (S.mode === "live") return;
  remember();
  const [w, h] = [S.width, S.height];
  S.boxes.push({ name: S.name, origin: null, corners: [w * .375, h * .375, w * .625, h * .625].map(Math.round) });
  S.chosen = S.boxes.length - 1;
  show();
}

function accept(index) {
  const some = S.boxes.some((box, i) => box.score && (index === undefined || i === index));
  if (!some) return;
  remember();
  S.boxes = S.boxes.map((box, i) => (index === undefined || i === index ? { ...box, score: undefined } : box));
  show();
}

function dismiss() {
  if (!S.boxes.some((box) => box.score)) return;
  const wasDirty = S.dirty;
  remember();
  S.dirty = wasDirty; // nothing that would be saved has changed
  S.boxes = S.boxes.filter((box) => !box.score);
  S.chosen = -1;
  show();
}

function putSplit(split) {
  if (S.mode === "saved") { remember(); S.split = split; } else { S.split = S.session = split; }
  show();
}

// Move a box, or some of its sides, and stay in the picture and the right way up.
function shifted(corners, handle, dx, dy) {
  let [x1, y1, x2, y2] = corners;
  const clamp = (v, top) => Math.min(Math.max(Math.round(v), 0), top);
  if (!handle) {
    const w = x2 - x1, h = y2 - y1;
    x1 = Math.min(Math.max(x1 + dx, 0), S.width - w);
    y1 = Math.min(Math.max(y1 + dy, 0), S.height - h);
    return [x1, y1, x1 + w, y1 + h].map(Math.round);
  }
  if (handle[0] === 0) x1 += dx;
  if (handle[0] === 1) x2 += dx;
  if (handle[1] === 0) y1 += dy;
  if (handle[1] === 1) y2 += dy;
  return [clamp(Math.min(x1, x2), S.width), clamp(Math.min(y1, y2), S.height),
    clamp(Math.max(x1, x2), S.width), clamp(Math.max(y1, y2), S.height)];
}

function nudge(dx, dy, size) {
  const box = S.boxes[S.chosen];
  const corners = shifted(box.corners, size ? [1, 1] : null, dx, dy);
  if (corners[2] - corners[0] < 1 || corners[3] - corners[1] < 1) return;
  remember();
  S.boxes[S.chosen] = { ...box, corners, score: undefined };
  show();
}

// --------------------------------------------------------------------------------------- pointer

const scale = () => canvas.clientWidth / (S.width || 1);

function place(event) {
  const area = canvas.getBoundingClientRect(), k = scale();
  return [Math.min(Math.max((event.clientX - area.left) / k, 0), S.width),
    Math.min(Math.max((event.clientY - area.top) / k, 0), S.height)];
}

function handleAt([x, y], reach) {
  const box = S.boxes[S.chosen];
  if (!box) return null;
  const [x1, y1, x2, y2] = box.corners;
  return HANDLES.find(([u, v]) => Math.hypot(x1 + u * (x2 - x1) - x, y1 + v * (y2 - y1) - y) <= reach) || null;
}

const inside = ([x, y], [x1, y1, x2, y2]) => x >= x1 && x <= x2 && y >= y1 && y <= y2;

function boxAt(point) {
  const area = (i) => { const [a, b, c, d] = S.boxes[i].corners; return (c - a) * (d - b); };
  const hit = S.boxes.map((box, i) => i).filter((i) => inside(point, S.boxes[i].corners));
  return hit.sort((a, b) => area(a) - area(b))[0] ?? -1;
}

canvas.addEventListener("pointerdown", (event) => {
  if (S.mode === "live" || S.drag || event.button > 0 || !S.width) return;
  canvas.focus({ preventScroll: true });
  canvas.setPointerCapture(event.pointerId);
  const at = place(event), reach = (event.pointerType === "touch" ? 24 : 9) / scale();
  const handle = event.shiftKey ? null : handleAt(at, reach);
  const moves = !event.shiftKey && S.chosen >= 0 && inside(at, S.boxes[S.chosen].corners);
  S.drag = { id: event.pointerId, at, handle, kind: handle ? "size" : moves ? "move" : "draw", moved: false,
    before: copy(S.boxes), slack: (event.pointerType === "touch" ? 8 : 4) / scale() };
  event.preventDefault();
});

canvas.addEventListener("pointermove", (event) => {
  const drag = S.drag;
  if (!drag || drag.id !== event.pointerId) return;
  const [x, y] = place(event), dx = x - drag.at[0], dy = y - drag.at[1];
  if (!drag.moved && Math.hypot(dx, dy) < drag.slack) return;
  if (!drag.moved && drag.kind === "draw") {
    S.boxes.push({ name: S.name, corners: [0, 0, 0, 0], origin: null });
    S.chosen = S.boxes.length - 1;
  }
  drag.moved = true;
  if (drag.kind === "draw") {
    const corners = [Math.min(x, drag.at[0]), Math.min(y, drag.at[1]), Math.max(x, drag.at[0]), Math.max(y, drag.at[1])];
    S.boxes[S.chosen].corners = corners.map(Math.round);
  } else {
    const old = drag.before[S.chosen];
    S.boxes[S.chosen] = { ...old, score: undefined, corners: shifted(old.corners, drag.handle, dx, dy) };
  }
  draw();
});

function release(event, dropped) {
  const drag = S.drag;
  if (!drag || drag.id !== event.pointerId) return;
  S.drag = null;
  if (!drag.moved) {
    if (!dropped) S.chosen = boxAt(drag.at);
    return show();
  }
  const [x1, y1, x2, y2] = S.boxes[S.chosen].corners;
  if (dropped || x2 - x1 < 2 || y2 - y1 < 2) { // a slip of the hand
    S.boxes = drag.before;
    S.chosen = drag.kind === "draw" ? -1 : S.chosen;
  } else {
    remember(drag.before);
  }
  show();
}

canvas.addEventListener("pointerup", (event) => release(event, false));
canvas.addEventListener("pointercancel", (event) => release(event, true));

// --------------------------------------------------------------------------------------- drawing

const hue = (name) => (Math.max(S.classes.indexOf(name), 0) * 137.5 + 5) % 360;
const colour = (name) => `hsl(${hue(name)} 90% 55%)`;

function draw() {
  if (!S.image) return;
  const room = $("frame").clientWidth, high = Math.max(240, window.innerHeight * .7);
  const k = Math.min(room / S.width, high / S.height), sharp = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(S.width * k), Math.round(S.height * k)];
  canvas.style.width = `${w}px`;
  canvas.style.height = `${h}px`;
  if (canvas.width !== Math.round(w * sharp)) canvas.width = Math.round(w * sharp);
  if (canvas.height !== Math.round(h * sharp)) canvas.height = Math.round(h * sharp);
  context.setTransform(sharp, 0, 0, sharp, 0, 0);
  context.drawImage(S.image, 0, 0, w, h);
  const ratio = w / S.width;
  S.boxes.forEach((box, index) => {
    const [x1, y1, x2, y2] = box.corners.map((v) => v * ratio);
    for (const [style, width] of [["rgb(0 0 0 / .75)", 5], [colour(box.name), index === S.chosen ? 3 : 2]]) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.setLineDash(box.score ? [7, 5] : []);
      context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    }
    context.setLineDash([]);
    context.font = "600 13px system-ui, sans-serif";
    const text = box.score ? `${box.name} ${Math.round(100 * box.score)} % ?` : box.name;
    const wide = context.measureText(text).width + 8;
    const left = Math.max(0, Math.min(x1, w - wide)), top = y1 >= 20 ? y1 - 20 : Math.min(y1 + 2, h - 20);
    context.fillStyle = "rgb(0 0 0 / .8)";
    context.fillRect(left, top, wide, 18);
    context.fillStyle = colour(box.name);
    context.fillText(text, left + 4, top + 13.5);
    if (index !== S.chosen || S.mode === "live") return;
    for (const [u, v] of HANDLES) {
      context.fillStyle = "#fff";
      context.strokeStyle = "#000";
      context.lineWidth = 1;
      context.fillRect(x1 + u * (x2 - x1) - 4, y1 + v * (y2 - y1) - 4, 8, 8);
      context.strokeRect(x1 + u * (x2 - x1) - 4, y1 + v * (y2 - y1) - 4, 8, 8);
    }
  });
}

function element(tag, options = {}, ...children) {
  const made = Object.assign(document.createElement(tag), options);
  made.append(...children);
  return made;
}

function swatch(name) {
  const made = element("span", { className: "swatch" });
  made.style.background = colour(name);
  return made;
}

function show() {
  const editing = S.mode !== "live", waiting = S.boxes.filter((box) => box.score).length;
  $("mode").className = `badge ${S.mode}`;
  $("mode").textContent = { live: S.ended ? "Ended" : "Live", frozen: "Frozen", saved: "Saved picture" }[S.mode] +
    (S.dirty ? ", not saved" : "");
  canvas.classList.toggle("editing", editing);
  $("freeze").textContent = editing ? "To live" : "Freeze";
  $("save").textContent = editing && S.boxes.length === waiting ? "Save: no object" : "Save";
  $("save").disabled = $("add").disabled = !editing;
  $("delete").disabled = !(editing && S.chosen >= 0);
  $("undo").disabled = !S.undo.length;
  $("redo").disabled = !S.redo.length;
  $("suggested").hidden = !S.model;
  $("suggestions").textContent = waiting ? `${waiting} dashed box${waiting > 1 ? "es" : ""} to accept, change or dismiss.`
    : "None.";
  $("suggest").disabled = !editing;
  $("accept").disabled = $("dismiss").disabled = !waiting;
  for (const input of document.querySelectorAll("#classes input"))
    input.checked = input.value === (S.chosen >= 0 ? S.boxes[S.chosen].name : S.name);
  for (const input of document.querySelectorAll("#splits input")) input.checked = input.value === S.split;
  boxes();
  draw();
}

function boxes() {
  $("boxes").replaceChildren(...S.boxes.map((box, index) => {
    const [x1, y1, x2, y2] = box.corners.map(Math.round);
    const number = `Box ${index + 1}`;
    const pick = element("button", { type: "button", className: "pick" }, swatch(box.name),
      `${index + 1}. ${x2 - x1}×${y2 - y1}${box.score ? " ?" : ""}`);
    pick.setAttribute("aria-label", `${number}: ${box.name}, ${x2 - x1} by ${y2 - y1} pixels at ${x1}, ${y1}` +
      (box.score ? ", suggested" : ""));
    pick.setAttribute("aria-pressed", index === S.chosen);
    pick.onclick = () => { S.chosen = index; show(); canvas.focus({ preventScroll: true }); };
    const names = S.classes.includes(box.name) ? S.classes : [box.name, ...S.classes];
    const select = element("select", { ariaLabel: `${number}: class` },
      ...names.map((name) => element("option", { value: name, textContent: name, selected: name === box.name })));
    select.onchange = () => reclass(index, select.value);
    const off = element("button", { type: "button", className: "off", textContent: "×", ariaLabel: `${number}: delete` });
    off.onclick = () => remove(index);
    return element("li", { className: index === S.chosen ? "chosen" : "" }, pick, select, off);
  }));
  if (!S.boxes.length) $("boxes").append(element("li", { className: "note", textContent:
    S.mode === "live" ? "Freeze a frame to draw some." : "None: saved so, it shows no object of any class." }));
}

function counts(told) {
  const names = [...new Set([...S.classes, ...SPLITS.flatMap((split) => Object.keys(told.splits[split].boxes))])];
  const row = (name, value, tag = "td") => element("tr", {}, element("th", { scope: "row", textContent: name }),
    ...SPLITS.map((split) => element(tag, { textContent: value(told.splits[split]) })));
  $("counts").replaceChildren(
    element("tr", {}, element("td"), ...SPLITS.map((split) => element("th", { scope: "col", textContent: split }))),
    row("pictures", (split) => split.pictures), row("without object", (split) => split.empty),
    ...names.map((name) => row(name, (split) => split.boxes[name] || 0)));
  $("rest").textContent = [[told.unlabelled, "not annotated"], [told.unlisted, "in no split"],
    [told.damaged, "with a damaged annotation"]].filter(([n]) => n).map(([n, what]) => `${n} ${what}`).join(", ");
}

function thumbs() {
  const newest = [...S.pictures].reverse(), pages = Math.max(1, Math.ceil(newest.length / PER_PAGE));
  S.page = Math.min(Math.max(S.page, 0), pages - 1);
  $("older").disabled = S.page >= pages - 1;
  $("newer").disabled = S.page === 0;
  $("place").textContent = newest.length ? `${newest.length}, newest first; page ${S.page + 1} of ${pages}` : "None yet.";
  $("thumbs").replaceChildren(...newest.slice(S.page * PER_PAGE, (S.page + 1) * PER_PAGE).map((name) => {
    const image = element("img", { alt: "", loading: "lazy", src: `api/picture.jpg?thumb=1&picture=${encodeURIComponent(name)}` });
    const made = element("button", { type: "button", title: name, className: name === S.picture ? "chosen" : "" },
      image, element("span", { textContent: name }));
    made.setAttribute("aria-label", `Open ${name}`);
    made.onclick = () => browse(name);
    return made;
  }));
}

// -------------------------------------------------------------------------------------- controls

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEYS = {
  " ": freeze, n: next, s: save, b: add, a: () => accept(), d: dismiss, "[": () => step(-1), "]": () => step(1),
  Delete: () => remove(), Backspace: () => remove(), Enter: () => accept(S.chosen),
  Escape: () => { S.chosen = -1; show(); },
};

document.addEventListener("keydown", (event) => {
  if (event.altKey || S.drag) return;
  const at = document.activeElement, key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  // A control that was reached with Tab keeps its own keys.
  if (at.matches("select") || (at.matches("button, summary") && [" ", "Enter"].includes(key))) return;
  if (at.matches("input") && (key === " " || key in ARROWS)) return;
  const command = event.ctrlKey || event.metaKey;
  if (command && key === "z") (event.shiftKey ? redo : undo)();
  else if (command && key === "y") redo();
  else if (key in ARROWS && S.chosen >= 0 && S.mode !== "live") {
    const by = event.shiftKey ? 10 : 1, [dx, dy] = ARROWS[key];
    nudge(dx * by, dy * by, command);
  } else if (command) return;
  else if (/^[1-9]$/.test(key) && S.classes[key - 1]) choose(S.classes[key - 1]);
  else if (key in KEYS && !(event.repeat && key !== "Delete")) KEYS[key]();
  else return;
  event.preventDefault();
});

for (const [id, work] of Object.entries({ freeze, next, undo, redo, add, save, dismiss, delete: () => remove(),
  accept: () => accept(), suggest: () => alone(suggest), older: () => { S.page++; thumbs(); },
  newer: () => { S.page--; thumbs(); } })) $(id).onclick = work;

// What the mouse or a finger has pressed gives the keys back: Space is to freeze, not to press again.
document.addEventListener("click", (event) => {
  if (event.detail > 0 && event.target.closest("button, label, summary")) canvas.focus({ preventScroll: true });
});
window.addEventListener("resize", draw);
window.addEventListener("beforeunload", (event) => { if (S.dirty) event.preventDefault(); });

function radios(into, group, values, pick, badge) {
  $(into).replaceChildren(...values.map((value, index) => {
    const input = element("input", { type: "radio", name: group, value });
    input.onchange = () => pick(value);
    return element("label", {}, input, ...badge(value, index));
  }));
}

async function start() {
  try {
    const state = await ask("api/state");
    Object.assign(S, { classes: state.classes, name: state.classes[0], split: state.split, session: state.split,
      model: state.model });
    const last = (path) => (path.includes("://") ? path : path.replace(/[\\/]+$/, "").split(/[\\/]/).pop());
    $("source").textContent = `${last(state.source)} → ${last(state.folder)}`;
    $("source").title = `${state.source} → ${state.folder}`;
    radios("classes", "class", S.classes, choose, (name, index) => [swatch(name), name,
      ...(index < 9 ? [element("kbd", { textContent: index + 1 })] : [])]);
    radios("splits", "split", SPLITS, putSplit, (name) => [name]);
    counts(state.counts);
    await list();
    live();
  } catch (error) { say(error.message, true); }
}

start();
