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
  for (const id of ["now", "past"]) {
    document.getElementById(id).replaceWith(fresh.getElementById(id));
  }
  openOrClose(fresh.getElementById("write"));
  localise();
}

// The form goes when nothing can be sent any more, but what somebody was typing stays to be read and copied.
function openOrClose(fresh) {
  const write = document.getElementById("write");
  const button = write.querySelector("button");
  if (fresh.hidden && button && write.querySelector("textarea").value) {
    button.disabled = true;
    write.querySelector("#hint").textContent = write.dataset.over;
  } else if (write.hidden !== fresh.hidden || button?.disabled) {
    write.replaceWith(fresh);
  }
}

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
