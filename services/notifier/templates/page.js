// Keeps the page fresh where scripts run; without them everything but that works.
const language = document.documentElement.lang;
const live = document.getElementById("live");
const format = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });

function localise() {
  for (const time of document.querySelectorAll("time")) {
    time.textContent = format.format(new Date(time.dateTime));
  }
}

async function refresh() {
  const query = new URLSearchParams({ fragment: "1", lang: language.startsWith("zh") ? "zh" : "en" });
  const answer = await fetch(`${location.pathname}?${query}`);
  if (answer.status === 410) location.reload();
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const held = document.activeElement;
  if (document.getElementById("now").contains(held) && held.id !== "now") {
    // do not pull a button from under somebody's finger
    held.addEventListener("blur", soon, { once: true });
    return;
  }
  const asking = document.querySelector("#now details")?.open ?? false;
  for (const id of ["now", "past"]) {
    document.getElementById(id).replaceWith(fresh.getElementById(id));
  }
  document.querySelector("#now details")?.toggleAttribute("open", asking);
  openOrClose(fresh.getElementById("write"));
  localise();
}

// The form goes when nothing can be sent any more, but what somebody was typing stays to be read and copied.
function openOrClose(fresh) {
  const write = document.getElementById("write");
  const button = write.querySelector("button");
  if (write.hidden !== fresh.hidden && !write.querySelector("textarea")?.value) {
    write.replaceWith(fresh);
  } else if (button && button.disabled !== fresh.hidden) {
    button.disabled = fresh.hidden;
    tell(fresh.hidden ? "over" : "");
  }
}

function tell(what) {
  const outcome = document.getElementById("outcome");
  if (outcome) outcome.textContent = document.getElementById("write").dataset[what] ?? "";
}

// Sent from here the text stays where it is until it has arrived; a form that a browser sends takes it along.
let sending = false;
async function send(form) {
  const text = form.querySelector("textarea");
  sending = text.readOnly = true;
  tell("sending");
  try {
    const answer = await fetch(form.getAttribute("action"), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(Object.fromEntries(new FormData(form))),
      signal: AbortSignal.timeout(20000),
    });
    if (answer.ok) form.reset();
    tell(answer.ok ? "sent" : answer.status === 409 ? "over" : "failed");
    soon();
  } catch (error) {
    tell("failed");
    // where this page can be reached but not that address, the browser's own way may still work
    if (error.name === "TypeError") refresh().then(() => { form.dataset.plain = "1"; }, () => {});
  } finally {
    sending = text.readOnly = false;
  }
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("#write form:not([data-plain])")) return;
  event.preventDefault();
  if (!sending) send(event.target);
});

let waiting = 0;
function soon() {
  clearTimeout(waiting);
  waiting = setTimeout(() => refresh().catch(() => {}), 100);
}

localise();
if (window.EventSource) {
  const stream = new EventSource(`${location.pathname}/events?after=${document.getElementById("now").dataset.sequence}`);
  stream.onopen = () => { live.textContent = live.dataset.live; };
  stream.onerror = () => { live.textContent = live.dataset.offline; };
  stream.addEventListener("timeline", soon);
  stream.addEventListener("end", (event) => {
    if (JSON.parse(event.data).reason === "expired") { stream.close(); location.reload(); }
  });
  // due times pass without an event
  setInterval(() => { if (!document.hidden) soon(); }, 60000);
}
