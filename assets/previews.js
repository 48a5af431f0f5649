// What a link of the text leads to, shown before it is followed: under the mouse, at the keyboard's focus, at the first tap.
// The page carries the previews of its links in <template data-preview="address"> elements; nothing is fetched.

const DELAY = 250; // milliseconds before a preview opens under the mouse, and before it closes once the mouse is gone
const ROOM = 8; // pixels between a preview and its link, and the edges of the window
const SMALLEST = 0.5; // to which a formula that is wider than its preview shrinks

const previews = { tip: null, link: null, timer: 0, touched: false };

// A page without formulas has no MathJax; it lies in the book, and is loaded when a preview needs it.
function mathjax() {
  if (window.MathJax?.startup?.promise) return window.MathJax.startup.promise;
  previews.loading ??= new Promise((resolve, reject) => {
    window.MathJax = { options: { processHtmlClass: "tex2jax_process|math" }, startup: { typeset: false } };
    const script = document.createElement("script");
    script.src = new URL(`${document.documentElement.dataset.content_root ?? "./"}mathjax/tex-chtml.js`, location.href);
    script.onload = () => window.MathJax.startup.promise.then(resolve, reject);
    script.onerror = reject;
    document.head.append(script);
  });
  return previews.loading;
}

function fit(tip) {
  for (const formula of tip.querySelectorAll("mjx-container")) {
    const signs = [...formula.querySelectorAll("mjx-c")].map((sign) => sign.getBoundingClientRect());
    const width = Math.max(...signs.map((sign) => sign.right)) - Math.min(...signs.map((sign) => sign.left));
    const ratio = formula.closest("p, li, figcaption, div").clientWidth / width;
    if (ratio < 1) formula.style.fontSize = `${100 * Math.max(SMALLEST, 0.95 * ratio)}%`;
  }
  for (const focusable of tip.querySelectorAll("[tabindex]")) focusable.removeAttribute("tabindex");
}

function place(tip, link) {
  const { clientWidth: width, clientHeight: height } = document.documentElement;
  const line = link.getClientRects()[0] ?? link.getBoundingClientRect();
  const below = height - line.bottom - 2 * ROOM;
  const above = line.top - 2 * ROOM;
  const under = tip.scrollHeight <= below || below >= above;
  tip.style.maxHeight = `${Math.max(under ? below : above, 80)}px`;
  tip.classList.toggle("demod-clipped", tip.scrollHeight > tip.clientHeight + 1);
  tip.style.left = `${Math.max(ROOM, Math.min(line.left, width - tip.offsetWidth - ROOM))}px`;
  tip.style.top = under ? `${line.bottom + ROOM}px` : `${Math.max(ROOM, line.top - ROOM - tip.offsetHeight)}px`;
}

function hide() {
  clearTimeout(previews.timer);
  previews.link?.removeAttribute("aria-describedby");
  previews.tip?.remove();
  previews.tip = previews.link = null;
}

async function show(link, template) {
  clearTimeout(previews.timer);
  if (previews.link === link) return;
  hide();
  const tip = document.createElement("div");
  Object.assign(tip, { id: "demod-preview", className: "demod-preview bd-article" });
  tip.setAttribute("role", "tooltip");
  tip.append(template.content.cloneNode(true));
  tip.addEventListener("mouseenter", () => clearTimeout(previews.timer));
  tip.addEventListener("mouseleave", later(hide));
  document.querySelector(".bd-content, main, body").append(tip);
  link.setAttribute("aria-describedby", tip.id);
  Object.assign(previews, { tip, link });
  place(tip, link);
  for (const image of tip.querySelectorAll("img")) image.addEventListener("load", () => tip.isConnected && place(tip, link));
  if (!tip.querySelector(".math")) return;
  await mathjax();
  if (!tip.isConnected) return;
  await window.MathJax.typesetPromise([tip]);
  if (!tip.isConnected) return;
  fit(tip);
  place(tip, link);
}

const later = (action) => () => {
  clearTimeout(previews.timer);
  previews.timer = setTimeout(action, DELAY);
};

function attach(link, template) {
  link.addEventListener("mouseenter", () => previews.touched || later(() => show(link, template))());
  link.addEventListener("mouseleave", later(hide));
  link.addEventListener("focus", () => previews.touched || show(link, template));
  link.addEventListener("blur", hide);
  link.addEventListener("click", (event) => {
    if (!previews.touched || previews.link === link) return;
    event.preventDefault(); // the first tap shows, the second follows
    show(link, template);
  });
}

document.addEventListener("DOMContentLoaded", () => {
  const templates = [...document.querySelectorAll("template[data-preview]")];
  const shown = new Map(templates.map((template) => [template.dataset.preview, template]));
  for (const link of document.querySelectorAll("article a[href]")) {
    const template = shown.get(link.getAttribute("href"));
    if (template && !link.matches(".headerlink")) attach(link, template);
  }
});

document.addEventListener("pointerdown", (event) => {
  previews.touched = event.pointerType === "touch";
  if (!event.target.closest?.(".demod-preview") && !previews.link?.contains(event.target)) hide();
}, true);
document.addEventListener("keydown", (event) => {
  previews.touched = false;
  if (event.key === "Escape") hide();
}, true);

// What scrolls takes its preview along, as far as it is seen: a link far down is scrolled to when it gets the focus.
window.addEventListener("scroll", () => {
  if (!previews.link) return;
  const { top, bottom } = previews.link.getBoundingClientRect();
  if (bottom < 0 || top > window.innerHeight) later(hide)();
  else place(previews.tip, previews.link);
}, { passive: true });
window.addEventListener("resize", hide);
