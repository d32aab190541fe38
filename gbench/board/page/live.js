// A page that is served asks every two seconds whether there is anything new.

const PERIOD = 2000;
const SHOWN = 6; // names of runs in training

async function renew() {
  const page = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
  const focus = document.activeElement?.id;
  const places = all(".scroll").map((node) => [node.closest(".board").id, node.scrollLeft, node.scrollTop]);
  for (const id of ["content", "summary", "curves"]) {
    find(`#${id}`).replaceWith(document.adoptNode(find(`#${id}`, page)));
  }
  document.documentElement.dataset.version = page.documentElement.dataset.version;
  for (const node of all("[data-script]")) node.hidden = false;
  start();
  for (const [id, left, top] of places) document.getElementById(id)?.querySelector(".scroll").scrollTo(left, top);
  if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
}

async function ask() {
  const line = find("#running");
  try {
    const answer = await (await fetch("/state", { cache: "no-store" })).json();
    const names = answer.running.slice(0, SHOWN);
    if (answer.running.length > SHOWN) names.push(`${answer.running.length - SHOWN} more`);
    line.replaceChildren(make("b", {}, "live"), names.length ? ` · in training: ${names.join(", ")}` : " · nothing in training");
    if (answer.version !== document.documentElement.dataset.version) await renew();
  } catch {
    line.textContent = "gbench leaderboard --serve has ended: this is what it showed last";
  }
  setTimeout(ask, PERIOD);
}
ask();
