// What paper needs and a style cannot give: everything unfolded, figures that move at rest, formulas and tables as wide as
// the page, links only to what is in the book on paper. `demod pdf` runs it on every page, laid out as wide as the paper.

const LEAST_ZOOM = 0.5;

function unfold() {
  document.documentElement.dataset.theme = document.documentElement.dataset.mode = "light";
  document.querySelectorAll("details").forEach((folded) => { folded.open = true; });
  document.querySelectorAll(".toggle-hidden").forEach((folded) => folded.classList.remove("toggle-hidden"));
  document.querySelectorAll(".toggle-button").forEach((button) => button.remove());
  document.querySelectorAll(".sd-tab-content").forEach((tab) => { tab.style.display = "block"; });
  document.querySelectorAll("article a[download]").forEach((link) => link.closest("p")?.remove());
}

// Plotly draws what it shows once more, as an image; a slider leaves the words for where it stands.
async function still(figure) {
  const plot = figure.querySelector(".plotly-graph-div");
  const { width, height } = plot.getBoundingClientRect();
  const url = await Plotly.toImage(plot, { format: "png", width: Math.round(width), height: Math.round(height), scale: 2 });
  const image = Object.assign(new Image(), { src: url, alt: figure.getAttribute("aria-label") ?? "" });
  const hint = document.createElement("div");
  hint.className = "demod-facts";
  hint.textContent = "In the book in a browser, this figure can be turned or moved by its slider.";
  await image.decode();
  plot.closest(".demod-interactive > div").replaceWith(image);
  figure.append(hint);
}

function shrink(wide, room) {
  const width = Math.max(wide.scrollWidth, wide.getBoundingClientRect().width);
  if (width > room) wide.style.zoom = Math.max(LEAST_ZOOM, (0.99 * room) / width);
}

function shrinkAll() {
  const inner = (element) => {
    const { paddingLeft, paddingRight } = getComputedStyle(element);
    return element.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
  };
  const box = (element) => element.closest("td, th, li, dd, .admonition, .demod-claim, details, blockquote, article");
  for (const formula of document.querySelectorAll("article mjx-container")) {
    const { width } = formula.querySelector("mjx-math").getBoundingClientRect();
    const room = inner(box(formula));
    if (width > room) formula.style.zoom = Math.max(LEAST_ZOOM, (0.98 * room) / width);
  }
  for (const table of document.querySelectorAll("article table")) shrink(table, inner(box(table.parentElement)));
}

// A link leads to another host, or to a page that is printed, too; of another, its words are left.
function keepLinks(pages) {
  const root = new URL(pages.root);
  for (const link of document.querySelectorAll("article a[href]")) {
    const url = new URL(link.href);
    const inside = url.href.startsWith(root.href);
    if (inside ? !pages.printed.includes(url.pathname.slice(root.pathname.length)) : !url.protocol.startsWith("http")) {
      link.removeAttribute("href");
      link.style.color = "inherit";
      link.style.textDecoration = "none";
    }
  }
}

// Chromium notes where an element lies on paper if a link of its page leads there: one for each, which nobody sees.
function nameAll() {
  const names = [...document.querySelectorAll("article [id]")].map((element) => element.id);
  const list = document.createElement("div");
  list.hidden = true;
  for (const name of names) {
    list.append(Object.assign(document.createElement("a"), { href: `#${encodeURIComponent(name)}` }));
  }
  document.body.append(list);
  return names;
}

// What would be cut off at the edge, and formulas that are left as TeX: the book is not printed with either.
function faults() {
  const article = document.querySelector("article");
  const found = [];
  const out = ({ left, right }) => left < -1 || right > innerWidth + 1;
  const texts = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    if (!text.data.trim() || text.parentElement.closest("mjx-assistive-mml, script, style, svg")) continue;
    const range = document.createRange();
    range.selectNodeContents(text);
    if ([...range.getClientRects()].some(out)) found.push(`"${text.data.trim().slice(0, 60)}" is wider than the paper`);
  }
  for (const part of article.querySelectorAll("mjx-container > mjx-math, img")) {
    if (out(part.getBoundingClientRect())) found.push(`${part.alt || "a formula"} is wider than the paper`);
  }
  const prose = article.cloneNode(true);
  prose.querySelectorAll("pre, code, script, mjx-container").forEach((part) => part.remove());
  const raw = prose.textContent.match(/\\[()[\]]|\$[^$\n]+\$|\\(?:frac|rho|theta|mathbb|tfrac)\b/);
  if (raw) found.push(`${raw[0]} is not typeset`);
  article.querySelectorAll("mjx-merror").forEach((error) => found.push(`${error.textContent} is not typeset`));
  return found;
}

function words(heading) {
  const copy = heading.cloneNode(true);
  copy.querySelectorAll(".headerlink, mjx-container > mjx-math").forEach((part) => part.remove());
  return copy.textContent.replace(/\s+/g, " ").trim();
}

async function prepare(pages) {
  await window.MathJax?.startup?.promise;
  unfold();
  for (const image of document.images) image.loading = "eager";
  await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
  await document.fonts.ready;
  for (const figure of document.querySelectorAll(".demod-interactive:has(.plotly-graph-div)")) await still(figure);
  keepLinks(pages);
  shrinkAll();
  const headings = [...document.querySelectorAll("article h2")];
  const sections = headings.map((h2) => ({ title: words(h2), name: h2.closest("section[id]")?.id ?? "" }));
  return { title: words(document.querySelector("article h1")), sections, faults: faults(), names: nameAll() };
}
