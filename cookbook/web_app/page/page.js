const [conversation, form, question, ask, stop, reset, status, template] =
  ["conversation", "form", "question", "ask", "stop", "reset", "status", "turn"]
    .map(id => document.getElementById(id));

const CUT_OFF = {
  length: "The answer reached the length limit and is incomplete. Ask for the rest.",
  content_filter: "A filter cut off the answer. Ask in other words.",
};
const LOST = "The connection was lost before the answer was complete. Check your network, and ask again.";

// This tab keeps the conversation, also when it is reloaded; the server stores nothing. `answer` is
// the model's text, for the next request. `blocks` is its HTML from the server, which escapes tags.
let turns = stored();
let running = null;  // aborts the answer in progress

for (const turn of turns) {
  const view = addView();
  draw(turn, view);
  drawBlocks(turn.blocks, view, 0);
}
addEventListener("pagehide", save);

form.addEventListener("submit", event => {
  event.preventDefault();
  const text = question.value.trim();
  if (!running && text) answer(text);
});
stop.addEventListener("click", () => running?.abort());
reset.addEventListener("click", () => {
  running?.abort();
  turns = [];
  conversation.replaceChildren();
  save();
  question.focus();
});
addEventListener("keydown", event => {
  if (event.key === "Escape") running?.abort();
  if (event.key === "Enter" && event.target === question && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});

async function answer(text) {
  const history = turns.filter(turn => turn.answer).map(({ question, answer }) => ({ question, answer }));
  const turn = { question: text, answer: "", blocks: [], note: LOST, failed: true };
  const view = addView();
  turns.push(turn);
  draw({ ...turn, note: "Answering …", failed: false }, view);
  scrollTo(0, document.body.scrollHeight);
  question.value = "";
  running = new AbortController();
  setBusy(true);
  const { signal } = running;
  try {
    Object.assign(turn, await read({ text, history }, signal, turn, view));
  } catch (error) {
    if (signal.aborted) Object.assign(turn, { note: "Stopped.", failed: false });
    else console.warn(error);
  }
  running = null;
  setBusy(false);
  draw(turn, view);
  save();
  // A screen reader reads the answer once, when it is complete.
  status.textContent = `${view.querySelector(".answer").innerText}\n${turn.note}`;
  if (!turn.answer) question.value ||= text;
}

// fetch, not EventSource: EventSource only sends GET, and after an error it repeats the request.
async function read(request, signal, turn, view) {
  const response = await fetch("ask", {
    method: "POST", signal,
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
  });
  if (!response.ok) return { note: refusal(response) };
  for await (const { name, data } of events(response.body)) {
    if (name === "text") turn.answer += data;
    if (name === "block") {
      turn.blocks.splice(data.index, Infinity, data.html);
      drawBlocks(turn.blocks, view, data.index);
    }
    if (name === "done") return ending(data);
    if (name === "error") return { note: words(data) };
  }
  throw new Error("The stream ended without its last event.");
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map(line => line.split(/: (.*)/s)));
      if (fields.data) yield { name: fields.event, data: JSON.parse(fields.data) };
    }
  }
}

function ending({ tokens, provider, finish_reason }) {
  const note = CUT_OFF[finish_reason];
  return { note: note ?? (tokens ? `${tokens} tokens` : ""), failed: Boolean(note), sandbox: provider === "sandbox" };
}

function words({ message, fix, reference }) {
  return `${message} ${fix}${reference ? ` (Reference: ${reference})` : ""}`;
}

function refusal(response) {
  if (response.status === 422) return "The question or the conversation is too long. Start a new conversation.";
  const wait = response.headers.get("retry-after");
  const fix = `Try again in ${wait ? `${wait} seconds` : "a minute"}.`;
  return response.status === 503 ? `This page is overloaded. ${fix}` : `This page failed with status ${response.status}. ${fix}`;
}

function addView() {
  conversation.append(template.content.cloneNode(true));
  return conversation.lastElementChild;
}

function draw(turn, view) {
  const [asked, note, sandbox] = [".question", ".note", ".sandbox"].map(name => view.querySelector(name));
  asked.textContent = turn.question;
  note.textContent = turn.note;
  note.classList.toggle("failed", turn.failed);
  sandbox.hidden = !turn.sandbox;
}

// Blocks before `first` are finished and stay as they are.
function drawBlocks(blocks, view, first) {
  const follow = innerHeight + scrollY > document.body.scrollHeight - 50;
  const answer = view.querySelector(".answer");
  while (answer.children.length > first) answer.lastElementChild.remove();
  for (const html of blocks.slice(first)) {
    const block = document.createElement("div");
    block.innerHTML = html;
    answer.append(block);
    if (block.scrollWidth > block.clientWidth) block.tabIndex = 0;  // the keyboard can scroll it
  }
  if (follow) scrollTo(0, document.body.scrollHeight);
}

function setBusy(busy) {
  if (document.activeElement === stop) question.focus();
  ask.disabled = busy;
  stop.disabled = !busy;
  if (busy) status.textContent = "Answering …";
}

// Browsers can forbid the storage, and it holds about 5 MB. The page works without it.
function stored() {
  try {
    return JSON.parse(sessionStorage.getItem("turns") ?? "[]");
  } catch (error) {
    console.warn(error);
    return [];
  }
}

function save() {
  try {
    sessionStorage.setItem("turns", JSON.stringify(turns));
  } catch (error) {
    console.warn(error);
  }
}
