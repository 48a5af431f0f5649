// The graph of what depends on what: the node under the mouse or at the focus, and all that it rests on or that rests on it,
// stay as they are; the rest fades.

function reach(node, edges, from, to) {
  const found = new Set([node]);
  for (const name of found) {
    for (const edge of edges) if (edge.dataset[from] === name) found.add(edge.dataset[to]); // a set grows while it is read
  }
  return found;
}

function highlight(graph, node) {
  const edges = [...graph.querySelectorAll("path")];
  const on = reach(node, edges, "from", "to");
  const under = reach(node, edges, "to", "from");
  const both = (set, edge) => set.has(edge.dataset.from) && set.has(edge.dataset.to);
  graph.classList.add("demod-chosen");
  for (const edge of edges) edge.classList.toggle("on", both(on, edge) || both(under, edge));
  for (const shown of graph.querySelectorAll("g")) {
    shown.classList.toggle("on", on.has(shown.dataset.node) || under.has(shown.dataset.node));
  }
}

document.addEventListener("DOMContentLoaded", () => {
  for (const graph of document.querySelectorAll(".demod-graph svg")) {
    for (const node of graph.querySelectorAll("g")) {
      for (const event of ["mouseenter", "focusin"]) node.addEventListener(event, () => highlight(graph, node.dataset.node));
      for (const event of ["mouseleave", "focusout"]) node.addEventListener(event, () => graph.classList.remove("demod-chosen"));
    }
  }
});
